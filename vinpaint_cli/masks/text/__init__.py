"""Text that was burned into a picture: found, followed as events, and masked letter by letter."""
