"""The simplest use of time: the nearest frame that shows the pixel."""
