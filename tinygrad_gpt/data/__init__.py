"""Text in, batches of token ids out.

    corpus = open_corpus("shakespeare")                         # a text, split into train and validation
    tokenizer = CharTokenizer.from_corpus(corpus)               # text <-> ids
    tokens = prepare_tokens(corpus, tokenizer)                  # ids on disk, memory-mapped
    x, y = random_batch(tokens.train, 12, 64, seed=1, step=0)   # what a training step reads
    task = open_task("cola")                                    # texts with labels, for fine-tuning
    pairs = open_parallel("multi30k-en-de")                     # sentences and their translations

    corpora.py              corpora by name or path
    python_docs.py          the corpus that every Python carries
    download.py             a file of known content, fetched over HTTPS
    text_files.py           text files, read a chunk at a time
    tokenizers.py           what every tokenizer can do; one token per character
    library_tokenizer.py    tokenizers that cut words into pieces, by the library tokenizers
    bpe_tokenizer.py        GPT-2's kind: bytes, merged
    gpt1_tokenizer.py       GPT-1's kind: lower-case words, merged from characters
    wordpiece_tokenizer.py  BERT's kind: words, cut into the longest known pieces
    unigram_tokenizer.py    SentencePiece's kind: the likeliest pieces
    unigram_training.py     how its pieces and their probabilities are learned
    xlnet_tokenizer.py      XLNet's kind: that, with special tokens for pairs of texts
    as_transformers.py      the names and the call of transformers' tokenizer
    tokenizer_files.py      a saved tokenizer of any kind
    tokens.py               token files, and their memory-mapped arrays
    batches.py              windows of a token stream
    documents.py            texts as documents of sentences
    sentence_pairs.py       two passages each, with masked tokens: what BERT is pre-trained on
    permutations.py         sequences whose targets are told in a drawn order: what XLNet is pre-trained on
    parallel.py             sentences and their translations, by name or path
    translation_vocabulary.py  one vocabulary for two languages
    token_batches.py        pairs of sentences of like length, by their number of tokens
    labelled.py             texts with what should be learnt about them, by name or path
    examples.py             what open_task returns: examples of five kinds
    delimited.py            .tsv and .csv files: lines of cells
    tables.py               what their columns mean
    conll.py                .conll files: a tag for each word
    questions.py            questions that a part of a text answers; SQuAD's files
    alignment.py            labels of words and characters of a text, as places in a sequence
    cutting.py              two texts in the room of one
    padding.py              sequences of different lengths as one array
    windows.py              a long text in windows that overlap
    gpt1_inputs.py          texts of a task as GPT-1 reads them: start, text, extract

Corpora are read and written in chunks, so a corpus larger than memory trains as a small one does. Nothing in this
package knows Tensors: a batch is a pair of NumPy arrays.
"""

from tinygrad_gpt.data.batches import random_batch, sequential_batches
from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.corpora import CORPORA, Corpus, open_corpus
from tinygrad_gpt.data.examples import (
    Answer,
    AnsweredQuestions,
    LabelledPairs,
    LabelledTask,
    LabelledTexts,
    LabelledWords,
)
from tinygrad_gpt.data.gpt1_tokenizer import GPT1Tokenizer
from tinygrad_gpt.data.labelled import TASKS, open_task
from tinygrad_gpt.data.parallel import PARALLEL, Parallel, open_parallel
from tinygrad_gpt.data.tokenizer_files import load_tokenizer
from tinygrad_gpt.data.tokenizers import CharTokenizer, Tokenizer
from tinygrad_gpt.data.tokens import TokenSet, prepare_tokens
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import WordPieceTokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer

__all__ = [
    "CORPORA",
    "PARALLEL",
    "TASKS",
    "Answer",
    "AnsweredQuestions",
    "BPETokenizer",
    "CharTokenizer",
    "Corpus",
    "GPT1Tokenizer",
    "LabelledPairs",
    "LabelledTask",
    "LabelledTexts",
    "LabelledWords",
    "Parallel",
    "TokenSet",
    "Tokenizer",
    "UnigramTokenizer",
    "WordPieceTokenizer",
    "XLNetTokenizer",
    "load_tokenizer",
    "open_corpus",
    "open_parallel",
    "open_task",
    "prepare_tokens",
    "random_batch",
    "sequential_batches",
]
