"""Python files of the user's: read once, hashed, and run as modules."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import read_file

_LARGEST = 16 << 20  # bytes of a Python file


@dataclass(frozen=True)
class UserFile:
    """A file and what it held when it was run.

    module  what it defines
    """

    path: Path
    source: bytes
    module: ModuleType

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def run_file(path: Path, kind: str, sha256: str | None = None) -> UserFile:
    """Run the file as a module of its own, OWN_KIND_NAME.

    sha256  what its hash must be; None: anything

    Raises UserError for a file that is missing, is not valid Python, or has another hash, before it runs. An exception
    of the file's own code passes through: its author wants the traceback.
    """
    source = read_file(path, _LARGEST)
    if sha256 is not None and hashlib.sha256(source).hexdigest() != sha256:
        raise UserError(f"{path} is not the file that this run was started with: put that one back")
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:  # ValueError for zero bytes, in some versions of Python
        if isinstance(error, SyntaxError) and error.lineno:
            raise UserError(f"{path}, line {error.lineno}: {error.msg}") from None
        raise UserError(f"{path} is not valid Python: {error}") from None
    module = ModuleType(f"own_{kind}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    # Not by import, which may run cached bytecode of an older file: what runs must be what is hashed.
    exec(code, vars(module))
    return UserFile(path, source, module)
