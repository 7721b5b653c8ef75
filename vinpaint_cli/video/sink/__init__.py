"""Writing clips: encoders, copied streams, folders of pictures, atomic publishing."""
