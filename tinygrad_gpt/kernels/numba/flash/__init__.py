"""Parts of attention.py: backward.py, the gradients; tiles.py, the work on one tile; added_mask.py, on the mask that is
added to it; fetch.py, which has the cache ready for what is written; one_query.py, attention of a single query, for
generating; shared.py, what forward and backward share. ladder.py explains them: five ways to attend, each a step nearer
to attention.py."""
