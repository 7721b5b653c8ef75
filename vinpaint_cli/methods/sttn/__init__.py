"""Spatial-temporal transformer network (Zeng, Fu, Chao; ECCV 2020)."""
