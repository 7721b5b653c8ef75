"""The floor: every frame on its own."""
