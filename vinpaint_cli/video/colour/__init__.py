"""Native planes and RGB: matrices, chroma sampling, plane layouts, patches laid into planes."""
