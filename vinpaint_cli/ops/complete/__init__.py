"""What no frame shows: single pictures completed by copies of what they do show."""
