"""Registry and store of weights."""
