"""Batches: many clips become checked jobs, a runner does them, and a report shows their results."""
