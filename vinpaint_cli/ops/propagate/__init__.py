"""Real pixels carried along motion into the hole: tracing, candidates, their scorer, fusion."""
