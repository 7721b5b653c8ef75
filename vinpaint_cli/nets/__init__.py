"""Shared pure network modules."""
