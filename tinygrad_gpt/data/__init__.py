"""Text in, batches of token ids out: corpora, tokenizers, token files, batches.

    corpus = open_corpus("shakespeare")             # corpora.py: text, split into train and validation
    tokenizer = CharTokenizer.from_corpus(corpus)   # tokenizers.py: text <-> ids
    tokens = prepare_tokens(corpus, tokenizer)      # tokens.py: ids on disk, memory-mapped
    x, y = random_batch(tokens.train, 12, 64, seed=1, step=0)   # batches.py: what a training step reads
    task = open_task("cola")                        # classification.py: texts with labels; gpt1_inputs.py: as sequences

For fine-tuning a classifier:

    task = open_task("cola")                        # classification.py: texts with labels
    ids = classification(text, task_tokens, 512)    # gpt1_inputs.py: start text extract, and what other tasks read

Corpora are read and written in chunks, so that a corpus larger than memory trains as a small one does. Nothing here
knows Tensors: a batch is a pair of NumPy arrays.
"""

from tinygrad_gpt.data.batches import random_batch, sequential_batches
from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.classification import ClassificationTask, open_task
from tinygrad_gpt.data.corpora import CORPORA, Corpus, open_corpus
from tinygrad_gpt.data.gpt1_tokenizer import GPT1Tokenizer
from tinygrad_gpt.data.tokenizer_files import load_tokenizer
from tinygrad_gpt.data.tokenizers import CharTokenizer, Tokenizer
from tinygrad_gpt.data.tokens import TokenSet, prepare_tokens

__all__ = [
    "CORPORA",
    "BPETokenizer",
    "CharTokenizer",
    "ClassificationTask",
    "Corpus",
    "GPT1Tokenizer",
    "TokenSet",
    "Tokenizer",
    "load_tokenizer",
    "open_corpus",
    "open_task",
    "prepare_tokens",
    "random_batch",
    "sequential_batches",
]
