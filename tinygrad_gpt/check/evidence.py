"""What one case tells of one array: what came, what is right, and all that a diagnosis may compare them with.

The checks collect an Evidence for each output and for each input's gradient of each case, of the right ones too; after
all cases have run, diagnosis.py reads them side by side. What costs a computation waits until it is asked for.

    same(a, b)       equal shapes, and equal numbers but for rounding: of finite differences, or of another formula
    enough(a)        whether so many elements are not zero that a pattern in them is no accident
"""

import inspect
from collections.abc import Callable
from functools import cached_property

import numpy as np

from tinygrad_gpt import array, sparse_rows
from tinygrad_gpt.check.ingredients import ingredients, stand_ins, upstream
from tinygrad_gpt.check.measure import as_tuple
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.contract import inputs as inputs_of

CLOSE = 1e-5  # of the largest value: far above the noise of finite differences, far below any mistake of interest
ENOUGH = 3  # elements that must agree before a pattern counts as one
ROUNDING = 1e-9  # of the largest value: below it, a number that should be 0 is 0


class Evidence:
    """What one case tells of an output, or of the gradient of an input.

    subject  "the output", "the gradient of x"
    name     of the input; "" for an output
    got      the array that came; None where none came, as when backward raised an error
    raised   the error that backward raised, as a type; None where it raised none
    ok       whether all checks of the subject in this case found it right
    second   whether only a second call, with fresh data, was wrong
    kink     whether there is no derivative to measure here
    """

    def __init__(self, check, call, subject: str, i: int | None = None, k: int = 0, raised: type | None = None):
        self.check, self.call, self.subject, self.i, self.k, self.raised = check, call, subject, i, k, raised
        self.case, self.settings, self.kink = check.case, check.settings, bool(check.kink)
        self.name = "" if i is None else check.names[i]
        self.ok, self.second, self.alone_right = True, False, False
        self._made: dict[str, object] = {}
        self.got = None
        if raised is None:
            self.got = call.ys[k] if i is None else call.grads[i]

    def once(self, name: str, make: Callable[["Evidence"], object]):
        """make(self), computed once of a name."""
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    @cached_property
    def right(self) -> np.ndarray | None:
        """The right array: the reference's; or measured, where the pair's forward is no reference's. None if that is
        long."""
        if self.i is None:
            return np.asarray(self.check.right_outputs(self.call)[self.k])
        return self.check.right_gradient(self.call, self.i)

    @cached_property
    def size(self) -> int:
        """Elements of the case's inputs."""
        return sum(a.size for a in self.call.arrays if a is not None)

    @property
    def y(self) -> np.ndarray:
        return self.call.ys[self.k]

    @property
    def dy(self) -> np.ndarray | None:
        """The upstream gradient; None where there are several."""
        return None if self.i is None or self.call.many else self.call.dys[0]

    @property
    def upstream(self) -> np.ndarray | None:
        """dy as it meets an op element by element; None where it does not (ingredients.py)."""
        if self.dy is None or self.right is None:
            return None
        return upstream(self)

    @property
    def x(self) -> np.ndarray | None:
        """The input whose gradient it is; of an output, the first float input."""
        return self.call.arrays[self.i] if self.i is not None else next(iter(self.inputs.values()), None)

    @cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """The float inputs, by name."""
        return {n: a for n, a in zip(self.check.names, self.call.arrays, strict=True) if array.is_float(a)}

    @cached_property
    def named(self) -> dict[str, np.ndarray]:
        """The arrays that an explanation may speak of: dy, the inputs, the output, and what the reference saves."""
        if self.i is None:
            return dict(self.inputs)
        named = {} if self.dy is None else {"dy": self.dy}
        others = self.inputs if self.dy is None else {**self.inputs, "the output": self.y}
        for name, a in self.saved.items():
            if array.is_float(a) and a.ndim and not any(np.array_equal(a, b) for b in others.values()):
                named[name] = a
        for name, a in others.items():
            named.setdefault(name, a)
        return named

    @cached_property
    def saved(self) -> dict:
        """What the reference's forward saves, by name."""
        check = self.check
        saved = check.reference.forward(*self.call.arrays, **self.settings)[1] if check.agrees else None
        return saved._asdict() if hasattr(saved, "_asdict") else {}

    @cached_property
    def numbers(self) -> dict[str, float]:
        """The float settings of the case, those left at their default among them, and the numbers that are saved."""
        found = {**self.saved, **{n: v for n, v in self.used.items() if v is not None}}
        return {n: float(v) for n, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}

    @cached_property
    def used(self) -> dict:
        """All settings of the case, those that it leaves out among them."""
        takes = inputs_of(self.check.known.forward)
        return (takes.settings if takes else {}) | self.settings

    @cached_property
    def others(self) -> dict[str, np.ndarray]:
        """The right gradients of the other float inputs, by name."""
        check = self.check
        found = {n: check.right_gradient(self.call, check.names.index(n)) for n in self.inputs if n != self.name}
        return {n: g for n, g in found.items() if g is not None}

    @cached_property
    def ingredients(self) -> dict[str, np.ndarray]:
        """The arrays that play a part, and simple functions of them (ingredients.py)."""
        return ingredients(self)

    @property
    def defaults(self) -> dict:
        """The settings that forward has a default for."""
        takes = inputs_of(self.check.known.forward)
        return {n: v for n, v in (takes.settings if takes else {}).items() if v is not inspect.Parameter.empty}

    @property
    def silent(self) -> bool:
        """Whether it can say nothing: there is no derivative, or no gradient came at all since backward raised."""
        return self.kink or self.raised is not None or self.right is None

    @cached_property
    def right_alone(self) -> bool:
        """Whether the gradient is right where no other call runs between forward and backward."""
        alone = self.check.called_alone(self.call)
        return alone is not None and alone[self.i] is not None and same(alone[self.i], self.right)

    def right_with(self, **settings) -> np.ndarray | None:
        """The right gradient for other settings, or None where those do not fit the case."""
        return self._reference(self.call.arrays, self.settings | settings)

    def right_for_all_of_dy(self, **settings) -> np.ndarray | None:
        """The right gradient for other settings with which the output is one number, and the sum of dy; or None."""
        if self.dy is None or not self.check.agrees:
            return None
        reference = self.check.reference
        y, saved = reference.forward(*self.call.arrays, **self.settings | settings)
        if y.size != 1 or y.shape == self.dy.shape:
            return None
        return as_tuple(reference.backward(np.full(y.shape, np.sum(self.dy)), saved))[self.i]

    def right_at(self, i: int, change) -> np.ndarray | None:
        """The right gradient where input i is `change` of it (None: where it is left out), or None."""
        arrays = list(self.call.arrays)
        if i >= len(arrays) or not array.is_float(arrays[i]):
            return None
        arrays[i] = None if change is None else change(arrays[i])
        if change is not None and arrays[i] is None:
            return None
        return self._reference(tuple(arrays), self.settings)

    def right_with_saved(self, name: str, change) -> np.ndarray | None:
        """The reference's gradient where a saved array is `change` of it, of the same shape; or None."""
        if self.saved.get(name) is None or not self.check.agrees:
            return None
        other = change(self.saved[name])
        if other is None or other.shape != self.saved[name].shape:
            return None
        return self._with_saved({name: other})

    def right_with_saved_of(self, **settings) -> np.ndarray | None:
        """The reference's gradient where the arrays that it saves are those for other settings, if their shapes are the
        same; 0 where it would be 0/0, as of a mask without a 1; or None."""
        if not self.check.agrees or not self.saved:
            return None
        saved = self.check.reference.forward(*self.call.arrays, **self.settings | settings)[1]._asdict()
        same = {n: a for n, a in saved.items() if isinstance(a, np.ndarray) and a.shape == np.shape(self.saved[n])}
        return self._with_saved(same, nan=0.0)

    def _with_saved(self, others: dict, nan: float = np.nan) -> np.ndarray | None:
        """The reference's gradient with other arrays in the places of saved ones, `nan` for each nan; None if it is not
        finite."""
        y, saved = self.check.reference.forward(*self.call.arrays, **self.settings)
        dys = self.call.dys if isinstance(y, tuple) else self.call.dys[0]
        g = sparse_rows.dense(as_tuple(self.check.reference.backward(dys, saved._replace(**others)))[self.i])
        if not isinstance(g, np.ndarray):
            return None
        g = np.where(np.isnan(g), nan, g)
        return g if np.isfinite(g).all() else None

    @cached_property
    def stand_ins(self) -> dict[str, np.ndarray]:
        """The arrays that may stand in the place of a saved one."""
        return self.named | stand_ins(self)

    def right_of(self, op: str) -> np.ndarray | None:
        """The right gradient of another op, for the same arrays and such settings as it takes; or None."""
        takes = inputs_of(registry.reference(op).forward).settings
        settings = {name: value for name, value in self.settings.items() if name in takes}
        return self._reference(self.call.arrays, settings, registry.reference(op))

    def _reference(self, arrays: tuple, settings: dict, reference=None) -> np.ndarray | None:
        """The reference's gradient for other arrays and settings; None where they do not fit the case."""
        if not self.check.agrees:
            return None
        dys, reference = self.call.dys, reference or self.check.reference
        try:
            y, saved = reference.forward(*arrays, **settings)
            if [part.shape for part in as_tuple(y)] != [part.shape for part in self.call.ys]:
                return None
            g = sparse_rows.dense(as_tuple(reference.backward(dys if isinstance(y, tuple) else dys[0], saved))[self.i])
        except Exception:  # settings that the arrays do not allow
            return None
        return g if isinstance(g, np.ndarray) and np.isfinite(g).all() else None

    def right_for(self, dys: tuple) -> np.ndarray | None:
        """The right gradient for other upstream gradients; None where it would have to be measured."""
        return None if not self.check.agrees else self.check.right_gradient(self.call, self.i, dys)

    @cached_property
    def for_ones(self) -> np.ndarray | None:
        """The right gradient for an upstream gradient of ones."""
        return self.check.right_gradient(self.call, self.i, tuple(np.ones_like(dy) for dy in self.call.dys))

    @property
    def axis(self) -> int:
        """The op's own `axis`, counted from the end; the last one where it has none, or several."""
        axis = self.used.get("axis", -1)
        ndim = max(a.ndim for a in self.inputs.values())
        return (axis - ndim if axis >= 0 else axis) if isinstance(axis, int) else -1

    @cached_property
    def degenerate(self) -> bool:
        """Whether patterns meet by accident here: at a kink, in one row, with a last axis of 1, in few elements, or
        where a setting leaves nothing to do (a dropout of p = 0)."""
        floats = list(self.inputs.values())
        if self.kink or self.settings.get("p") == 0 or not floats or self.x is None or self.x.size <= ENOUGH:
            return True
        one_row = floats[0].ndim < 2 or floats[0].size == floats[0].shape[-1]
        return one_row or any(a.size == 0 or (a.ndim > 0 and a.shape[-1] == 1) for a in floats)

    @cached_property
    def comparable(self) -> bool:
        """Whether there are numbers on both sides, finite ones, of the same shape; and a derivative."""
        got, right = self.got, self.right
        return (
            not self.silent
            and got is not None
            and got.shape == right.shape
            and got.size > 0
            and bool(np.isfinite(right).all())
            and bool(np.isfinite(got).all())
        )

    def same(self, a, b) -> bool:
        """Equal but for rounding, where what is right, or what came, is the measure of what is rounding."""
        if a is None or b is None or a.shape != b.shape:
            return False
        with np.errstate(invalid="ignore"):
            return bool(np.all(np.abs(a - b) <= max(CLOSE * largest(b), self.least)))

    @cached_property
    def least(self) -> float:
        """What is 0 but for rounding, beside the numbers of this case."""
        dys = max((largest(dy) for dy in self.call.dys or ()), default=0.0)
        return ROUNDING * max(largest(self.got), largest(self.right), 1e-3 * dys)

    @property
    def is_zero(self) -> bool:
        """Whether the right array is 0 all over, but for rounding."""
        return largest(self.right) <= self.least


def largest(a) -> float:
    """The largest finite |number| of an array, 0 if there is none."""
    if a is None or not a.size:
        return 0.0
    return float(np.max(np.abs(a), initial=0, where=np.isfinite(a)))


def same(a, b) -> bool:
    """Equal shapes, and equal numbers up to CLOSE of the largest of b."""
    return a.shape == b.shape and bool(np.all(np.abs(a - b) <= CLOSE * largest(b)))


def enough(a) -> bool:
    return int(np.sum(np.abs(a) > CLOSE * largest(a))) >= ENOUGH


def spread(a, shape: tuple) -> np.ndarray | None:
    """`a` broadcast to `shape`, None if it does not fit."""
    try:
        return np.broadcast_to(a, shape)
    except ValueError:
        return None


def is_alike(a, axis=None) -> bool:
    """Whether the elements of an array are alike, along an axis or all of them."""
    return a.size == 0 or bool(np.all(np.ptp(a, axis=axis) <= CLOSE * largest(a)))
