"""Methods measured on clips whose truth is known: holes are made, filled as `remove` does, and compared."""
