"""Masks: the syntax of boxes, times and prompts; mask sources, segmenters and trackers."""
