"""Parts of attention.py.

tiles.py      the work on one tile: scores, weights, and their gradients
one_query.py  attention of a single query, for generating
"""
