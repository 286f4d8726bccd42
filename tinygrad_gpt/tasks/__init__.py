"""Tasks: what is learned from what.

task.py            the interface: batches, a loss, an evaluation, a sample
next_token.py      the next token of a text: the task of a language model
streams.py         the same over streams of a text, by a model that remembers: a Transformer-XL's
masked_lm.py       masked tokens, and whether a passage follows another: BERT's pre-training
permutation_lm.py  tokens in an order that is drawn: XLNet's pre-training
source_targets.py  pairs of sentences as arrays: what `fit` trains a Transformer on
translation.py     the next token of a translation, after its source
arrays.py          pairs (x, y) of arrays, and windows of token ids: what `fit` trains on
fine_tuning.py     fine-tuning on labelled examples: what all kinds of tasks have in common
text_classes.py    ... the class of a text, or of a pair of texts
similarity.py      ... how alike two texts are, as a number
token_labels.py    ... the label of each word
spans.py           ... where in a text the answer to a question stands
kinds.py           which of them learns from which kind of examples
family.py          how a family of models reads examples, and its models with a head
gpt1_family.py     ... GPT, with the language model's loss beside the task's: GPT-1's fine-tuning
bert_family.py     ... BERT
xlnet_family.py    ... XLNet
families.py        all of them by name
perplexity.py      the loss of a language model on a text: block by block, in overlapping windows, or with a memory
translation_scores.py  how good a translator is: the loss of the right translations, and BLEU of its own
scores/            how good answers are: classes, numbers, tagged words, answers to questions, translations
baselines.py       the losses of guesses without a model, from how often each token occurs in a text
"""
