"""The folder of a run: what lies in it, how it is made, and what config.json says.

config.json holds every setting and what the run was made from, enough to see whether a resumed run is the same run:

    preset, model, train   the settings (presets.Settings)
    vocab_size, parameters what came out of them
    tokenizer              the SHA-256 of tokenizer.json
    corpus                 its SHA-256, how many tokens and bytes each part has, and health/text.py's facts
    device                 what it was begun on: "the CPU", or the GPU's name
    from                   with --from: the model's name, the SHA-256 of its files, what its own config.json said
    own_pairs              op, file name and SHA-256 of each pair given with --with
    versions               of this package, Python, NumPy and Numba
"""

import dataclasses
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.storage import TEMPORARY, replacing
from tinygrad_gpt.train.config import MODEL_FIELDS, SETTINGS, TRAIN_FIELDS, TrainConfig, option_name
from tinygrad_gpt.train.presets import Settings, window_for_block_size

RUNS = Path("runs")
_LISTED = 3  # differences that are spelled out
# What a config.json must have to be one.
_NEEDED = {
    "preset": str,
    "model": dict,
    "train": dict,
    "vocab_size": int,
    "tokenizer": str,
    "corpus": dict,
    "own_pairs": list,
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
        with replacing(self.config) as file:
            file.write((json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())

    def read_config(self) -> dict[str, Any]:
        """What `write_config` wrote. Raises UserError for a folder that is no run, or a damaged file."""
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {self.path}")
        if not self.config.exists():
            raise UserError(f"{self.path} is no run folder: it has no {self.config.name}")
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.config} is damaged: {error}") from None
        found = config if isinstance(config, dict) else {}
        if "model_type" in found:
            raise UserError(f"{self.path} is a Hugging Face folder, not a run folder: it has the weights, not the run")
        missing = [name for name, kind in _NEEDED.items() if not isinstance(found.get(name), kind)]
        if missing:
            raise UserError(
                f"{self.config} is damaged, or no run's: it lacks {', '.join(missing)} as `train` writes it"
            )
        return config

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
        raise UserError(f"the run folder {out} exists: go on with --resume {out}, or choose another --out")
    raise UserError(f"{out} exists and is not empty: choose another --out")


def create(out: Path | None, corpus: str) -> RunFolder:
    """A new run folder: `out`, or the first of runs/CORPUS-1, runs/CORPUS-2, ... that is not there yet.

    Raises UserError if `out` holds something already, or when the system refuses.
    """
    try:
        if out is not None:
            check_is_new(out)
            out.mkdir(parents=True, exist_ok=True)
            return RunFolder(out)
        RUNS.mkdir(exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", Path(corpus).stem).strip("-.") or "run"
        taken = [int(n) for p in RUNS.glob(f"{name}-*") if (n := p.name.removeprefix(f"{name}-")).isdecimal()]
        number = max(taken, default=0) + 1
        while True:
            with suppress(FileExistsError):  # another run began at the same moment
                (RUNS / f"{name}-{number}").mkdir()
                return RunFolder(RUNS / f"{name}-{number}")
            number += 1
    except OSError as error:
        raise UserError(f"cannot make the run folder {out or RUNS}: {error.strerror or error}") from error


def settings_of(config: dict[str, Any], folder: Path) -> Settings:
    """The settings in a config.json. Those that are newer than it have their defaults, which mean what went without
    saying before. Raises UserError for one that this version does not know."""
    model, train = config["model"], config["train"]
    unknown = sorted({*model} - {f.name for f in MODEL_FIELDS} | {*train} - {f.name for f in TRAIN_FIELDS})
    if unknown:
        raise UserError(f"{folder} was made by another version of tinygrad-gpt (settings: {', '.join(unknown)})")
    defaults = {f.name: f.default for f in MODEL_FIELDS}
    return Settings(config["preset"], defaults | model, TrainConfig(**train))


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
        listed = [f"{option_name(n)} is {before[n]}, not {changed[n]}" for n in refused[:_LISTED]]
        more = f" (and {len(refused) - _LISTED} more)" if len(refused) > _LISTED else ""
        raise UserError(
            f"a resumed run keeps its settings: {', '.join(listed)}{more}; leave it out, or start a new run"
        )
    return dataclasses.replace(saved, train=dataclasses.replace(saved.train, **changed))
