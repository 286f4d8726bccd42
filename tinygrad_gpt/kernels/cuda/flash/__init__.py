"""Parts of attention.py and attention.cu: the gradients, attention of a few queries, and what all of them share."""
