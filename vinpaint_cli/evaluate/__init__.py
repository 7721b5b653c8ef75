"""Measures methods on clips whose truth is known: makes holes, fills them as `remove` does, and compares."""
