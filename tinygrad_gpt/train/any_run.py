"""Runs of `tinygrad-gpt train`, of whatever kind: a language model on a text, or a BERT on documents.

The preset decides which. A run in a folder is of the kind that its config.json names.
"""

from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.train import pretraining, pretraining_settings, text_run, text_settings
from tinygrad_gpt.train.own_model import OwnModel
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.pretraining_settings import PretrainingSettings
from tinygrad_gpt.train.run import Run
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import Settings
from tinygrad_gpt.train.trained_model import find_model

SETTINGS = text_settings.SETTINGS | {
    name: field for name, field in pretraining_settings.SETTINGS.items() if name not in text_settings.SETTINGS
}
AnySettings = Settings | PretrainingSettings
_BERTS = [name for name, preset in PRESETS.items() if preset.kind == "bert"]


def resolve(preset: str | None = None, given: dict[str, Any] | None = None, source=None) -> AnySettings:
    """The settings of a preset (None: the default one), overridden by those given by name.

    source  the shape of the model that the setting from_ names

    Raises UserError for an unknown preset or setting, for one that this kind of model does not have, and for values
    that are not allowed.
    """
    if preset in _BERTS:
        return pretraining_settings.resolve(preset, given)
    _check_names(given or {})
    return text_settings.resolve(preset, given, source)


def choose_settings(preset: str | None, given: dict[str, Any]) -> AnySettings:
    """The settings of a new run; see `resolve`. The setting from_, if given, decides the shape of the model."""
    source = given.get("from_")
    if not source or preset in _BERTS:
        return resolve(preset, given)
    return resolve(preset, given, find_model(source).config)


def _check_names(given: dict[str, Any]) -> None:
    """Raise UserError for a setting that a language model does not have, but a BERT does."""
    for name in given:
        if name in SETTINGS and name not in text_settings.SETTINGS:
            raise UserError(
                f"{option_name(name)} is a setting of a BERT: leave it out, or give --preset ({', '.join(_BERTS)})"
            )


def start(
    settings: AnySettings, out: Path | None = None, pairs=(), progress=None, say=None, own_model: OwnModel | None = None
) -> Run:
    """A new run, at step 0; see text_run.start."""
    if isinstance(settings, Settings):
        return text_run.start(settings, out, pairs, progress, say, own_model)
    if own_model is not None:
        raise UserError(f"--model is in place of a GPT, and the preset {settings.preset} makes a BERT: leave out one")
    return pretraining.start(settings, out, pairs, progress, say)


def resume(
    path: Path,
    preset: str | None = None,
    given: dict[str, Any] | None = None,
    pairs=(),
    progress=None,
    say=None,
    own_model: OwnModel | None = None,
) -> Run:
    """The run in a folder, where its checkpoint left it; see text_run.resume."""
    if RunFolder(path).read_config().get("task", {}).get("name") != MaskedLM.name:
        _check_names(given or {})
        return text_run.resume(path, preset, given, pairs, progress, say, own_model)
    if own_model is not None:
        raise UserError(f"{path} holds a BERT: leave out --model")
    return pretraining.resume(path, preset, given, pairs, progress, say)
