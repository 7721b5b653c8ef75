"""Pure arithmetic: shots, segments, windows, memory. Standard library only."""
