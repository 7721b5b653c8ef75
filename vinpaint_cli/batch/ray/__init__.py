"""Segments and jobs on the workers of a Ray cluster; the only room that imports ray.

`crew.running_pool` holds the workers, `crew.RayCrew` sends one job's segments to them, and
`runner.RayRunner` composes many jobs at once, each with a crew of its own on the same pool.
"""
