"""Tasks: what is learned from what.

task.py            the interface: batches, a loss, an evaluation, a sample
next_token.py      the next token of a text: the task of a language model
masked_lm.py       masked tokens, and whether a passage follows another: BERT's pre-training
arrays.py          pairs (x, y) of arrays, and windows of token ids: what `fit` trains on
classification.py  the class of a text, with the language model's loss beside it: GPT-1's fine-tuning
perplexity.py      the loss of a language model on a text, block by block or in overlapping windows
scores/            how good answers are: classes, numbers, tagged words, answers to questions
baselines.py       the losses of guesses without a model, from how often each token occurs in a text
"""
