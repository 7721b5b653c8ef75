"""Quality metrics for filled pictures and for masks: pure functions of arrays."""
