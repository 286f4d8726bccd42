"""Runs of `tinygrad-gpt train`: a language model on a text, a BERT on documents, a translator on pairs of sentences.

The preset decides which. A run in a folder is of the kind that its config.json names.
"""

from pathlib import Path
from typing import Any

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.corpora import CORPORA
from tinygrad_gpt.data.documents import NAMES as DOCUMENTS
from tinygrad_gpt.data.parallel import PARALLEL
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.nn import Module
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import use_arithmetic, with_scale_of_noam
from tinygrad_gpt.train.extension import extend
from tinygrad_gpt.train.kind_of_run import KindOfRun, Say
from tinygrad_gpt.train.loadable import TrainedModel
from tinygrad_gpt.train.own_model import OwnModel, check_same_model, try_model
from tinygrad_gpt.train.permutation_run import PermutationRuns
from tinygrad_gpt.train.places import PUT_BACK, find_again
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.pretraining import Pretraining
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.shaped_settings import ShapedSettings
from tinygrad_gpt.train.text_run import StreamRuns, TextRuns
from tinygrad_gpt.train.text_settings import Settings
from tinygrad_gpt.train.trained_model import find_model
from tinygrad_gpt.train.translation_run import TranslationRuns
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

AnySettings = Settings | ShapedSettings
_TEXT = TextRuns()
_CHARACTERS = 65  # of Shakespeare's works
_KINDS: tuple[KindOfRun, ...] = (_TEXT, StreamRuns(), Pretraining(), PermutationRuns(), TranslationRuns())
_SETTINGS = {kind.run.kind: kind.run.of for kind in _KINDS}  # by the kind of model
SETTINGS = {name: field for of in reversed(_SETTINGS.values()) for name, field in of.options().items()}
CORPUS_NAMES = (*CORPORA, *DOCUMENTS, *PARALLEL)  # of all kinds; anything else is a path
_NAMES = {family: of.name for family, of in _SETTINGS.items() if family != "gpt"}  # what others than a GPT are called


def resolve(preset: str | None = None, given: dict[str, Any] | None = None, source=None) -> AnySettings:
    """The settings of a preset (None: the default one), overridden by those given by name.

    source  the shape of the model that the setting from_ names

    Raises UserError for an unknown preset or setting, for one that this kind of model does not have, and for values
    that are not allowed.
    """
    family = PRESETS[preset].kind if preset in PRESETS else "gpt"
    if family == "gpt" and preset in (None, *PRESETS):  # of a preset that is none, the name is what is wrong
        _check_names(given or {})
    return _SETTINGS[family].resolve(preset, with_scale_of_noam(given or {}), source)


def _kind_of(settings: AnySettings) -> KindOfRun:
    return next(kind for kind in _KINDS if kind.run.of is type(settings))


def _presets_of(family: str) -> list[str]:
    return [name for name, preset in PRESETS.items() if preset.kind == family]


def choose_settings(preset: str | None, given: dict[str, Any]) -> AnySettings:
    """The settings of a new run; see `resolve`. The setting from_, if given, decides the shape of the model."""
    name = given.get("from_")
    if not name:
        return resolve(preset, given)
    of_preset = (PRESETS[preset].kind,) if preset in PRESETS else ("gpt",)
    source = find_model(name, ("gpt", *_NAMES) if preset is None else of_preset)
    if preset is None and source.kind != "gpt":
        such_as = _presets_of(source.kind)[0]
        raise UserError(
            f"{name} holds {_NAMES[source.kind]}: name a preset that trains one, such as --preset {such_as}"
        )
    return resolve(preset, given, source.config)


def _check_names(given: dict[str, Any]) -> None:
    """Raise UserError for a setting that a language model does not have, but another kind of model does."""
    for name in given:
        if name in SETTINGS and name not in _SETTINGS["gpt"].options():
            family = next(family for family in _NAMES if name in _SETTINGS[family].options())
            presets = ", ".join(_presets_of(family))
            raise UserError(
                f"{option_name(name)} is a setting of {_NAMES[family]}: leave it out, or give --preset ({presets})"
            )


def new_model(settings: AnySettings, own_model: OwnModel | None = None) -> Module:
    """The model that a run with these settings begins with, without its data: with as many tokens as the tokenizer may
    learn; of characters, as many as English texts have."""
    vocab_size = _CHARACTERS if settings.task.tokenizer == "char" else settings.task.vocab
    _check_is_a_gpts(settings, own_model)
    use_arithmetic(settings.train)
    return _first_model(_kind_of(settings), settings, settings.model_config(vocab_size), None, own_model)


def _check_is_a_gpts(settings: AnySettings, own_model: OwnModel | None) -> None:
    """Raise UserError for a model of the user's own beside a preset of another kind."""
    if own_model is not None and isinstance(settings, ShapedSettings):
        made = f"the preset {settings.preset} makes {settings.name}"
        raise UserError(f"--model is in place of a GPT, and {made}: leave out one")


def open_data(settings: AnySettings, progress: Progress | None = None) -> Any:
    """The text, documents or pairs that the settings name. Raises UserError if there are none, and for pairs by name
    where the preset trains no translator."""
    kind, name = _kind_of(settings), settings.task.corpus
    if name in PARALLEL and kind.run.kind != "transformer" and not user_path(name).exists():
        raise UserError(f"{name} has pairs of sentences: give --preset transformer-tiny, or another of a translator")
    return kind.open_data(settings, progress)


def start(
    settings: AnySettings,
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
    progress: Progress | None = None,
    say: Say | None = None,
    own_model: OwnModel | None = None,
) -> Run:
    """A new run, at step 0. The run folder is made last, so an error leaves none.

    pairs      the user's own pairs, already checked and installed
    progress   called with (bytes so far, bytes in all) if the corpus is downloaded
    say        called with a line before a slow part begins, and with notes about an own model
    own_model  the user's own, in place of a GPT

    Raises UserError for settings, a corpus or a folder that cannot be used.
    """
    kind, say = _kind_of(settings), say or (lambda line: None)
    if out is not None:
        run_folder.check_is_new(out)
    _check_is_a_gpts(settings, own_model)
    source = find_model(settings.task.from_, (kind.run.kind,)) if settings.task.from_ else None
    if source is not None and own_model is not None:
        raise UserError("--from brings its own model, with its weights: leave out --model")
    data = open_data(settings, progress)
    tokenizer = _tokenizer(kind, settings, data, source, say)
    task = kind.make_task(settings, data, tokenizer)
    use_arithmetic(settings.train)
    model = _checked_model(kind, settings, kind.model_config(settings, tokenizer, source), source, own_model, say)
    own_model = source.own_model if source else own_model
    more: dict[str, Any] = {
        "preset": settings.preset,
        "vocab_size": model.config.vocab_size,
        "tokenizer": tokenizer.fingerprint(),  # the hash of tokenizer.json as it is saved
        "corpus": kind.record(data, task),
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
    progress: Progress | None = None,
    say: Say | None = None,
    own_model: OwnModel | None = None,
) -> Run:
    """The run in a folder, where its checkpoint left it (at step 0 if it was killed before the first).

    given      settings by name that cannot change the outcome, and `steps`: more than it has extend it (extension.py)
    say        called with a line that says what an extension means
    own_model  the file of a run that has a model of its own, as it was; None: the copy in the folder

    Raises UserError for a folder that is not a run, for damaged files, for a corpus that has changed, and for settings,
    pairs or a model that would make it another run.
    """
    learned, given = RunFolder(path).task_name(), given or {}
    kind = next((kind for kind in _KINDS if kind.run.task == learned), _TEXT)
    if own_model is not None and kind is not _TEXT:
        raise UserError(f"{path} holds {_NAMES[kind.run.kind]}: leave out --model")
    if kind is _TEXT:
        _check_names(given)
    lock = RunFolder(path).hold()  # before config.json is read, which another process may extend
    own = kind.run(path)
    settings = own.settings.resumed(preset, given)
    check_same_pairs(own.written["own_pairs"], list(pairs))
    if own_model is not None:
        check_same_model(own.written.get("own_model"), own_model)
    task = kind.make_task(settings, own.corpus(progress, PUT_BACK), own.tokenizer())
    use_arithmetic(settings.train)
    check_training(own.config, settings.train, settings.window, own.parameters)
    if own.folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = own.make(own.config)
    else:
        name, known = settings.task.from_, own.written.get("from", {})
        source = (
            find_again("model", name, known, path, lambda place: find_model(place, (kind.run.kind,))) if name else None
        )
        model = _first_model(kind, settings, own.config, source, own.own_model)
    run = reopen(own.folder, task, model, settings.train)
    extend(run, own.written, own.settings.train.steps, say or print)
    del lock  # `run` holds it now
    return run


def _tokenizer(kind: KindOfRun, settings: AnySettings, data: Any, source: TrainedModel | None, say: Say) -> Tokenizer:
    if source is None:
        return kind.make_tokenizer(settings, data, say)
    own = settings.task.tokenizer == "own"
    tokenizer = source.tokenizer() if own else kind.make_tokenizer(settings, data, say)
    source.check_fits(tokenizer)
    return tokenizer


def _checked_model(
    kind: KindOfRun,
    settings: AnySettings,
    config: Any,
    source: TrainedModel | None,
    own_model: OwnModel | None,
    say: Say,
) -> Module:
    """The model before the first step, if memory has room for its training. A new model of the user's own is tried."""
    if own_model is None:
        parameters = source.parameters if source else kind.count_parameters(config)
        check_training(config, settings.train, settings.window, parameters)
        return _first_model(kind, settings, config, source, None)
    model = _first_model(kind, settings, config, None, own_model)
    check_training(config, settings.train, settings.window, model.num_parameters())
    for note in try_model(own_model, model, config):
        say(note)
    return model


def _first_model(
    kind: KindOfRun,
    settings: AnySettings,
    config: Any,
    source: TrainedModel | None,
    own_model: OwnModel | None,
) -> Module:
    """The model before the first step, of this shape: new, or with the weights of `source`."""
    random_stream.manual_seed(settings.train.seed)
    if source is None:
        return own_model.make(config) if own_model else kind.make_model(settings, config)
    with random_stream.uninitialised():
        model = source.make(config)
    trained = kind.load(source)
    for parameter, loaded in zip(model.parameters(), trained.parameters(), strict=True):
        parameter.data = loaded.data
    for buffer, loaded in zip(model.buffers(), trained.buffers(), strict=True):
        buffer.data = loaded.data
    return model
