"""Where the hole is: grammar, shapes, files."""
