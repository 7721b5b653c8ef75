"""Measures of picture quality, pure functions."""
