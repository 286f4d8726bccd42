"""Parts of attention.py: the tiles that it works on, and attention of a single query."""
