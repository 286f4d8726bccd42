"""A sweep: a run for each combination of a few settings' values, side by side in a folder.

    sweep.json          what was asked for: preset, settings, the values of each swept setting, own pairs and model
    lr-0.001-seed-1/    a run (run_folder.py), as `train` makes it alone, bit for bit
    compare.png         the losses of all, drawn

A run that diverges is left as it is, and the sweep goes on; so is one that another process trains. Runs begin when
their turn comes, so a sweep that was stopped or killed goes on from its folder.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.parallel import is_parallel
from tinygrad_gpt.errors import UserError, command, did_you_mean
from tinygrad_gpt.files.json_files import read_json, write_json
from tinygrad_gpt.settings import current_names, option_name, value_type
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.any_run import CORPUS_NAMES, SETTINGS, AnySettings, choose_settings, open_data, resume
from tinygrad_gpt.train.any_run import start as start_run
from tinygrad_gpt.train.metrics import InUseError
from tinygrad_gpt.train.non_finite import NotFinite
from tinygrad_gpt.train.own_model import OwnModel, own_model_of
from tinygrad_gpt.train.places import absolute
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run import Run
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.user_ops import NeverRanError, UserPair, check_same_pairs

FILE = "sweep.json"
_SAME_IN_ALL = ("corpus", "from_")  # losses on different texts do not compare
_WORDS = {"yes": True, "true": True, "no": False, "false": False}
_SCHEMA = {
    "preset": (str, None),
    "given": dict,
    "sweep": {...: list},
    "corpus_path": (str, None),
    "own_pairs": [{"op": str, "file": str, "sha256": str, "new?": bool}],
    "own_model?": {"file": str, "sha256": str},
}


def parse(texts: list[str]) -> dict[str, list[Any]]:
    """["lr=1e-3,3e-3", "seed=1,2"] -> {"lr": [0.001, 0.003], "seed": [1, 2]}. Raises UserError for a name that is no
    setting, and for values of another kind than the setting's."""
    values: dict[str, list[Any]] = {}
    for text in texts:
        written, equals, listed = text.partition("=")
        name = written.strip().lstrip("-").replace("-", "_")
        name = next(iter(current_names({name: None}, SETTINGS)))
        name = name if name in SETTINGS else f"{name}_"  # from_ is --from
        if not equals or not listed:
            raise UserError(f"--sweep should be a setting and its values, such as lr=1e-3,3e-3, not {shown(text)}")
        if name not in SETTINGS:
            known = [option_name(setting)[2:] for setting in SETTINGS if setting not in _SAME_IN_ALL]
            near = did_you_mean(written.strip().lstrip("-"), known)
            raise UserError(
                f"--sweep: there is no setting {shown(written)}{near or '; the settings are ' + ', '.join(known)}"
            )
        if name in _SAME_IN_ALL:
            raise UserError(f"--sweep: all runs of a sweep have the same {name.rstrip('_')}")
        if name in values:
            raise UserError(f"--sweep names {option_name(name)[2:]} twice: give all its values at once")
        values[name] = list(dict.fromkeys(_value(name, word.strip()) for word in listed.split(",")))
    return values


def _value(name: str, word: str) -> Any:
    """The value of a setting, from how it is written."""
    kind, may_be_none = value_type(SETTINGS[name].type)
    if may_be_none and word == "none":
        return None
    try:
        return _WORDS[word.lower()] if kind is bool else kind(word)
    except (ValueError, KeyError):
        raise UserError(f"--sweep: {option_name(name)[2:]} should be {kind.__name__}, not {shown(word)}") from None


def combinations(values: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """The name of each run's folder -> the values of its swept settings; the last setting changes first."""
    named: dict[str, dict[str, Any]] = {}
    for chosen in itertools.product(*values.values()):
        swept = dict(zip(values, chosen, strict=True))
        name = re.sub(r"[^\w.+-]+", "-", "-".join(f"{option_name(n)[2:]}-{_word(value)}" for n, value in swept.items()))
        number = sum(re.sub(r"--\d+$", "", other) == name for other in named) + 1  # two paths may be written alike
        named[name if number == 1 else f"{name}--{number}"] = swept
    return named


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else "none" if value is None else str(value)


def described(swept: dict[str, Any]) -> str:
    """The values of a run's swept settings: "lr 0.001, seed 1"."""
    return ", ".join(f"{option_name(name)[2:]} {_word(value)}" for name, value in swept.items())


def is_sweep(folder: Path) -> bool:
    return (folder / FILE).is_file()


def start(
    preset: str | None,
    given: dict[str, Any],
    values: dict[str, list[Any]],
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
    own_model: OwnModel | None = None,
    progress=None,
) -> Path:
    """Make the folder of a new sweep, without its runs yet; `train` makes and trains them.

    given      settings of all runs by name
    values     of the swept settings, as `parse` returns them
    own_model  the user's own, in place of a GPT

    Raises UserError for settings, in any combination, for a text or a folder that cannot be used; no folder is left.
    """
    both = [name for name in values if name in given]
    if both:
        option = option_name(both[0])
        raise UserError(f"{option} is given, and a setting of --sweep: leave out one of them")
    for swept in combinations(values).values():
        settings = _settings(preset, given, swept)
    if out is not None and is_sweep(out):
        again = command("tinygrad-gpt", "train", "--resume", out)
        raise UserError(f"the sweep {out} exists: continue it with {again}, or choose another --out")
    if out is not None:
        run_folder.check_is_new(out)
    corpus = settings.task.corpus
    open_data(settings, progress)  # raises for one that is not there
    written = {"preset": preset, "given": given, "sweep": values, "own_pairs": [pair.record() for pair in pairs]}
    written |= {"corpus_path": None if corpus in CORPUS_NAMES else absolute(corpus)}
    written |= {"own_model": own_model.record()} if own_model else {}
    with run_folder.creating(out, f"{Path(corpus).stem}-sweep") as folder:
        if own_model:
            own_model.save(folder.model)
        write_json(folder.path / FILE, written)
    return folder.path


def read(path: Path) -> dict[str, Any]:
    """The content of sweep.json. Raises UserError for a damaged one."""
    return read_json(path / FILE, _SCHEMA)


def train(
    path: Path,
    reporter: Reporter,
    pairs: tuple[UserPair, ...] = (),
    progress=None,
    ended: Callable[[Run], object] = lambda run: None,
) -> tuple[bool, dict[str, str]]:
    """Train all runs of a sweep to the end, each from where it stopped; those that diverged are left as they are.

    ended  called with each run that reached its end

    Returns whether all had their turn (False after Ctrl-C, with the state saved), and why runs could not be made or
    trained, by their names: a pair that one of them never runs is such a reason. Raises UserError for a damaged
    sweep.json and for other pairs than the sweep's, and NeverRanError if no run runs a pair.
    """
    written = read(path)
    check_same_pairs(written["own_pairs"], list(pairs))
    own_model = own_model_of(RunFolder(path).model, written)
    todo, failed, never_ran = combinations(written["sweep"]), {}, 0
    for number, (name, swept) in enumerate(todo.items(), start=1):
        folder = RunFolder(path / name)
        if folder.failure.exists():
            continue
        try:
            run = _open(folder, written, swept, pairs, own_model, progress, reporter)
            if run.trainer.ended:
                run.close()
                continue
            at = f", from step {run.trainer.step}" if run.trainer.step else ""
            reporter.note(f"run {number} of {len(todo)}: {described(swept)}{at}")
            if run.train(reporter):
                ended(run)
        except NotFinite as error:
            reporter.warn(f"diverged: {error}")
            continue
        except InUseError as error:
            reporter.note(f"run {number} of {len(todo)}: {described(swept)}: left out: {error}")
            continue
        except UserError as error:
            reporter.warn(f"run {number} of {len(todo)}: {described(swept)}: {error}")
            failed[name] = str(error)
            never_ran += isinstance(error, NeverRanError)
            if never_ran == len(todo):
                raise
            run_folder.discard_unmade(folder.path)
            continue
        if run.trainer.interrupted:
            return False, failed
    return True, failed


def _open(
    folder: RunFolder, written: dict[str, Any], swept, pairs, own_model: OwnModel | None, progress, reporter: Reporter
) -> Run:
    """The run in a folder, where its checkpoint left it; a new one if there is none yet."""
    folder.path.mkdir(exist_ok=True)
    lock = folder.hold()  # before a look at it: another process may be making it
    if folder.config.exists():
        return resume(folder.path, pairs=pairs, progress=progress, say=reporter.note)
    for file in folder.tokenizer, folder.model, *folder.own_ops():  # of a run that was killed while it was being made
        file.unlink(missing_ok=True)
    folder.remove_unfinished()
    settings = _settings(written["preset"], written["given"], swept)
    corpus = settings.task.corpus
    if corpus not in CORPUS_NAMES and not _is_there(corpus) and written["corpus_path"]:
        settings = dataclasses.replace(
            settings, task=dataclasses.replace(settings.task, corpus=written["corpus_path"])
        )  # the sweep goes on from another folder
    run = start_run(settings, folder.path, pairs, progress, reporter.note, own_model)
    del lock  # `run` holds it now
    return run


def _is_there(corpus: str) -> bool:
    return Path(corpus).exists() or is_parallel(corpus)


def _settings(preset: str | None, given: dict[str, Any], swept: dict[str, Any]) -> AnySettings:
    try:
        return choose_settings(preset, given | swept)
    except UserError as error:
        raise UserError(f"--sweep, {described(swept)}: {error}") from None
