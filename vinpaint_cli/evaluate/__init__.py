"""Evaluation of methods, segmenters and trackers on clips whose ground truth is known."""
