"""A local web page for clicking objects in a clip; it ends in a command line or a file of masks."""
