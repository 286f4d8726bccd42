"""An exercise, as its folder in the bank describes it: exercise.toml, the source, the hints, other right versions."""

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.exercises.cutting import Cut, cut
from tinygrad_gpt.files.json_files import check_fits
from tinygrad_gpt.files.storage import read_file

BANK = Path(__file__).parent / "bank"
KINDS = ("pair", "function", "intermediates", "tests", "probe", "predict", "diagnose")
STEPS = ("look", "why", "derivation")  # the steps of hints.md, in their order
_LARGEST = 1 << 20  # bytes of a file in the bank
_SCHEMA = {"id": str, "title": str, "kind": str, "lesson": int, "minutes": int, "difficulty": int}
_SCHEMA |= {"op?": str, "function?": str, "needs?": [str], "mistakes?": [str], "train?": dict, "answers?": {...: str}}


@dataclass(frozen=True, eq=False)
class Exercise:
    """What exercise.toml says; the fields stand in the docstring of the package. `folder` is where it lies."""

    folder: Path
    id: str
    title: str
    kind: str
    lesson: int
    minutes: int
    difficulty: int
    op: str = ""
    function: str = ""
    needs: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    train: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """What a learner's file is called."""
        return f"{self.id}.py"

    @cached_property
    def cut(self) -> Cut:
        return cut(self.text("source.py"))

    @cached_property
    def hash(self) -> str:
        """Of what a learner opens: another one after an update says that the text has changed."""
        return hashlib.sha256(self.cut.stub.encode()).hexdigest()[:16]

    @cached_property
    def solution(self) -> ModuleType:
        return module_of(self.cut.solution, f"{self.id}_solution")

    @cached_property
    def wheats(self) -> dict[str, str]:
        """Other right versions: what each does otherwise (the first line of its docstring) -> its text."""
        texts = [path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("wheat_*.py"))]
        return {re.match(r'"""(.*?)(?:\.?""")?\n', text + "\n")[1].rstrip("."): text for text in texts}

    @cached_property
    def checks(self) -> ModuleType:
        """checks.py: the cases and wrong versions of an exercise that is no pair."""
        return module_of(self.text("checks.py"), f"{self.id}_checks")

    @cached_property
    def hints(self) -> dict[str, str]:
        """hints.md by the headings of its sections: "look", "why", "why S01", "derivation"."""
        parts = re.split(r"^## (.+)\n", self.text("hints.md"), flags=re.MULTILINE)
        return {head.strip(): text.strip() for head, text in zip(parts[1::2], parts[2::2], strict=True)}

    def text(self, name: str) -> str:
        """A file of the folder. Raises UserError if there is none."""
        return read_file(self.folder / name, _LARGEST).decode("utf-8").replace("\r\n", "\n")


def module_of(text: str, name: str) -> ModuleType:
    """Run a text of the bank as a module."""
    module = ModuleType(name)
    exec(compile(text, f"<{name}>", "exec"), vars(module))
    return module


def read_exercise(folder: Path) -> Exercise:
    """The exercise in a folder. Raises UserError for an exercise.toml that is missing, damaged or incomplete."""
    path = folder / "exercise.toml"
    try:
        content = tomllib.loads(read_file(path, _LARGEST).decode("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None
    check_fits(content, _SCHEMA, path)
    if unknown := content.keys() - {name.removesuffix("?") for name in _SCHEMA}:
        raise UserError(f"{path} has {shown(min(unknown))}, which no exercise has")
    if content["kind"] not in KINDS:
        raise UserError(f"{path}: kind should be one of {', '.join(KINDS)}, not {shown(content['kind'])}")
    for name in ("needs", "mistakes"):
        content[name] = tuple(content.get(name, ()))
    return Exercise(folder, **content)


@lru_cache
def read_bank(place: Path = BANK) -> dict[str, Exercise]:
    """The exercises in a folder of folders, by id: lesson by lesson, the easy ones first, each after those it needs."""
    found = [read_exercise(path.parent) for path in place.glob("*/exercise.toml")]
    if not found:
        raise UserError(f"there are no exercises in {place}: expected folders with an exercise.toml")
    return in_order(found)


def in_order(exercises: list[Exercise]) -> dict[str, Exercise]:
    """By lesson and difficulty, but each after those that it needs. Those that need each other come last."""
    rest = sorted(exercises, key=lambda e: (e.lesson, e.difficulty, e.id))
    names, done = {e.id for e in rest}, {}
    while rest:
        free = [e for e in rest if set(e.needs) & names <= done.keys()] or rest
        done[free[0].id] = free[0]
        rest.remove(free[0])
    return done


def find(id: str, place: Path = BANK) -> Exercise:
    """The exercise of this id. Raises UserError for one that is not known."""
    known = read_bank(place)
    if id not in known:
        near = did_you_mean(id, known)
        raise UserError(f"there is no exercise {shown(id)}{near}; `tinygrad-gpt exercise list` lists them")
    return known[id]
