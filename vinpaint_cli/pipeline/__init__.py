"""The one chain of filling and what runs around it: scan, reader, stages, compose, device."""
