"""Small utilities: atomic writes, hashing, registries of names, TOML presets, HTML pages, core counts."""
