"""Mask sources: boxes, pictures, folders and videos of masks, random holes."""
