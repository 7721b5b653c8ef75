"""Small things of which there is exactly one each: atomic writes, hashing, registries, core counts."""
