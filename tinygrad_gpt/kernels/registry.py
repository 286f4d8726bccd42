"""Which version of an op runs: the one place of choice.

A version is a pair (forward, backward) that keeps the contract of `tinygrad_gpt/ops/__init__.py`. The registry asks the
candidates for an op in this order:

    1. pairs that a user registered (`register`), the latest first;
    2. the kernels that the package brings for arrays of this kind: kernels/numba/NAME.py for NumPy's,
       kernels/cuda/NAME.py for CuPy's. Before it comes the same pair with `precision`, for each that the folder lists
       in PRECISIONS: it rounds, and runs only if the user asks for that (tinygrad_gpt/precision.py);
    3. the reference, ops/NAME.py, which takes everything that the op allows, on arrays of either kind.

The first whose `why_not(*arrays, **settings)` returns None runs. Modules load on first use, so importing the package
is quick, and a machine without Numba or a GPU never notices. A version that rounds computes a function near the op's.
Finite differences cannot measure its derivative, so it has tolerances and tests of its own.

An op of the user's own, which has no file in ops/, is `define`d: the pair that it is made with is its reference.

Besides the ops there are routines, which work outside the tape and may write in place (the AdamW update, the sum of
squares of a gradient). Their files hold one function `run` instead of a pair; `registry.run` chooses and calls it.
"""

import contextlib
import importlib
import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, partial, wraps
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import as_array, is_array, place
from tinygrad_gpt.errors import did_you_mean
from tinygrad_gpt.kernels import catalogue, small
from tinygrad_gpt.kernels.catalogue import PACKAGE, ROUTINES, all_ops, op_names, reference  # noqa: F401
from tinygrad_gpt.kernels.contract import disagreements, where_it_stands
from tinygrad_gpt.precision import matmul_precision

FOLDERS = {"cpu": "numba", "cuda": "cuda"}  # where arrays lie -> folder of their kernels, and the version's name
LIBRARIES = {"numba": "numba", "cuda": "cupy"}  # what each folder's kernels take
ROUNDING = ("bfloat16", "tf32")  # names of versions that round


@dataclass(frozen=True, eq=False)
class Version:
    """One author's pair for one op; for a routine, `forward` is its `run` and there is no backward.

    `why_not(*arrays, **settings)` returns None when the version can run on these inputs, else the reason in a few
    words.
    """

    op: str
    name: str
    forward: Callable
    backward: Callable | None
    why_not: Callable

    def __str__(self) -> str:
        own = self.name == "reference" and catalogue.own_op(self.op)
        return f"{self.op}[{'yours' if own else self.name}]"

    def as_written(self) -> "Version":
        """The version with the forward that its author wrote (see _keeping_float32)."""
        return replace(self, forward=getattr(self.forward, "author", self.forward))


_own_references: dict[str, Version] = {}  # op of the user's own -> the pair that it was made with
_registered: dict[str, list[Version]] = {}  # op -> users' versions, latest first; no empty lists
_counted: Counter | None = None  # versions that `choose` chose, while somebody counts
# The open `using` blocks of this thread, outermost first: op (or "*") -> version name
_forced: ContextVar[tuple[dict[str, str], ...]] = ContextVar("forced", default=())


def define(op: str, forward: Callable, backward: Callable, cases=None) -> None:
    """Make an op of the user's own, with this pair as its reference; or make it again, and drop what was registered for
    the one before. Raises what `catalogue.add_own` raises."""
    catalogue.add_own(op, catalogue.OwnOp(forward, backward, cases))
    kept = _keeping_float32(f"{op}[yours]", forward)
    _own_references[op] = Version(op, "reference", kept, backward, _always)
    _registered.pop(op, None)


def undefine(op: str) -> None:
    """Forget an op of the user's own."""
    catalogue.remove_own(op)
    del _own_references[op]
    _registered.pop(op, None)


def _loaded(op: str, where: str) -> tuple[tuple[Version, ...], tuple[tuple[str, str], ...]]:
    """The versions of `op` that nobody registered, best first, and (name, reason) of those that don't load."""
    own = _own_references.get(op)
    return ((own,), ()) if own else _shipped(op, where)


@cache
def _shipped(op: str, where: str = "cpu") -> tuple[tuple[Version, ...], tuple[tuple[str, str], ...]]:
    """The package's versions of `op` for arrays of this place, best first, and (name, reason) of those that this
    machine cannot load."""
    versions, absent = [], []
    folder = FOLDERS.get(where)
    if folder is not None:
        if not _has_file(op, folder) and _is_installed(LIBRARIES[folder]):
            absent.append((folder, f"no kernels/{folder}/{op}.py"))
        elif no_kernels(where):
            absent.append((folder, no_kernels(where)))
        elif _has_file(op, folder):
            kernel = importlib.import_module(f"{PACKAGE}.kernels.{folder}.{op}")
            precisions = _folder(folder).PRECISIONS.get(op, ())
            versions += [_rounding_version(op, precision, kernel, where) for precision in precisions]
            versions.append(_version(op, folder, kernel, small.asked_first(op, folder, kernel.why_not)))
    versions.append(_reference_version(op))
    return tuple(versions), tuple(absent)


def _has_file(op: str, folder: str) -> bool:
    return importlib.util.find_spec(f"{PACKAGE}.kernels.{folder}.{op}") is not None


def _folder(folder: str):
    """The package kernels/FOLDER."""
    return importlib.import_module(f"{PACKAGE}.kernels.{folder}")


def cannot_round(precision: str, where: str = "cpu") -> str | None:
    """Why no kernel for arrays of this place multiplies in this precision, one of ROUNDING; None where one does."""
    return no_kernels(where) or _folder(FOLDERS[where]).cannot_round(precision)


def fewer_threads(where: str = "cpu") -> str | None:
    """Why the kernels for arrays of this place leave cores of the processor unused, and what to do; or None."""
    return None if no_kernels(where) else _folder(FOLDERS[where]).fewer_threads()


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


@cache
def no_kernels(where: str) -> str | None:
    """Why no kernel runs on arrays of this place, "cpu" or "cuda", or None. Warns once if their library is installed
    but does not load, since the reference is slower. (Numba refuses a NumPy newer than it knows, and can be switched
    off.)"""
    folder = FOLDERS[where]
    library = LIBRARIES[folder]
    if not _is_installed(library):
        return f"{library} is not installed"
    try:
        missing = _folder(folder).missing  # before the library: numba/ watches the cores while Numba loads
        importlib.import_module(library)
        reason = missing()
    except Exception as error:  # whatever a broken installation raises
        reason = f"{library} does not load: {str(error).partition(chr(10))[0]}"
    if reason is not None:
        message = f"kernels don't run, the slower reference does: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return reason


def _reference_version(op: str) -> Version:
    return _own_references.get(op) or _textbook_version(op)


@cache
def _textbook_version(op: str) -> Version:
    return _version(op, "reference", reference(op), _always)


def _rounding_version(op: str, precision: str, kernel, where: str) -> Version:
    """The kernel's pair with products in this precision. It leaves to other versions what it was not asked for, what
    cannot be rounded, and what the kernel's `why_not` and, where it has one, `why_not_rounded` say."""
    why_not_rounded = getattr(kernel, "why_not_rounded", _always)

    def why_not(*arrays, **settings):
        if matmul_precision() != precision:
            return f"the precision of matrix products is {matmul_precision()}"
        if arrays[0].dtype != np.float32:
            return f"rounds float32, not {arrays[0].dtype}"
        reason = cannot_round(precision, where) or why_not_rounded(*arrays, **settings)
        return reason or kernel.why_not(*arrays, **settings)

    return Version(op, precision, partial(kernel.forward, precision=precision), kernel.backward, why_not)


def _version(op: str, name: str, module, why_not: Callable) -> Version:
    if op in ROUTINES:
        return Version(op, name, module.run, None, why_not)
    return Version(op, name, module.forward, module.backward, why_not)


def _always(*arrays, **settings) -> None:
    return None


def versions(op: str, where: str = "cpu") -> tuple[Version, ...]:
    """All versions of `op` for arrays of this place ("cpu", "cuda") that this machine can load, best first."""
    own = _registered.get(op)
    return (*own, *_loaded(op, where)[0]) if own else _loaded(op, where)[0]


def _where(arrays: tuple) -> str:
    """Where the arrays lie: on the GPU if one of them does, as integers may lie on the CPU anyway. (A routine takes
    lists of arrays, each on one device.)"""
    found = "cpu"
    for a in arrays:
        if type(a) is np.ndarray or a is None:
            continue
        first = a[0] if isinstance(a, list | tuple) and a else a
        if is_array(first) and place(first) != "cpu":
            found = place(first)
    return found


def register(op: str, forward: Callable, backward: Callable, *, name: str = "yours", why_not: Callable = _always):
    """Run your own pair wherever `op` is used, ahead of the package's versions. Returns the Version.

    Check the pair first, with `tinygrad_gpt.check.check_op`. Undo it with `unregister(version)`. Raises ValueError for
    a name that no op has, and TypeError for functions that the op cannot call. (A pair that has a `why_not` may lack
    settings that it declines.)
    """
    if op not in all_ops():
        raise ValueError(f"{catalogue.no_such_op(op)}. A new one is made with op(name, forward, backward)")
    pair, known = Version(op, name, forward, backward, why_not), reference(op)
    wrong = disagreements(known, pair)
    if wrong and why_not is _always:
        raise TypeError(f"register: {'; '.join(wrong)}; {where_it_stands(op, known)}")
    pair = replace(pair, forward=_keeping_float32(str(pair), forward))
    _registered.setdefault(op, []).insert(0, pair)
    return pair


def _keeping_float32(version: str, forward: Callable) -> Callable:
    """A forward of the user's that raises TypeError where it makes float64 of float32: everything after it would be
    float64 too, or refuse it. (The package's own versions are tested instead.)"""

    @wraps(forward)
    def keeping(*arrays, **settings):
        result = forward(*arrays, **settings)
        y = result[0] if isinstance(result, tuple) and result else None
        if any([getattr(a, "dtype", None) == np.float64 for a in (y if isinstance(y, tuple) else (y,))]):
            floats = {a.dtype for a in arrays if is_array(a) and a.dtype.kind == "f"}
            if floats == {np.dtype(np.float32)}:
                raise TypeError(
                    f"{version}: forward made float64 of float32 arrays, as np.sqrt(64) of a Python number does: "
                    "math.sqrt(64) does not; or convert with .astype(x.dtype)"
                )
        return result

    kept: Any = keeping
    kept.author = forward
    return kept


def unregister(version: Version) -> None:
    """Remove the version that `register` returned."""
    if not isinstance(version, Version) or version not in _registered.get(version.op, ()):
        raise ValueError(f"unregister: expected what register() returned, and once, got {shown(version)}")
    _registered[version.op].remove(version)
    if not _registered[version.op]:
        del _registered[version.op]


@contextlib.contextmanager
def using(everywhere: str | None = None, /, **per_op: str) -> Iterator[None]:
    """Force versions by name inside a `with` block.

        with using("reference"): ...             # every op
        with using(layer_norm="reference"): ...  # one op

    A forced version that cannot take some inputs gives way to the reference, as always; a name that no version of the
    op has is a ValueError.
    """
    known = {"reference", *LIBRARIES}
    own = {v.name for vs in _registered.values() for v in vs}
    if everywhere is not None and everywhere not in known | own:
        near = did_you_mean(everywhere, known | own)
        raise ValueError(f"using: expected a version's name ({', '.join(sorted(known))}), got {everywhere!r}{near}")
    for op, name in per_op.items():
        names = [v.name for v in versions(op)]
        if _has_file(op, "cuda"):
            names += [*_folder("cuda").PRECISIONS.get(op, ()), "cuda"]
        names = dict.fromkeys(names)
        if name not in names:
            near = did_you_mean(name, names)
            raise ValueError(f"using: {op} has the versions {', '.join(names)}, not {name!r}{near}")
    before = _forced.set((*_forced.get(), ({"*": everywhere} if everywhere else {}) | per_op))
    try:
        yield
    finally:
        _forced.reset(before)


def user_chose(op: str) -> bool:
    """Whether the user says how `op` is to run: by a pair of their own, or by naming it in `using`."""
    own, blocks = _registered.get(op), _forced.get()
    if any([op in block for block in blocks]):
        return True
    return bool(own) and (not blocks or _candidates(op, "elsewhere")[0] in own)


def user_chose_a_part(op: str) -> bool:
    """Whether the user chose a version of an op whose work `op` does (its PARTS), or of a part of a part, and none of
    `op` itself. Then the parts run instead."""
    blocks = _forced.get()
    if not _registered and not blocks:
        return False
    inside = catalogue.inside(op)
    if inside.isdisjoint(_registered) and all([inside.isdisjoint(block) for block in blocks]):
        return False
    return not user_chose(op) and any(user_chose(part) or user_chose_a_part(part) for part in catalogue.parts(op))


@contextlib.contextmanager
def counting() -> Iterator[Counter]:
    """Inside the block, count how often each version runs forward. (Those of all threads; a block inside another takes
    over.)"""
    global _counted
    before, _counted = _counted, Counter()
    try:
        yield _counted
    finally:
        _counted = before


def _candidates(op: str, where: str) -> tuple[Version, ...]:
    for block in reversed(_forced.get()):
        wanted = block.get(op) or block.get("*")
        if wanted == "reference":
            return (_reference_version(op),)  # without loading any kernel
        if wanted:
            everything = versions(op, where)
            return tuple(v for v in everything if v.name == wanted) + everything[-1:]
    return versions(op, where)


def choose(op: str, arrays: tuple, settings: dict) -> Version:
    """The version of `op` that runs on these inputs. Raises what the op's `check` raises for inputs that don't fit."""
    check = getattr(reference(op), "check", None)
    if check is not None:
        check(*arrays, **settings)
    where = _where(arrays)
    is_small = where == "cpu" and small.why_not(op, arrays) and not _registered.get(op) and not _forced.get()
    for version in (_reference_version(op),) if is_small else _candidates(op, where):  # without loading any kernel
        if version.why_not(*arrays, **settings) is None:
            if _counted is not None:
                _counted[version] += 1
            return version
    raise AssertionError(f"the reference of {op} takes everything")


def run(routine: str, *arrays, **settings):
    """Call the version of a routine that fits these arrays, and return what it returns."""
    return choose(routine, arrays, settings).forward(*arrays, **settings)


def explain(op: str, *inputs, **settings) -> str:
    """Which version of `op` runs on these inputs (arrays or Tensors), and why each one before it does not.

    >>> print(explain("cumsum", np.zeros((2, 3), np.float32)))   # doctest: +SKIP
    cumsum on float32(2, 3)
      numba: no kernels/numba/cumsum.py
      reference: runs
    """
    title, rows = explained(op, *inputs, **settings)
    lines = [title, *(f"  {name}: {why}" for name, why in rows)]
    if user_chose_a_part(op):
        chosen = ", ".join(sorted(part for part in catalogue.inside(op) if user_chose(part)))
        lines.append(f"  but functional.{op} is made of its parts now: you chose a version of {chosen}")
    return "\n".join(lines)


def explained(op: str, *inputs, **settings) -> tuple[str, list[tuple[str, str]]]:
    """What `explain` says, as (op and inputs, [(version, "runs" or why it does not run), ...])."""
    inputs = [getattr(x, "data", x) if x is None or is_array(getattr(x, "data", x)) else x for x in inputs]
    arrays = tuple(x if x is None or is_array(x) else as_array(x, who=op) for x in inputs)
    if not inputs:
        catalogue.takes(op)  # an unknown op is named as such
        raise TypeError(f"explain: expected the inputs of {op} after its name: explain({op!r}, x, ...)")
    chosen = choose(op, arrays, settings)
    given = ", ".join(repr(a) if a is None else f"{a.dtype}{tuple(a.shape)}" for a in arrays)
    where = _where(arrays)
    rows = list(_loaded(op, where)[1])
    candidates = _candidates(op, where)
    for version in versions(op, where):
        if version is chosen:
            why = "runs"
        elif version not in candidates:
            why = "set aside by using(...)"
        elif candidates.index(version) > candidates.index(chosen):
            why = "not needed"
        else:
            why = version.why_not(*arrays, **settings)
        rows.append((version.name, why))
    return f"{op} on {given}", rows
