"""Pointing at what goes, in a browser: a local page that ends in a command line or a masks file."""
