"""Segments and jobs on the workers of a Ray cluster; the only room that imports ray.

`executor.running_pool` holds the workers, `executor.RayExecutor` sends one job's segments to them, and
`runner.RayRunner` composes many jobs at once, each with an executor of its own on the same pool.
"""
