"""What no frame shows: smooth fills, patch completion, key frames."""
