"""The folder of a run: its files, how it is made, and the content of config.json.

config.json holds every setting and what the run was made from, enough to check that a resumed run is the same run:

    task                   its name and its settings
    model, train           the settings of the model (without vocab_size, see below) and of the trainer
    parameters, facts      how many parameters the model has; what facts_of in health/history.py knows of it
    device                 where the run began: "the CPU", or the GPU's name
    own_pairs              op, file name and SHA-256 of each pair given with --with; `new` where it makes the op
    versions               of this package, Python, NumPy and Numba
    extensions             of a run that was extended; see extension.py

    tokenizer              of a text: the SHA-256 of tokenizer.json
    corpus                 of a text: its absolute path, its SHA-256, the tokens and bytes of each part, or the
                           documents, sentences and pairs
    preset, vocab_size     of what `train` makes
    own_model              with --model: the file's name and its SHA-256
    from                   with --from: the model's name, its absolute path, the SHA-256 of its files, its own
                           config.json
"""

import dataclasses
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import check_fits, read_json
from tinygrad_gpt.files.locks import Lock
from tinygrad_gpt.files.storage import TEMPORARY, read_file, reason
from tinygrad_gpt.train.metrics import has_rows, hold_run

RUNS = Path("runs")
_LARGEST_TOKENIZER = 1 << 30  # bytes
_LONGEST = 100  # bytes of a corpus's name in the name of a folder; systems allow 255
_PREDICT = ": `tinygrad-gpt predict` uses it; in Python, tinygrad_gpt.train.fine_tuning.FineTuned"
_OF_FIT = (
    ": make the model again, then arrays = tinygrad_gpt.load('DIR/checkpoint.safetensors') and "
    "model.load_state_dict({k[6:]: a for k, a in arrays.items() if k.startswith('model.')})"
)
# The names of all tasks, and how to use the model of a run that learned another one than the one asked for.
OPENED_BY = {
    "next-token": "",
    "stream": "",
    "masked-lm": ": `tinygrad-gpt predict` uses it, to fill gaps",
    "permutation-lm": ": `tinygrad-gpt finetune` starts from it",
    "translation": ": `tinygrad-gpt translate` uses it",
    "classification": ": `tinygrad-gpt classify` uses it; in Python, tinygrad_gpt.train.fine_tuning.FineTuned",
    "similarity": _PREDICT,
    "token-labels": _PREDICT,
    "spans": _PREDICT,
    "pairs": _OF_FIT,
    "windows": _OF_FIT,
    "source-targets": _OF_FIT,
}
# The schema of config.json (see json_files.py).
_SCHEMA = {
    "task?": {"name": str},  # older versions had only next-token
    "model": dict,
    "train": dict,
    "own_pairs": [{"op": str, "file": str, "sha256": str, "new?": bool}],
    "corpus?": {"path?": (str, None), "sha256?": str},
    "own_model?": {"file": str, "sha256": str},
    "from?": {"path?": (str, None), "sha256": {...: str}, "hf_config?": dict},
    "parameters?": int,
    "facts?": dict,
    "tokenizer?": str,
}


@dataclasses.dataclass(frozen=True)
class RunFolder:
    path: Path

    config = property(lambda self: self.path / "config.json")  # see above; it makes the folder a run folder
    model = property(lambda self: self.path / "own_model.py")  # with --model: a copy of the file
    tokenizer = property(lambda self: self.path / "tokenizer.json")
    metrics = property(lambda self: self.path / "metrics.jsonl")  # a row per log interval, with the health check's
    loss_plot = property(lambda self: self.path / "loss.png")
    doctor_plot = property(lambda self: self.path / "doctor.png")  # drawn by `tinygrad-gpt doctor`
    checkpoint = property(lambda self: self.path / "checkpoint.safetensors")  # the latest state
    failure = property(lambda self: self.path / "failure.json")  # why it ended, if a loss was not finite
    sample = property(lambda self: self.path / "sample.txt")  # text that the model wrote at the end

    def weights(self, name: str) -> Path:
        """Where the weights that a run may need to end lie (ending.py): of a step, or the best ones."""
        return self.path / f"weights-{name}.safetensors"

    def own_op(self, op: str) -> Path:
        """Where the copy of the file for an op is, with --with. Raises UserError for what is no name."""
        if not op.isidentifier():
            raise UserError(f"{self.config} is damaged: expected the name of an op in own_pairs, got {shown(op)}")
        return self.path / f"own_op_{op}.py"

    def own_ops(self) -> list[Path]:
        """All of these."""
        return sorted(self.path.glob("own_op_*.py"))

    def read_config(
        self, task: str | tuple[str, ...] = "", model: str = "", also: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The content of config.json.

        task, model  for some tasks only: a name or several, and what their model is
        also         a schema of further entries

        Raises UserError for a folder that is not a run folder, for a run of another task, and for a damaged file.
        """
        if not self.path.is_dir():
            raise UserError(f"there is no run folder {self.path}")
        if not self.config.exists():
            inside = min(self.path.glob(f"*/{self.config.name}"), default=None)
            such_as = f"; name one of those in it, such as {inside.parent}" if inside else ""
            raise UserError(f"{self.path} is not a run folder: it has no {self.config.name}{such_as}")
        config = read_json(self.config)
        if "model_type" in config:
            raise UserError(f"{self.path} is a Hugging Face folder, not a run folder: it has the weights, not the run")
        check_fits(config, _SCHEMA, self.config)
        learned = _task_in(config)
        if task and learned not in ((task,) if isinstance(task, str) else task):
            how = OPENED_BY.get(learned, "")
            raise UserError(f"{self.path} is a run that learns the task {in_short(learned)}, not {model}{how}")
        return check_fits(config, also or {}, self.config)

    def task_name(self) -> str:
        """What the run learns. Raises UserError as read_config does."""
        return _task_in(self.read_config())

    def check_tokenizer(self, written: dict[str, Any]) -> None:
        """Raise UserError if the file holds another tokenizer than the one of config.json, `written`, or none: its ids
        would mean other texts. A run that has no tokenizer is right."""
        fingerprint = written.get("tokenizer")
        if fingerprint and hashlib.sha256(read_file(self.tokenizer, _LARGEST_TOKENIZER)).hexdigest() != fingerprint:
            raise UserError(f"{self.tokenizer} is not the tokenizer that this run was started with: put that one back")

    def hold(self) -> Lock:
        """Hold the run for this process, for as long as the Lock lives: before anything is written, and while it
        trains. Raises InUseError while another process holds it."""
        return hold_run(self.metrics)

    def remove_unfinished(self) -> None:
        """Delete the unfinished files of a killed run, which this process holds now."""
        for file in self.path.glob(f"*{TEMPORARY}"):
            with suppress(OSError):
                file.unlink()


def _task_in(config: dict[str, Any]) -> str:
    return config.get("task", {}).get("name", "next-token")


def discard(path: Path) -> None:
    """Delete the new folder of a run, or of a fine-tuning, in which nothing has been saved yet."""
    if not any(path.rglob("checkpoint.safetensors")):
        shutil.rmtree(path, ignore_errors=True)
        if path.parent == RUNS:
            with suppress(OSError):  # it holds other runs
                RUNS.rmdir()


def _how_to_go_on(out: Path) -> str:
    """What continues the run in this folder, as the beginning of an advice; "" for a task of the user's own."""
    try:
        how = OPENED_BY.get(RunFolder(out).task_name())
    except UserError:
        return ""
    if how is None:
        return ""
    return f"continue it with {'fit(..., resume=True)' if how is _OF_FIT else command('--resume', out)}, or "


def discard_unmade(path: Path) -> None:
    """Delete the folder of a run that could not be made."""
    if path.is_dir() and is_new(path):
        shutil.rmtree(path, ignore_errors=True)


def is_new(folder: Path) -> bool:
    """Whether this is an empty folder, or does not exist. (A run that is being made first has an empty file, by which
    it is held.)"""
    if not folder.exists():
        return True
    return folder.is_dir() and not any(file != RunFolder(folder).metrics or has_rows(file) for file in folder.iterdir())


def check_is_new(out: Path) -> None:
    """Raise UserError if `out` is a file or a folder that is not empty."""
    if is_new(out):
        return
    if RunFolder(out).config.exists():
        raise UserError(f"the run folder {out} exists: {_how_to_go_on(out)}choose another folder")
    raise UserError(f"{out} exists and is not empty: choose another --out")


@contextmanager
def creating(out: Path | None, corpus: str, held: bool = False) -> Iterator[RunFolder]:
    """A new run folder: `out`, or the first of runs/CORPUS-1, runs/CORPUS-2, ... that does not exist. If the block ends
    with an exception, Ctrl-C included, the folder is deleted with its content and the folders made for it.

    held  whether the folder is that of one run, which this process then holds inside the block

    Raises UserError if `out` is not empty, or when the system refuses.
    """
    made: list[Path] = []  # outermost first
    try:
        folder = RunFolder(out if out is not None else _next_run(corpus, made))
        if out is not None:
            check_is_new(out)
            made += [path for path in reversed([out, *out.parents]) if not path.exists()]
            out.mkdir(parents=True, exist_ok=True)
        lock = folder.hold() if held else None
        check_is_new(folder.path)  # another process may have been quicker
        try:
            yield folder
        except BaseException:
            for file in folder.path.iterdir():  # all of them are ours: the folder was new, or empty
                with suppress(OSError):
                    shutil.rmtree(file) if file.is_dir() else file.unlink()
            raise
        finally:
            del lock  # who wants to go on holding it has it too
    except BaseException as error:
        for path in reversed(made):
            with suppress(OSError):  # another program has put something there
                path.rmdir()
        if isinstance(error, OSError):
            raise UserError(f"cannot make the run folder {out or RUNS}: {reason(error)}") from error
        raise


def _next_run(corpus: str, made: list[Path]) -> Path:
    """Make the next folder in RUNS, and add the folders made to `made`."""
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
