"""Parts of attention.py and attention.cu: backward.py, the gradients; one_query.py, attention of a few queries, for
generating; shared.py, what the three share: sizes of tiles, arguments, what forward saves."""
