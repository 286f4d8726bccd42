"""Runs: starting one, resuming one, opening a trained one."""

import hashlib
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import array, precision
from tinygrad_gpt.data import (
    BPETokenizer,
    CharTokenizer,
    Corpus,
    Tokenizer,
    TokenSet,
    load_tokenizer,
    open_corpus,
    prepare_tokens,
)
from tinygrad_gpt.data.batches import check_length
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.train import own_pairs, run_folder
from tinygrad_gpt.train.checkpoint import load_checkpoint, taking_up
from tinygrad_gpt.train.health.text import text_facts
from tinygrad_gpt.train.metrics import plot_losses, read_metrics
from tinygrad_gpt.train.own_pairs import OwnPair
from tinygrad_gpt.train.presets import Settings
from tinygrad_gpt.train.progress import Reporter
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.sampling import encode_prompt, stream_text
from tinygrad_gpt.train.trainer import Trainer

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
        if not plot_losses(read_metrics(self.folder.metrics), self.folder.loss_plot):
            reporter.note("no loss.png: it takes matplotlib (pip install 'tinygrad-gpt[plot]')")
        return finished

    def sample(self):
        """The text that the model writes at the end of the run, piece by piece; the same at each call."""
        train = self.settings.train
        yield train.prompt
        yield from stream_text(self.model, self.tokenizer, self.prompt, train.sample_tokens, seed=train.seed)


def start(settings: Settings, out: Path | None = None, pairs: tuple[OwnPair, ...] = (), progress=None) -> Run:
    """A new run, at step 0. The run folder is made last, so that what goes wrong here leaves none.

    pairs     the user's own pairs, already checked and installed
    progress  called with (bytes so far, bytes in all) if the corpus is downloaded

    Raises UserError for whatever about the settings, the corpus or the folder cannot be.
    """
    if out is not None:
        run_folder.check_is_new(out)
    corpus = open_corpus(settings.train.corpus, progress=progress)
    tokenizer = _make_tokenizer(settings, corpus)
    tokens = prepare_tokens(corpus, tokenizer)
    prompt = _check_data(settings, tokenizer, tokens)
    model = _make_model(settings, tokenizer)
    folder = run_folder.create(out, settings.train.corpus)
    folder.write_config(_describe(settings, model, tokenizer, corpus, tokens, pairs))
    tokenizer.save(folder.tokenizer)
    return Run(settings, folder, tokenizer, Trainer(settings.train, model, tokens, folder), prompt)


def resume(
    path: Path,
    preset: str | None = None,
    given: dict[str, Any] | None = None,
    pairs: tuple[OwnPair, ...] = (),
    progress=None,
) -> Run:
    """The run in a folder, where its checkpoint left it (at step 0 if it was killed before the first).

    Raises UserError for a folder that is no run, damaged files, a corpus that has changed since, and for settings or
    pairs that would make it another run.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    settings = run_folder.resumed_settings(run_folder.settings_of(config, path), preset, given or {})
    own_pairs.check_same_pairs(config["own_pairs"], list(pairs))
    tokenizer = _own_tokenizer(folder, config)
    corpus = open_corpus(settings.train.corpus, progress=progress)
    if corpus.sha256 != config["corpus"].get("sha256"):
        raise UserError(f"the corpus {corpus.name} has changed since this run was started: start a new run")
    tokens = prepare_tokens(corpus, tokenizer)
    prompt = _check_data(settings, tokenizer, tokens)
    trainer = Trainer(settings.train, _make_model(settings, tokenizer), tokens, folder)
    folder.remove_unfinished()
    if folder.checkpoint.exists():
        trainer.load()
    return Run(settings, folder, tokenizer, trainer, prompt)


def open_trained(path: Path) -> tuple[Settings, Tokenizer, GPT]:
    """What a run has learned so far, for sampling and evaluation.

    Raises UserError for a folder that is no run, has no checkpoint yet, or whose files are damaged.
    """
    folder = RunFolder(path)
    config = folder.read_config()
    settings = run_folder.settings_of(config, path)
    arrays, _ = load_checkpoint(folder.checkpoint, lambda name: name.startswith("model."))
    tokenizer = _own_tokenizer(folder, config)
    model = _make_model(settings, tokenizer)
    with taking_up(folder.checkpoint):
        model.load_state_dict({name.removeprefix("model."): a for name, a in arrays.items()})
    model.eval()
    return settings, tokenizer, model


def _own_tokenizer(folder: RunFolder, config: dict[str, Any]) -> Tokenizer:
    """The run's tokenizer. Raises UserError if the file holds another: its ids would mean other texts."""
    tokenizer = load_tokenizer(folder.tokenizer)
    if hashlib.sha256(folder.tokenizer.read_bytes()).hexdigest() != config["tokenizer"]:
        raise UserError(f"{folder.tokenizer} is not the tokenizer that this run was started with: put that one back")
    return tokenizer


def _make_tokenizer(settings: Settings, corpus: Corpus) -> Tokenizer:
    kind = settings.train.tokenizer
    if kind == "char":
        return CharTokenizer.from_corpus(corpus)
    if kind == "bpe":
        return BPETokenizer.train(corpus, settings.train.bpe_vocab)
    if not Path(kind).exists():
        raise UserError(f"there is no tokenizer {kind!r}: expected char, bpe, or the path of a saved one")
    return load_tokenizer(kind)


def _check_data(settings: Settings, tokenizer: Tokenizer, tokens: TokenSet) -> np.ndarray:
    """Raise UserError for texts that are too short; return the prompt of the sample."""
    block_size = settings.model["block_size"]
    check_length(tokens.train, block_size, "training text")
    check_length(tokens.val, block_size, "validation text")
    return encode_prompt(tokenizer, settings.train.prompt, fallback=int(tokens.val[0]))


def _make_model(settings: Settings, tokenizer: Tokenizer) -> GPT:
    array.keep_freed_memory()
    dtype = settings.train.dtype
    precision.set_matmul_precision("bfloat16" if dtype == "bfloat16" else "float32")
    array.set_default_dtype("float32" if dtype == "bfloat16" else dtype)
    array.manual_seed(settings.train.seed)
    return GPT(settings.gpt_config(tokenizer.vocab_size))


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
