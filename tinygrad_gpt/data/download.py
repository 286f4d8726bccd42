"""Downloads of files of known content, over HTTPS: whole and right, or not at all."""

import hashlib
from pathlib import Path

from tinygrad_gpt.files.storage import replacing
from tinygrad_gpt.progress import Progress, no_progress

TIMEOUT = 20.0  # seconds without an answer
_CHUNK = 1 << 16


class DownloadError(Exception):
    """Why a download failed, in a few words. The caller adds what the user can do."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, path: Path, sha256: str, max_bytes: int, progress: Progress | None = None) -> None:
    """Download `url` into `path`, calling progress(done_bytes, total_bytes or None) meanwhile.

    `path` appears only when every byte has arrived and the SHA-256 is right. Raises DownloadError if the download fails
    (no network, HTTP error, cut off, more than `max_bytes`, wrong content), and UserError if the file cannot be
    written.
    """
    import http.client  # slow to load, and few runs download
    import urllib.error
    import urllib.request

    progress = progress or no_progress
    request = urllib.request.Request(url, headers={"User-Agent": "tinygrad_gpt", "Accept-Encoding": "identity"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, replacing(path) as file:
            _receive(answer, file, sha256, max_bytes, progress)
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"the server answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise DownloadError(str(getattr(error.reason, "strerror", None) or error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(str(error) or type(error).__name__) from None


def _receive(answer, file, sha256: str, max_bytes: int, progress: Progress) -> None:
    length = answer.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    if total is not None and total > max_bytes:
        raise DownloadError(f"the file has {total} bytes, and at most {max_bytes} were expected")
    digest, done = hashlib.sha256(), 0
    while True:
        progress(done, total)
        try:
            data = answer.read(_CHUNK)
        except OSError as error:  # which `replacing` would report as a failure of the disk
            raise DownloadError(f"cut off after {done} bytes: {error}") from None
        if not data:
            break
        done += len(data)
        if done > max_bytes:
            raise DownloadError(f"the file has more than the {max_bytes} bytes expected")
        digest.update(data)
        file.write(data)
    if total is not None and done < total:
        raise DownloadError(f"cut off after {done} of {total} bytes")
    if digest.hexdigest() != sha256:
        raise DownloadError(f"the content is not the expected one (SHA-256 {digest.hexdigest()}, not {sha256})")
