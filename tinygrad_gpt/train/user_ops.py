"""Pairs that the user wrote: `tinygrad-gpt train --with my_layer_norm.py`.

The file defines `forward` and `backward` as the contract in tinygrad_gpt/ops/__init__.py says, and `why_not` if they
cannot take some inputs (see kernels/registry.py). Its variable OP names their op; without it, the file's name does,
without "my_".
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.files.storage import read_file
from tinygrad_gpt.kernels import registry

_LARGEST = 16 << 20  # bytes of a Python file


@dataclass(frozen=True)
class UserPair:
    """A user's pair for one op, and the file that it came from."""

    op: str
    file: Path
    sha256: str
    forward: Callable
    backward: Callable
    why_not: Callable

    def record(self) -> dict[str, str]:
        """What config.json keeps."""
        return {"op": self.op, "file": self.file.name, "sha256": self.sha256}


def load_pair(file: Path) -> UserPair:
    """Run the file and take its pair.

    Raises UserError for a file that is missing, is not valid Python, lacks a function, or is for an unknown op. An
    exception of the file's own code passes through: its author wants the traceback.
    """
    source = read_file(file, _LARGEST)
    try:
        code = compile(source, str(file), "exec")
    except (SyntaxError, ValueError) as error:  # ValueError for zero bytes, in some versions of Python
        if line := getattr(error, "lineno", None):
            raise UserError(f"{file}, line {line}: {error.msg}") from None
        raise UserError(f"{file} is not valid Python: {error}") from None
    module = ModuleType(f"own_pair_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    # Not by import, which may run cached bytecode of an older file: what runs must be what is hashed.
    exec(code, vars(module))
    for function in ("forward", "backward"):
        if not callable(getattr(module, function, None)):
            raise UserError(
                f"{file} does not define {function}(): a pair is forward(*arrays, **settings), backward(dy, saved)"
            )
    op = getattr(module, "OP", file.stem.removeprefix("my_"))
    if op not in registry.op_names():
        raise UserError(
            f"{file} is for the op {shown(op)}, which doesn't exist: name the file my_OP.py, or set OP in it, "
            f"to one of {', '.join(registry.op_names())}"
        )
    why_not = getattr(module, "why_not", lambda *arrays, **settings: None)
    return UserPair(op, file, hashlib.sha256(source).hexdigest(), module.forward, module.backward, why_not)


def load_pairs(files: list[Path]) -> list[UserPair]:
    """The pair of each file. Raises UserError as `load_pair` does, and for two files for one op."""
    pairs: dict[str, UserPair] = {}
    for pair in map(load_pair, files):
        if pair.op in pairs:
            raise UserError(f"{pairs[pair.op].file} and {pair.file} are both for {pair.op}: give only one of them")
        pairs[pair.op] = pair
    return list(pairs.values())


def check_same_pairs(saved: list[dict[str, str]], pairs: list[UserPair]) -> None:
    """Raise UserError unless a resumed run is given exactly the files that it was started with."""
    before, now = {r["op"]: r for r in saved}, {p.op: p for p in pairs}
    for op, record in before.items():
        if op not in now:
            again = command("--with", record["file"])
            raise UserError(f"this run was started with {record['file']} for {op}: give it again, {again}")
        if now[op].sha256 != record["sha256"]:
            raise UserError(f"{now[op].file} has changed since this run was started with it: start a new run with it")
    for op, pair in now.items():
        if op not in before:
            raise UserError(f"this run was not started with {pair.file} for {op}: leave it out, or start a new run")


def install(pairs: list[UserPair]) -> list[registry.Version]:
    """Use the pairs wherever their ops run. Returns their versions, which `registry.unregister` takes away again."""
    return [registry.register(p.op, p.forward, p.backward, name=p.file.stem, why_not=p.why_not) for p in pairs]
