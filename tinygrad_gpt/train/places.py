"""Find again what a run was made from: its text, or the model that it began with.

A relative path means another file in another working directory. So config.json keeps the absolute path beside what was
given, and the SHA-256 of what was there; whatever is found again is compared with that.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import user_path

PUT_BACK = ": put it back, or start a new run"  # what to do, for a run that is resumed
_AROUND = 4  # folders around a run that are searched


def absolute(given: str | Path) -> str:
    """The absolute path of what the user wrote, with links kept."""
    return os.path.abspath(user_path(given))


def find_again(
    what: str,
    given: str,
    known: dict[str, Any],
    folder: Path,
    read: Callable[[str], Any],
    remedy: str = PUT_BACK,
    exists: Callable[[str], bool] = os.path.exists,
) -> Any:
    """What a run in `folder` was made from, read again.

    what   "corpus", for messages
    given  what the user wrote: a path, or a name of something to download
    known  its absolute path (None for a name) and SHA-256, from config.json
    read   returns what is at a place, with an attribute `sha256`
    exists says whether there is anything at a place

    Raises UserError if it cannot be found, or has changed.
    """
    recorded = known.get("path")
    is_name = "path" in known and recorded is None
    found = [] if is_name else [place for place in _places(given, recorded, folder) if exists(place)]
    if recorded and not found:
        raise UserError(f"the {what} that this run was started with is not at {recorded} any more{remedy}")
    for place in found or [given]:
        thing = read(place)
        if thing.sha256 == known.get("sha256"):
            return thing
    raise UserError(f"the {what} {(found or [given])[0]} has changed since this run was started{remedy}")


def _places(given: str, recorded: str | None, folder: Path) -> list[str]:
    """The places that a path may mean, likeliest first: the recorded one; relative to the working directory;
    relative to a folder around the run, with which it may have been moved."""
    name = os.path.normpath(user_path(given))
    places = [recorded] if recorded else []
    places += [absolute(given)]
    places += [os.path.join(around, name) for around in Path(absolute(folder)).parents[:_AROUND]]
    places += [os.path.join(os.path.dirname(absolute(folder)), os.path.basename(name))]
    return list(dict.fromkeys(places))
