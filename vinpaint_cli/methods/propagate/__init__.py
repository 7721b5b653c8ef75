"""Real pixels carried along optical flow."""
