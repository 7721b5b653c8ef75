"""Making the mask of a clip: prompts tracked through it, cast shadows, preview and overlay."""
