"""plan, fill, compose."""
