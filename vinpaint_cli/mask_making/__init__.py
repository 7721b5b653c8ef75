"""The hole alone: prompts followed through the clip, cast shadows, preview, overlay."""
