"""What a run was made from, found again: its text, or the model that it began with.

A relative path means one thing where a run is started, and another where it is used. So config.json keeps the absolute
path beside what was given, and the SHA-256 of what was there, and whatever is found again is compared with that.
"""

import os
from pathlib import Path

from tinygrad_gpt.files.storage import user_path

_AROUND = 4  # folders around a run in which its text is looked for


def absolute(given: str | Path) -> str:
    """The absolute path of what the user wrote, links as they are."""
    return os.path.abspath(user_path(given))


def places(given: str, recorded: str | None, folder: Path) -> list[Path]:
    """Where there is something that may be what a run in `folder` was made from, most likely first: where it was; what
    its name means here; what it means in one of the folders around the run, with which it may have been moved.

    given, recorded  what the user wrote, and the absolute path that it meant then, if that was recorded
    """
    found = [recorded] if recorded else []
    found.append(absolute(given))
    name = os.path.normpath(user_path(given))
    found += [os.path.join(around, name) for around in Path(absolute(folder)).parents[:_AROUND]]
    found += [os.path.join(os.path.dirname(absolute(folder)), os.path.basename(name))]
    return [Path(place) for place in dict.fromkeys(found) if os.path.exists(place)]
