"""What runs of a language model on a text do in their own way: of a GPT, and of a Transformer-XL."""

from typing import Any

from tinygrad_gpt.data import (
    CORPORA,
    BPETokenizer,
    CharTokenizer,
    Corpus,
    GPT1Tokenizer,
    load_tokenizer,
    open_corpus,
    prepare_tokens,
)
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.models.transformer_xl import TransformerXL
from tinygrad_gpt.tasks.next_token import NextToken
from tinygrad_gpt.tasks.streams import Streams
from tinygrad_gpt.train.kind_of_run import LONG_TEXT, KindOfRun
from tinygrad_gpt.train.places import absolute
from tinygrad_gpt.train.saved_runs import TrainedRun, TrainedXL


class TextRuns(KindOfRun):
    """Runs of a GPT, or of a model of the user's own, on a text."""

    run = TrainedRun
    learns: type[NextToken] = NextToken

    def open_data(self, settings, progress):
        return open_corpus(settings.task.corpus, progress=progress)

    def make_tokenizer(self, settings, data, say):
        kind = settings.task.tokenizer
        if kind in ("bpe", "gpt1") and data.train_characters >= LONG_TEXT:
            say(f"learning a {kind} tokenizer from {data.train_characters:,} characters: this may take a minute ...")
        if kind == "char":
            return CharTokenizer.from_corpus(data)
        if kind == "bpe":
            return BPETokenizer.train(data, settings.task.vocab)
        if kind == "gpt1":
            return GPT1Tokenizer.train(data, settings.task.vocab)
        if user_path(kind).exists():
            return load_tokenizer(kind)
        raise UserError(
            f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, ('char', 'bpe', 'gpt1', 'own'))}: "
            "expected char, bpe, gpt1, own, or the path of a saved one"
        )

    def make_task(self, settings, data, tokenizer):
        train, tokens = settings.train, prepare_tokens(data, tokenizer)
        return self.learns(
            settings.task, tokens, tokenizer, settings.window, train.batch_size, train.accumulate, train.seed
        )

    def record(self, data, task):
        return origin_of(data) | {
            "train_tokens": len(task.tokens.train),
            "val_tokens": len(task.tokens.val),
            "train_bytes": task.tokens.train_bytes,
            "val_bytes": task.tokens.val_bytes,
        }

    def make_model(self, settings, config):
        return GPT(config)

    def count_parameters(self, config):
        return self.run.of.count(config)

    def load(self, source):
        return source.load()


class StreamRuns(TextRuns):
    """Runs of a Transformer-XL on streams of a text."""

    run = TrainedXL
    learns = Streams

    def make_model(self, settings, config):
        return TransformerXL(config)


def origin_of(data: Corpus) -> dict[str, Any]:
    """What a run's record says of where its text comes from."""
    return {"path": None if data.name in CORPORA else absolute(data.name), "sha256": data.sha256}
