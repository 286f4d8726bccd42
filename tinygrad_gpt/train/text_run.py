"""Runs of a language model on a text: started from settings, and resumed from a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt import random_stream
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
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.nn import Module
from tinygrad_gpt.tasks.next_token import NextToken
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import use_arithmetic
from tinygrad_gpt.train.extension import extend
from tinygrad_gpt.train.own_model import OwnModel, check_same_model, try_model
from tinygrad_gpt.train.places import PUT_BACK, absolute, find_again
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import Settings, resumed_settings
from tinygrad_gpt.train.trained_model import TrainedModel, TrainedRun, find_model
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

_LONG_TEXT = 1_000_000  # characters: about a second of learning tokens


def start(
    settings: Settings,
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
    say: Callable[[str], object] | None = None,
    own_model: OwnModel | None = None,
) -> Run:
    """A new run, at step 0. The run folder is made last, so an error leaves none.

    pairs      the user's own pairs, already checked and installed
    progress   called with (bytes so far, bytes in all) if the corpus is downloaded
    say        called with a line before a slow part begins, and with notes about an own model
    own_model  the user's own, in place of a GPT

    Raises UserError for settings, a corpus or a folder that cannot be used.
    """
    if out is not None:
        run_folder.check_is_new(out)
    say = say or (lambda line: None)
    source = find_model(settings.task.from_) if settings.task.from_ else None
    if source is not None and own_model is not None:
        raise UserError("--from brings its own model, with its weights: leave out --model")
    corpus = open_corpus(settings.task.corpus, progress=progress)
    tokenizer = _make_tokenizer(settings, corpus, source, say)
    tokens = prepare_tokens(corpus, tokenizer)
    task = _task(settings, tokens, tokenizer)
    use_arithmetic(settings.train)
    model = _checked_model(settings, tokenizer.vocab_size, source, own_model, say)
    own_model = source.own_model if source else own_model
    more = {
        "preset": settings.preset,
        "vocab_size": model.config.vocab_size,
        "tokenizer": tokenizer.fingerprint(),  # the hash of tokenizer.json as it is saved
        "corpus": {
            "path": None if corpus.name in CORPORA else absolute(corpus.name),
            "sha256": corpus.sha256,
            "train_tokens": len(tokens.train),
            "val_tokens": len(tokens.val),
            "train_bytes": tokens.train_bytes,
            "val_bytes": tokens.val_bytes,
        },
    }
    more |= {"from": source.record()} if source else {}
    more |= {"own_model": own_model.record(), "model": settings.model} if own_model else {}
    keep = own_model.save if own_model else None
    return begin(task, model, settings.train, out, pairs, tokenizer, settings.task.corpus, more, keep)


def resume(
    path: Path,
    preset: str | None = None,
    given: dict[str, Any] | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
    say=None,
    own_model: OwnModel | None = None,
) -> Run:
    """The run in a folder, where its checkpoint left it (at step 0 if it was killed before the first).

    given      settings by name that cannot change the outcome, and `steps`: more than it has extend it (extension.py)
    say        called with a line that says what an extension means
    own_model  the file of a run that has a model of its own, as it was; None: the copy in the folder

    Raises UserError for a folder that is not a run, for damaged files, for a corpus that has changed, and for settings,
    pairs or a model that would make it another run.
    """
    RunFolder(path).read_config()  # it is one
    lock = RunFolder(path).hold()  # before config.json is read, which another process may extend
    own = TrainedRun(path)
    settings = resumed_settings(own.settings, preset, given or {})
    check_same_pairs(own.written["own_pairs"], list(pairs))
    if own_model is not None:
        check_same_model(own.written.get("own_model"), own_model)
    tokenizer = own.tokenizer()
    task = _task(settings, prepare_tokens(own.corpus(progress, PUT_BACK), tokenizer), tokenizer)
    use_arithmetic(settings.train)
    check_training(own.config, settings.train, settings.window, own.parameters)
    if own.folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = own.make(own.config)
    else:
        name, known = settings.task.from_, own.written.get("from", {})
        source = find_again("model", name, known, path, find_model) if name else None
        model = _first_model(settings, own.config.vocab_size, source, own.own_model)
    run = reopen(own.folder, task, model, settings.train)
    extend(run, own.written, own.settings.train.steps, say or print)
    del lock  # `run` holds it now
    return run


def _task(settings: Settings, tokens: TokenSet, tokenizer: Tokenizer) -> NextToken:
    train = settings.train
    return NextToken(settings.task, tokens, tokenizer, settings.window, train.batch_size, train.accumulate, train.seed)


def _make_tokenizer(settings: Settings, corpus: Corpus, source: TrainedModel | None, say) -> Tokenizer:
    kind = settings.task.tokenizer
    if kind in ("bpe", "gpt1") and corpus.train_characters >= _LONG_TEXT:
        say(f"learning a {kind} tokenizer from {corpus.train_characters:,} characters: this may take a minute ...")
    if kind == "own" and source is not None:
        return source.tokenizer()
    if kind == "char":
        tokenizer = CharTokenizer.from_corpus(corpus)
    elif kind == "bpe":
        tokenizer = BPETokenizer.train(corpus, settings.task.bpe_vocab)
    elif kind == "gpt1":
        tokenizer = GPT1Tokenizer.train(corpus, settings.task.bpe_vocab)
    elif user_path(kind).exists():
        tokenizer = load_tokenizer(kind)
    else:
        raise UserError(
            f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, ('char', 'bpe', 'gpt1', 'own'))}: "
            "expected char, bpe, gpt1, own, or the path of a saved one"
        )
    if source is not None:
        source.check_fits(tokenizer)
    return tokenizer


def _checked_model(
    settings: Settings, vocab_size: int, source: TrainedModel | None, own_model: OwnModel | None, say
) -> Module:
    """The model before the first step, if memory has room for its training. A new model of the user's own is tried."""
    shape = source.config if source else settings.gpt_config(vocab_size)
    if own_model is None:
        check_training(shape, settings.train, settings.window, source.parameters if source else None)
        return _first_model(settings, vocab_size, source, None)
    model = _first_model(settings, vocab_size, None, own_model)
    check_training(shape, settings.train, settings.window, model.num_parameters())
    for note in try_model(own_model, model, shape):
        say(note)
    return model


def _first_model(
    settings: Settings, vocab_size: int, source: TrainedModel | None, own_model: OwnModel | None
) -> Module:
    """The model before the first step: new, with the tokenizer's vocab_size, or with the weights of `source`."""
    random_stream.manual_seed(settings.train.seed)
    if source is None:
        config = settings.gpt_config(vocab_size)
        return own_model.make(config) if own_model else GPT(config)
    with random_stream.uninitialised():
        model = source.make(settings.gpt_config(source.config.vocab_size))  # its shape, with the chosen dropouts
    trained = source.load()
    for parameter, loaded in zip(model.parameters(), trained.parameters(), strict=True):
        parameter.data = loaded.data
    for buffer, loaded in zip(model.buffers(), trained.buffers(), strict=True):
        buffer.data = loaded.data
    return model
