"""Runs: starting one, resuming one."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import array, devices, random_stream
from tinygrad_gpt.data import (
    CORPORA,
    BPETokenizer,
    CharTokenizer,
    Corpus,
    GPT1Tokenizer,
    Tokenizer,
    TokenSet,
    load_tokenizer,
    open_corpus,
    prepare_tokens,
)
from tinygrad_gpt.data.batches import check_length
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.generate.text import encode_prompt, stream_text
from tinygrad_gpt.health.baselines import text_facts
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.train import run_folder, user_ops
from tinygrad_gpt.train.metrics import plot_losses, read_metrics
from tinygrad_gpt.train.places import absolute, places
from tinygrad_gpt.train.presets import Settings
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import TrainedModel, TrainedRun, find_model, use_arithmetic
from tinygrad_gpt.train.trainer import Trainer
from tinygrad_gpt.train.user_ops import UserPair

_LONG_TEXT = 1_000_000  # characters: about a second of learning tokens
RECORDED = ("tinygrad-gpt", "numpy", "numba")  # packages whose versions config.json holds


@dataclass
class Run:
    """A run that is ready to train, at its first step or wherever it was left."""

    settings: Settings
    folder: RunFolder
    tokenizer: Tokenizer
    trainer: Trainer
    prompt: np.ndarray

    @property
    def model(self) -> GPT:
        return self.trainer.model

    def train(self, reporter: Reporter) -> bool:
        """Train to the end, draw the losses, write a sample. Returns False if Ctrl-C ended it before."""
        finished = self.trainer.run(reporter)
        plot_losses(read_metrics(self.folder.metrics), self.folder.loss_plot, reporter.note)
        return finished

    def sample(self):
        """The text that the model writes at the end of the run, piece by piece; the same at each call."""
        train = self.settings.train
        yield train.prompt
        yield from stream_text(self.model, self.tokenizer, self.prompt, train.sample_tokens, seed=train.seed)


def start(
    settings: Settings, out: Path | None = None, pairs: tuple[UserPair, ...] = (), progress=None, say=None
) -> Run:
    """A new run, at step 0. The run folder is made last, so that what goes wrong here leaves none.

    pairs     the user's own pairs, already checked and installed
    progress  called with (bytes so far, bytes in all) if the corpus is downloaded
    say       called with a line about what takes long, before it is done

    Raises UserError for whatever about the settings, the corpus or the folder cannot be.
    """
    if out is not None:
        run_folder.check_is_new(out)
    source = find_model(settings.train.from_) if settings.train.from_ else None
    corpus = open_corpus(settings.train.corpus, progress=progress)
    tokenizer = _make_tokenizer(settings, corpus, source, say or (lambda line: None))
    tokens = prepare_tokens(corpus, tokenizer)
    prompt = _check_data(settings, tokenizer, tokens)
    use_arithmetic(settings.train)
    device = devices.device(settings.train.device)
    _check_room(settings, source.config if source else settings.gpt_config(tokenizer.vocab_size))
    model = _first_model(settings, tokenizer.vocab_size, source)
    origin = {"device": device.title} | ({"from": source.record()} if source else {})
    with run_folder.creating(out, settings.train.corpus) as folder:
        trainer = Trainer(settings.train, model, tokens, folder)
        folder.write_config(_describe(settings, model, tokenizer, corpus, tokens, pairs) | origin)
        tokenizer.save(folder.tokenizer)
    return Run(settings, folder, tokenizer, trainer, prompt)


def resume(
    path: Path,
    preset: str | None = None,
    given: dict[str, Any] | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
) -> Run:
    """The run in a folder, where its checkpoint left it (at step 0 if it was killed before the first).

    Raises UserError for a folder that is no run, damaged files, a corpus that has changed since, and for settings or
    pairs that would make it another run.
    """
    own = TrainedRun(path)
    folder = own.folder
    settings = run_folder.resumed_settings(own.settings, preset, given or {})
    user_ops.check_same_pairs(own.written["own_pairs"], list(pairs))
    tokenizer = own.tokenizer()
    try:
        corpus = own.corpus(progress)
    except UserError as error:
        raise UserError(f"{error}: put it back, or start a new run") from None
    tokens = prepare_tokens(corpus, tokenizer)
    prompt = _check_data(settings, tokenizer, tokens)
    use_arithmetic(settings.train)
    _check_room(settings, own.config)
    is_there = folder.checkpoint.exists()
    if is_there:
        with random_stream.uninitialised():
            model = GPT(own.config)
    else:
        model = _first_model(settings, own.config.vocab_size, _unchanged_source(own))
    trainer = Trainer(settings.train, model, tokens, folder)
    folder.remove_unfinished()
    if is_there:
        trainer.load()
    return Run(settings, folder, tokenizer, trainer, prompt)


def _make_tokenizer(settings: Settings, corpus: Corpus, source: TrainedModel | None, say) -> Tokenizer:
    kind = settings.train.tokenizer
    if kind in ("bpe", "gpt1") and corpus.train_characters >= _LONG_TEXT:
        say(f"learning a {kind} tokenizer from {corpus.train_characters:,} characters: this may take a minute ...")
    if kind == "own":
        return source.tokenizer()
    if kind == "char":
        tokenizer = CharTokenizer.from_corpus(corpus)
    elif kind == "bpe":
        tokenizer = BPETokenizer.train(corpus, settings.train.bpe_vocab)
    elif kind == "gpt1":
        tokenizer = GPT1Tokenizer.train(corpus, settings.train.bpe_vocab)
    elif user_path(kind).exists():
        tokenizer = load_tokenizer(kind)
    else:
        raise UserError(
            f"there is no tokenizer {in_short(kind)!r}: expected char, bpe, gpt1, own, or the path of a saved one"
        )
    if source is not None:
        source.check_fits(tokenizer)
    return tokenizer


def _check_data(settings: Settings, tokenizer: Tokenizer, tokens: TokenSet) -> np.ndarray:
    """Raise UserError for texts that are too short; return the prompt of the sample."""
    check_length(tokens.train, settings.window, "training text")
    check_length(tokens.val, settings.window, "validation text")
    return encode_prompt(tokenizer, settings.train.prompt, fallback=int(tokens.val[0]))


def _check_room(settings: Settings, config: GPTConfig) -> None:
    train = settings.train
    itemsize, device = array.default_dtype().itemsize, devices.device(train.device)
    check_training(config, train.batch_size, train.accumulate, settings.window, itemsize, device)


def _first_model(settings: Settings, vocab_size: int, source: TrainedModel | None) -> GPT:
    """The model as it is before the first step: new, or with the weights of `source`.

    vocab_size  of the tokenizer
    """
    random_stream.manual_seed(settings.train.seed)
    if source is None:
        return GPT(settings.gpt_config(vocab_size))
    with random_stream.uninitialised():
        model = GPT(settings.gpt_config(source.config.vocab_size))  # its shape, and the dropouts that were chosen
    for parameter, loaded in zip(model.parameters(), source.load().parameters(), strict=True):
        parameter.data = loaded.data
    return model


def _unchanged_source(own: TrainedRun) -> TrainedModel | None:
    """The model that a run began with. Raises UserError if it is not the same any more."""
    if not own.settings.train.from_:
        return None
    given, known = own.settings.train.from_, own.written.get("from", {})
    for place in places(given, known.get("path"), own.folder.path) or [given]:
        source = find_model(str(place))
        if source.record()["sha256"] == known.get("sha256"):
            return source
    raise UserError(f"{source.name} has changed since this run was started: start a new run")


def _describe(
    settings: Settings, model: GPT, tokenizer: Tokenizer, corpus: Corpus, tokens: TokenSet, pairs
) -> dict[str, Any]:
    """What config.json holds; see run_folder.py."""
    return {
        "preset": settings.preset,
        "model": settings.model,
        "train": asdict(settings.train),
        "vocab_size": model.config.vocab_size,
        "tokenizer": tokenizer.fingerprint(),  # the hash of tokenizer.json as it is saved
        "parameters": model.num_parameters(),
        "corpus": {
            "path": None if corpus.name in CORPORA else absolute(corpus.name),
            "sha256": corpus.sha256,
            "train_tokens": len(tokens.train),
            "val_tokens": len(tokens.val),
            "train_bytes": tokens.train_bytes,
            "val_bytes": tokens.val_bytes,
            **asdict(text_facts(tokens.train)),
        },
        "own_pairs": [pair.record() for pair in pairs],
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in RECORDED},
    }


def installed(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
