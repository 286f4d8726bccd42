"""Runs that pre-train a BERT on documents: started from settings, and resumed from a folder."""

from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.documents import NAMES, Documents, open_documents
from tinygrad_gpt.data.tokenizer_files import load_tokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import WORDPIECE_FILE, WordPieceTokenizer
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.bert import BertForPreTraining, count_parameters
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import use_arithmetic
from tinygrad_gpt.train.extension import extend
from tinygrad_gpt.train.places import absolute, find_again
from tinygrad_gpt.train.pretraining_settings import PretrainingSettings, resumed_settings, settings_of
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import tokenizer_of
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

# What config.json of a pre-training must also hold.
_WRITTEN = {"task": {"corpus": str}, "preset": str, "vocab_size": int, "tokenizer": str, "corpus": dict}


def start(
    settings: PretrainingSettings,
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
    say=None,
) -> Run:
    """A new run, at step 0; arguments and errors are those of text_run.start. The run folder is made last."""
    if out is not None:
        run_folder.check_is_new(out)
    documents = open_documents(settings.task.corpus, settings.task.held_out, progress=progress)
    tokenizer = _make_tokenizer(settings, documents)
    task = _task(settings, documents, tokenizer)
    use_arithmetic(settings.train)
    shape = settings.bert_config(tokenizer.vocab_size)
    check_training(shape, settings.train, settings.window, count_parameters(shape))
    model = _new_model(settings, tokenizer.vocab_size)
    more = {
        "preset": settings.preset,
        "vocab_size": tokenizer.vocab_size,
        "tokenizer": tokenizer.fingerprint(),
        "corpus": {
            "path": None if documents.name in NAMES else absolute(documents.name),
            "sha256": documents.sha256,
            "train_documents": len(task.train.documents) - 1,
            "held_out_documents": len(task.held_out.documents) - 1,
            "train_sentences": len(task.train),
            "held_out_pairs": len(task.pairs),
        },
    }
    return begin(task, model, settings.train, out, pairs, tokenizer, settings.task.corpus, more)


def resume(
    path: Path,
    preset: str | None = None,
    given: dict[str, Any] | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
    say=None,
) -> Run:
    """The run in a folder, where its checkpoint left it; arguments and errors are those of text_run.resume."""
    folder = RunFolder(path)
    lock = folder.hold()  # before config.json is read, which another process may extend
    written = folder.read_config(MaskedLM.name, "a BERT's pre-training", _WRITTEN)
    saved = settings_of(written, path)
    settings = resumed_settings(saved, preset, given or {})
    check_same_pairs(written["own_pairs"], list(pairs))
    tokenizer = tokenizer_of(folder, written)
    read = partial(open_documents, hold_out=settings.task.held_out, progress=progress)
    documents = find_again("corpus", settings.task.corpus, written["corpus"], path, read)
    task = _task(settings, documents, tokenizer)
    use_arithmetic(settings.train)
    shape = settings.bert_config(written["vocab_size"])
    check_training(shape, settings.train, settings.window, count_parameters(shape))
    if folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = BertForPreTraining(shape)
    else:
        model = _new_model(settings, written["vocab_size"])
    run = reopen(folder, task, model, settings.train)
    extend(run, written, saved.train.steps, say or print)
    del lock  # `run` holds it now
    return run


def _new_model(settings: PretrainingSettings, vocab_size: int) -> BertForPreTraining:
    random_stream.manual_seed(settings.train.seed)
    return BertForPreTraining(settings.bert_config(vocab_size))


def _task(settings: PretrainingSettings, documents: Documents, tokenizer) -> MaskedLM:
    train = settings.train
    return MaskedLM(
        settings.task, documents, tokenizer, settings.window, train.batch_size, train.accumulate, train.seed
    )


def _make_tokenizer(settings: PretrainingSettings, documents: Documents) -> WordPieceTokenizer:
    kind = settings.task.tokenizer
    if kind == "wordpiece":
        return WordPieceTokenizer.train(documents.text(), settings.task.vocab)
    path = user_path(kind)
    if not path.exists():
        raise UserError(
            f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, ('wordpiece',))}: expected wordpiece, or the "
            f"path of a saved one or of a {WORDPIECE_FILE}"
        )
    tokenizer = load_tokenizer(kind)
    if not isinstance(tokenizer, WordPieceTokenizer):
        raise UserError(
            f"a BERT reads WordPiece, and {kind} holds a {type(tokenizer).__name__}: give --tokenizer wordpiece"
        )
    return tokenizer
