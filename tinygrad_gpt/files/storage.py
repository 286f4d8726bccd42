"""Where data is kept between runs, and how files are written: a crash leaves either the old file or the new one."""

import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tinygrad_gpt.errors import UserError

DATA_VARIABLE = "TINYGRAD_GPT_DATA"
CACHE_VARIABLE = "TINYGRAD_GPT_CACHE"
TEMPORARY = ".tmp"  # the names of unfinished files end with it
ABANDONED_AFTER = 24 * 3600.0  # seconds without a write; older unfinished files are deleted


def data_folder() -> Path | None:
    """The folder that the environment variable TINYGRAD_GPT_DATA names, or None.

    Raises UserError if it names something that is not a folder.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    folder = user_path(value)
    if not folder.is_dir():
        raise UserError(f"{DATA_VARIABLE} should name a folder, but {folder} is not a folder: correct it or unset it")
    return folder


def cache_folder() -> Path:
    """The folder of downloads and token files: TINYGRAD_GPT_CACHE, or the platform's place for caches.

    Linux and others: $XDG_CACHE_HOME or ~/.cache; macOS: ~/Library/Caches; Windows: %LOCALAPPDATA%; each with
    /tinygrad_gpt. The folder may not exist yet.
    """
    value = os.environ.get(CACHE_VARIABLE)
    if value:
        return user_path(value)
    home = user_path("~")
    if not home.is_absolute():
        raise UserError(f"this user has no home folder for a cache: set {CACHE_VARIABLE} to a folder")
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        place = home / "Library" / "Caches"
    else:
        place = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(place) / "tinygrad_gpt"


def user_path(text: str | os.PathLike) -> Path:
    """The path that a user wrote, with ~ expanded to the home folder. A ~NAME without a user stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file.

    Raises UserError, naming it, if it cannot be read, has more than `most` bytes, or is not a file on a disk: a pipe
    may never answer, and a device may never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"cannot read {path}: it is not a file")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                raise UserError(f"cannot read {path}: it is larger than {most:,} bytes, the limit for such a file")
            return file.read()
    except (OSError, ValueError) as error:  # ValueError for a path with a zero byte
        raise UserError(f"cannot read {path}: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why the system refused, in a few words."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes the place of `path` when the `with` block ends well, and vanishes when it does not.

    It is written beside `path`, flushed to the disk, and renamed. So a reader, or a crash at any moment, finds the old
    file or the whole new one. Several writers at once do not collide: each has its own unfinished file, and the last
    one wins.

    Raises UserError if the system refuses (disk full, no permission); the unfinished file is removed.
    """
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError):
            hint = f"; set {CACHE_VARIABLE} to use another folder" if cache_folder() in path.parents else ""
            raise UserError(f"cannot write {path}: {reason(error)}{hint}") from error
        raise


def remove_abandoned(folder: Path) -> None:
    """Delete unfinished files in `folder` that are more than a day old: killed processes left them."""
    for unfinished in folder.glob(f"*{TEMPORARY}"):
        with suppress(OSError):  # another process may have been quicker
            if time.time() - unfinished.stat().st_mtime > ABANDONED_AFTER:
                unfinished.unlink()
