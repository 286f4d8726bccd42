"""Tasks: what is learned from what."""
