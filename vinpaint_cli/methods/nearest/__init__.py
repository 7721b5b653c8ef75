"""Baseline: the same pixel of the nearest frame that shows it."""
