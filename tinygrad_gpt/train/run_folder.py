"""The folder of a run: what lies in it, how it is made, and what config.json says.

config.json holds every setting and what the run was made from, enough to see whether a resumed run is the same run:

    preset, model, train   the settings (presets.Settings)
    vocab_size, parameters what came out of them
    tokenizer              the SHA-256 of tokenizer.json
    corpus                 its absolute path, its SHA-256, how many tokens and bytes each part has, and health/text.py's
                           facts
    device                 what it was begun on: "the CPU", or the GPU's name
    from                   with --from: the model's name, its absolute path, the SHA-256 of its files, what its own
                           config.json said
    own_pairs              op, file name and SHA-256 of each pair given with --with
    versions               of this package, Python, NumPy and Numba
"""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import check_fits, read_json, write_json
from tinygrad_gpt.files.storage import TEMPORARY, reason
from tinygrad_gpt.train.config import MODEL_FIELDS, SETTINGS, TRAIN_FIELDS, TrainConfig, option_name
from tinygrad_gpt.train.presets import Settings, check_together, window_for_block_size

RUNS = Path("runs")
_LISTED = 3  # differences that are spelled out
_LONGEST = 100  # bytes of a corpus's name in that of a folder: a system takes 255
# What a config.json must have to be one (see json_files.py), and how it is where it is there.
_NEEDED = {
    "preset": str,
    "model": dict,
    "train": dict,
    "vocab_size": int,
    "tokenizer": str,
    "corpus": dict,
    "own_pairs": [{"op": str, "file": str, "sha256": str}],
}
_DETAILS = {
    "corpus": {"path?": (str, None), "sha256?": str},
    "from?": {"path?": (str, None), "sha256": {...: str}, "hf_config?": dict},
    "parameters?": int,
}


@dataclasses.dataclass(frozen=True)
class RunFolder:
    path: Path

    config = property(lambda self: self.path / "config.json")
    tokenizer = property(lambda self: self.path / "tokenizer.json")
    metrics = property(lambda self: self.path / "metrics.jsonl")
    loss_plot = property(lambda self: self.path / "loss.png")
    doctor_plot = property(lambda self: self.path / "doctor.png")
    checkpoint = property(lambda self: self.path / "checkpoint.safetensors")
    sample = property(lambda self: self.path / "sample.txt")

    def write_config(self, config: dict[str, Any]) -> None:
        write_json(self.config, config)

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote. Raises UserError for a folder that is no run, or a damaged file."""
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {self.path}")
        if not self.config.exists():
            raise UserError(f"{self.path} is no run folder: it has no {self.config.name}")
        config = read_json(self.config)
        if "model_type" in config:
            raise UserError(f"{self.path} is a Hugging Face folder, not a run folder: it has the weights, not the run")
        return check_fits(config, _NEEDED | _DETAILS, self.config)

    def remove_unfinished(self) -> None:
        """Delete the files that a killed run was still writing."""
        for file in self.path.glob(f"*{TEMPORARY}"):
            with suppress(OSError):
                file.unlink()


def is_new(folder: Path) -> bool:
    """Whether there is nothing, or an empty folder."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def check_is_new(out: Path) -> None:
    """Raise UserError if `out` holds something already."""
    if is_new(out):
        return
    if RunFolder(out).config.exists():
        raise UserError(f"the run folder {out} exists: go on with {command('--resume', out)}, or choose another --out")
    raise UserError(f"{out} exists and is not empty: choose another --out")


@contextmanager
def creating(out: Path | None, corpus: str) -> Iterator[RunFolder]:
    """A new run folder: `out`, or the first of runs/CORPUS-1, runs/CORPUS-2, ... that is not there yet. Where the block
    ends by an exception, Ctrl-C included, it goes again, with what was written to it and the folders made for it.

    Raises UserError if `out` holds something already, or when the system refuses.
    """
    made: list[Path] = []  # outermost first
    try:
        folder = RunFolder(out if out is not None else _next_run(corpus, made))
        if out is not None:
            check_is_new(out)
            made += [path for path in reversed([out, *out.parents]) if not path.exists()]
            out.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except BaseException:
            for file in folder.path.iterdir():
                with suppress(OSError):
                    file.unlink()
            raise
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):  # somebody else has put something there
                path.rmdir()
        if isinstance(error, OSError):
            raise UserError(f"cannot make the run folder {out or RUNS}: {reason(error)}") from error
        raise


def _next_run(corpus: str, made: list[Path]) -> Path:
    """Make the next folder in RUNS; what was made is added to `made`."""
    if not RUNS.exists():
        made.append(RUNS)
    RUNS.mkdir(exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", Path(corpus).stem).encode()[:_LONGEST].decode(errors="ignore").strip("-.") or "run"
    taken = [int(n) for p in RUNS.glob(f"{name}-*") if (n := p.name.removeprefix(f"{name}-")).isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        with suppress(FileExistsError):  # another run began at the same moment
            path = RUNS / f"{name}-{number}"
            path.mkdir()
            made.append(path)
            return path
        number += 1


def settings_of(config: dict[str, Any], folder: Path) -> Settings:
    """The settings in a config.json. Those that are newer than it have their defaults, which mean what went without
    saying before. Raises UserError for one that this version does not know, and for values that cannot be."""
    model, train = config["model"], config["train"]
    unknown = sorted({*model} - {f.name for f in MODEL_FIELDS} | {*train} - {f.name for f in TRAIN_FIELDS})
    if unknown:
        raise UserError(
            f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
        )
    defaults = {f.name: f.default for f in MODEL_FIELDS}
    try:
        settings = Settings(config["preset"], defaults | model, TrainConfig(**train))
        check_together(settings)
    except UserError as error:
        raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None
    return settings


def resumed_settings(saved: Settings, preset: str | None, given: dict[str, Any]) -> Settings:
    """The settings of a resumed run: the saved ones, with given ones that cannot change the outcome.

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    if preset is not None and preset != saved.preset:
        raise UserError(f"this run was started with --preset {saved.preset}, not {preset}: leave it out, or start anew")
    if saved.train.from_:
        given = window_for_block_size(given)
    before = saved.values()
    changed = {name: value for name, value in given.items() if value != before[name]}
    refused = [name for name in changed if not SETTINGS[name].metadata.get("free")]
    if refused:
        listed = [f"{option_name(n)} is {in_short(before[n])}, not {in_short(changed[n])}" for n in refused[:_LISTED]]
        more = f" (and {len(refused) - _LISTED} more)" if len(refused) > _LISTED else ""
        raise UserError(
            f"a resumed run keeps its settings: {', '.join(listed)}{more}; leave it out, or start a new run"
        )
    return dataclasses.replace(saved, train=dataclasses.replace(saved.train, **changed))
