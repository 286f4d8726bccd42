"""Pairs that the user wrote: `tinygrad-gpt train --with my_layer_norm.py`.

The file defines `forward` and `backward` as the contract in tinygrad_gpt/ops/__init__.py says, and `why_not` if they
cannot take some inputs (see kernels/registry.py). Its variable OP names their op; without it, the file's name does:
softmax.py and my_softmax.py are for softmax. A name that no op has makes a new one, my_norm of my_norm.py, if the file
says on what to check it: CASES or SHAPES, as cases/given.py takes them. A model of the user's own reaches it by
`tinygrad_gpt.op("my_norm")`. A run keeps a copy of each file, and resumes and opens without the original; what samples
from it or evaluates it runs the copies of new ops alone.

A pair that is right may still never run: the model has no such op. So the first step is counted.
"""

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import is_float
from tinygrad_gpt.errors import UserError, command, did_you_mean
from tinygrad_gpt.files.storage import replacing
from tinygrad_gpt.kernels import catalogue, registry
from tinygrad_gpt.nn.feed_forward import ACTIVATIONS
from tinygrad_gpt.train.user_files import UserFile, run_file

_files: dict[str, tuple[catalogue.OwnOp | None, str]] = {}  # op -> what its file made, and the file's SHA-256


@dataclass
class Runs:
    """How often a pair ran, and what its `why_not` said last."""

    forward: int = 0
    backward: int = 0
    declined: str | None = None


@dataclass(frozen=True)
class UserPair:
    """A user's pair for one op, and the file that it came from.

    cases  what to check it on, for an op that is not the package's; None for the op's own cases
    runs   counts, once the pair is installed
    """

    op: str
    file: Path
    source: bytes
    sha256: str
    forward: Callable
    backward: Callable
    why_not: Callable | None
    cases: Any = None
    runs: Runs = field(default_factory=Runs)

    @property
    def is_new(self) -> bool:
        """Whether it makes its op, or has made it."""
        made = catalogue.own_op(self.op)
        return self.op not in registry.op_names() and (made is None or inspect.unwrap(made.forward) is self.forward)

    def record(self) -> dict[str, Any]:
        """What config.json keeps."""
        return {"op": self.op, "file": self.file.name, "sha256": self.sha256} | ({"new": True} if self.is_new else {})

    def save(self, path: Path) -> None:
        """Write the file again, byte for byte."""
        with replacing(path) as file:
            file.write(self.source)


def load_pair(file: Path) -> UserPair:
    """Run the file and take its pair.

    Raises UserError for a file that is missing, is not valid Python, lacks a function, or is for an op that does not
    exist and has no cases. An exception of the file's own code passes through.
    """
    return _pair_of(run_file(file, "pair"))


def _pair_of(user: UserFile, op: str | None = None) -> UserPair:
    """The pair in a file; for this op, where the file need not say."""
    file, module = user.path, user.module
    for function in ("forward", "backward"):
        if not callable(getattr(module, function, None)):
            raise UserError(
                f"{file} does not define {function}(): a pair is forward(*arrays, **settings), backward(dy, saved)"
            )
    name = op or getattr(module, "OP", _named_by(file))
    cases = None if name in registry.op_names() else _cases(module, file, name)
    why_not = getattr(module, "why_not", None)
    return UserPair(name, file, user.source, user.sha256, module.forward, module.backward, why_not, cases)


def _named_by(file: Path) -> str:
    """The op that a file's name names: of softmax.py and my_softmax.py softmax, of my_norm.py the new op my_norm."""
    known = (op for op in (file.stem, file.stem.removeprefix("my_")) if op in registry.all_ops())
    return next(known, file.stem)


def _cases(module: ModuleType, file: Path, op):
    """What to check an op of the user's own on. Raises UserError if the file does not say."""
    cases = getattr(module, "CASES", getattr(module, "SHAPES", None))
    if cases is None and isinstance(op, str) and (own := catalogue.own_op(op)):
        cases = own.cases
    if (why := catalogue.why_no_name(op)) or cases is None:
        near = did_you_mean(op, ops := registry.all_ops()) or did_you_mean(str(op).removeprefix("my_"), ops)
        new = "" if why else "; for a new op, add what to check it on: SHAPES = [((3, 5), (5,))], or CASES = [(x, w)]"
        raise UserError(
            f"{file} is for the op {shown(op)}, which doesn't exist{near}: name the file OP.py or my_OP.py, or set OP "
            f"in it{new}; `tinygrad-gpt op` lists the ops"
        )
    return cases


def load_pairs(files: list[Path]) -> list[UserPair]:
    """The pair of each file. Raises UserError as `load_pair` does, and for two files for one op."""
    pairs: dict[str, UserPair] = {}
    for pair in map(load_pair, files):
        if pair.op in pairs:
            raise UserError(f"{pairs[pair.op].file} and {pair.file} are both for {pair.op}: give only one of them")
        pairs[pair.op] = pair
    return list(pairs.values())


def with_kept(pairs: list[UserPair], saved: list[dict[str, Any]], file_of: Callable[[str], Path]) -> list[UserPair]:
    """The pairs given to a resumed run, and for those that it was started with and not given, the copies it keeps.

    file_of  where the copy for an op is

    Raises UserError for a copy that has changed.
    """
    given = {pair.op for pair in pairs}
    kept = []
    for record in saved:
        op, copy = record["op"], file_of(record["op"])
        if op not in given and copy.is_file():
            pair = _pair_of(run_file(copy, "pair", record["sha256"]), op)
            kept.append(replace(pair, file=Path(record["file"])))
    return [*pairs, *kept]


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
    """Use the pairs wherever their ops run, and count how often they do. Returns their versions, which
    `registry.unregister` takes away again; a pair for a new op makes it, and has none. Raises UserError for functions
    that the op cannot call."""
    versions = []
    for pair in pairs:
        forward, backward = _counted(pair)
        if pair.is_new:
            _define(pair, forward, backward)
            continue
        declines = {} if pair.why_not is None else {"why_not": _listened_to(pair.why_not, pair.runs)}
        try:
            versions.append(registry.register(pair.op, forward, backward, name=pair.file.stem, **declines))
        except TypeError as error:
            raise UserError(f"{pair.file} cannot run: {str(error).removeprefix('register: ')}") from None
    return versions


def _define(pair: UserPair, forward: Callable, backward: Callable) -> None:
    registry.define(pair.op, forward, backward, pair.cases)
    _files[pair.op] = catalogue.own_op(pair.op), pair.sha256


def restore(path: Path, saved: list[dict[str, Any]], file_of: Callable[[str], Path]) -> None:
    """Make the new ops that a run in the folder `path` was started with, from the copies that it keeps.

    file_of  where the copy for an op is

    Raises UserError for a copy that is missing or has changed, and where an op has been made otherwise.
    """
    for record in saved:
        op, sha256 = record["op"], record["sha256"]
        if not record.get("new"):
            continue
        if catalogue.own_op(op) is None:
            pair = _pair_of(run_file(file_of(op), "pair", sha256), op)
            _define(pair, pair.forward, pair.backward)
        elif _files.get(op) != (catalogue.own_op(op), sha256):
            raise UserError(
                f"{path} has an op {op} of its own, from {record['file']}, and this process has made another of that "
                "name: open it in a process of its own"
            )


def _counted(pair: UserPair) -> tuple[Callable, Callable]:
    """The pair's functions, which write down in `runs` that they ran."""
    runs = pair.runs

    @functools.wraps(pair.forward)
    def forward(*arrays, **settings):
        runs.forward += 1
        result = pair.forward(*arrays, **settings)
        _check_dtype(pair, arrays, result)
        return result

    @functools.wraps(pair.backward)
    def backward(dy, saved):
        runs.backward += 1
        return pair.backward(dy, saved)

    return forward, backward


def _check_dtype(pair: UserPair, arrays: tuple, result) -> None:
    """Raise NeverRanError for an output in another dtype than the arrays: the next op would refuse it, and not know
    whose it is."""
    dtypes = {a.dtype for a in arrays if is_float(a)}
    ys = result[0] if isinstance(result, tuple) and len(result) == 2 else None
    for y in ys if isinstance(ys, tuple) else (ys,):
        if is_float(y) and dtypes and y.dtype not in dtypes:
            given = " and ".join(sorted(map(str, dtypes)))
            raise NeverRanError(
                f"{pair.file}: forward of {pair.op} returned {y.dtype} for {given} arrays, which cannot run: return "
                "the dtype of the inputs, as .astype(x.dtype) does"
            )


def _listened_to(asked: Callable, runs: Runs) -> Callable:
    """A pair's `why_not`, which writes down in `runs` what it said."""

    @functools.wraps(asked)
    def why_not(*arrays, **settings):
        reason = asked(*arrays, **settings)
        runs.declined = reason or runs.declined
        return reason

    return why_not


class NeverRanError(UserError):
    """A pair of the user's that no step runs, or that none can."""


class FirstStep:
    """A reporter that says after the first step of each training how often each pair ran in it. All else it leaves to
    `reporter`.

    Raises NeverRanError for a pair that did not run; with `force` it only says so.
    """

    def __init__(self, reporter, pairs: list[UserPair], force: bool):
        self._reporter, self._pairs, self._force = reporter, pairs, force
        self._counting, self._counts, self._first = ExitStack(), None, []

    def __getattr__(self, name: str):
        return getattr(self._reporter, name)

    def note_first(self, line: str) -> None:
        """Print a line once the first step has shown that every pair runs."""
        self._first.append(line)

    def begin(self, steps: int, done: int) -> None:
        self._reporter.unit, self._reporter.guesses = self.unit, self.guesses  # a trainer has set them here
        self._reporter.begin(steps, done)
        if self._pairs:
            self._counts = self._counting.enter_context(registry.counting())
            for pair in self._pairs:
                pair.runs.forward = pair.runs.backward = 0

    def step(self, step: int, loss: float) -> None:
        self._reporter.step(step, loss)
        if self._counts is not None:
            ops, self._counts = {version.op for version in self._counts}, None
            self._counting.close()
            lines = [self._line(pair, ops) for pair in self._pairs]
            for line in (*self._first, *lines):
                self.note(line)
            self._first = []

    def end(self) -> None:
        self._counting.close()
        self._counts = None
        self._reporter.end()

    def _line(self, pair: UserPair, ops: set[str]) -> str:
        runs = pair.runs
        if runs.forward:
            times = f"{_times(runs.forward)} forward, {_times(runs.backward)} backward"
            return f"{pair.file.name}: {pair.op} ran {times} in the first step"
        what = f"{pair.file.name}: {pair.op} did not run in the first step: {_why_not_run(pair, ops)}"
        if not self._force:
            raise NeverRanError(f"{what}. Leave out {command('--with', pair.file)}, or go on with --force")
        return what


def _times(n: int) -> str:
    return f"{n} time{'s' * (n != 1)}"


def _why_not_run(pair: UserPair, ops: set[str]) -> str:
    if pair.runs.declined:
        return f"its why_not declined each call ({pair.runs.declined})"
    if pair.op not in registry.op_names():
        return f"nothing in the model calls it; a model of your own has it as tinygrad_gpt.op({pair.op!r})"
    inside = [op for op in sorted(ops) if pair.op in catalogue.inside(op)]
    if inside:
        return f"{inside[0]} does its work, and there is another choice for {inside[0]}"
    known = sorted(op for op in ops.union(*map(catalogue.inside, ops)) if op in registry.op_names())
    chosen = f"; a GPT has it with --activation {pair.op}" if pair.op in ACTIVATIONS else ""
    return f"this model has no {pair.op}; it has {', '.join(known)}{chosen}"
