"""Parts of attention.py: tiles.py, the work on one tile; one_query.py, attention of a single query, for generating."""
