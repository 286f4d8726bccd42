"""What a learner has done, by the ids of exercises, in one JSON file of the user's.

    {"last": "softmax", "exercises": {"softmax": {"state": "right", "hints": 2, "text": "5e9c...", ...}}}

It lies where the system keeps a program's data, or where the environment variable TINYGRAD_GPT_PROGRESS says. An id
that this version of the package does not know stays in it: an update loses nothing.
"""

import os
import sys
from dataclasses import asdict, dataclass, fields, replace
from itertools import count
from pathlib import Path
from shutil import move

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import LARGEST, parse_json, write_json
from tinygrad_gpt.files.storage import read_file, user_path

VARIABLE = "TINYGRAD_GPT_PROGRESS"
STARTED, TRIED, DONE, GAVE_UP = "started", "tried", "right", "given up"


@dataclass(frozen=True)
class Record:
    """What is known of one exercise.

    state    STARTED, TRIED, DONE or GAVE_UP; "" before it is started
    hints    how many hints were taken, all told
    step     how far up the ladder, for this mistake
    mistake  the one that the last hint was about, "" if it had no name
    names    whether `check` told names last
    text     the hash of the text that was started with
    file     the learner's file
    """

    state: str = ""
    hints: int = 0
    step: int = 0
    mistake: str = ""
    names: bool = True
    text: str = ""
    file: str = ""


_SCHEMA = {f"{f.name}?": f.type for f in fields(Record)}


class Progress:
    """The file, read when made and written at each `note`."""

    def __init__(self, path: Path | None = None):
        self.path = path or progress_file()
        content = {"last": "", "exercises": {}}
        if self.path.exists():
            content = self._read() or content
        self.last, self._records = content["last"], content["exercises"]

    def _read(self) -> dict | None:
        """The file's content. One that is damaged is moved aside, which is said once: then None."""
        text = read_file(self.path, LARGEST)
        try:
            return parse_json(text, self.path, {"last": str, "exercises": {...: _SCHEMA}})
        except UserError as error:
            aside = next(path for path in map(self._aside, count(1)) if not path.exists())
            move(self.path, aside)
            print(f"warning: {error}; it is kept as {aside}, and your progress begins anew", file=sys.stderr)
            return None

    def _aside(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.damaged{number}")

    def of(self, id: str) -> Record:
        known = {f.name for f in fields(Record)}
        return Record(**{name: value for name, value in self._records.get(id, {}).items() if name in known})

    def note(self, id: str, **changes) -> Record:
        """Change the record of an exercise, which is now the last one, and write the file."""
        record = replace(self.of(id), **changes)
        self._records[id] = self._records.get(id, {}) | asdict(record)
        self.last = id
        write_json(self.path, {"last": self.last, "exercises": self._records})
        return record


def progress_file() -> Path:
    """TINYGRAD_GPT_PROGRESS, or exercises.json in the user's folder for data: on Linux and others $XDG_DATA_HOME or
    ~/.local/share; on macOS ~/Library/Application Support; on Windows %APPDATA%; each with /tinygrad_gpt."""
    if value := os.environ.get(VARIABLE):
        return user_path(value)
    home = user_path("~")
    if not home.is_absolute():
        raise UserError(f"this user has no home folder to keep progress in: set {VARIABLE} to the name of a file")
    if sys.platform == "win32":
        place = os.environ.get("APPDATA") or home / "AppData" / "Roaming"
    elif sys.platform == "darwin":
        place = home / "Library" / "Application Support"
    else:
        place = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    return Path(place) / "tinygrad_gpt" / "exercises.json"
