"""Optical flow and camera motion between frames: estimation, consistency, completion inside holes."""
