"""Tasks: what is learned from what.

task.py        what training asks of a task: batches, a loss, an evaluation, a sample
perplexity.py  how well a language model predicts a text, block by block or in overlapping windows
scores.py      how well a classifier does: accuracy, Matthews correlation
"""
