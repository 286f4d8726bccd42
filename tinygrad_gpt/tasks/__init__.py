"""Tasks: what is learned from what.

task.py            what training asks of a task: batches, a loss, an evaluation, a sample
next_token.py      the next token of a text: the task of a language model
classification.py  the class of a text, with the language model's loss beside it: GPT-1's fine-tuning
perplexity.py      how well a language model predicts a text, block by block or in overlapping windows
scores.py          how well a classifier does: accuracy, Matthews correlation
baselines.py       the losses of guesses that need no model, from how often each token occurs in a text
"""
