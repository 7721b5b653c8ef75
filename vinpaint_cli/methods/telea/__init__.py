"""Baseline: every frame filled on its own."""
