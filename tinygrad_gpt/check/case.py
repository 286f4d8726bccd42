"""All checks of one pair on one case: the measuring, the contract, the verdicts. The theory is in check/__init__.py."""

import traceback
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from tinygrad_gpt import array
from tinygrad_gpt.check import diagnose
from tinygrad_gpt.check.layouts import as_float, copy, other_layout, with_layout_of
from tinygrad_gpt.check.report import TOLERANCE, TOLERANCE_32, Finding
from tinygrad_gpt.locks import arrays_in

STEP = 1e-6  # h of the finite differences, times max(1, |x|)
ELEMENTS = 128  # inputs up to this size are measured element by element
DIRECTIONS = 2


class _Stop(Exception):  # noqa: N818 - not an error: the case cannot go on after what was found
    pass


class _Call:
    """One forward and, later, one backward of a pair, with copies of all that must not change meanwhile.

    The pair never gets `arrays` and `dys` themselves, only copies: what it does to them cannot mislead the measuring.
    """

    def __init__(self, arrays: tuple):
        self.arrays = arrays
        self.ys = self.saved = self.dys = self.grads = None
        self.watched: list[tuple[str, np.ndarray, np.ndarray]] = []  # (what, array, its copy)

    def watch(self, what: str, arrays) -> None:
        self.watched += [(what, a, a.copy()) for a in arrays if isinstance(a, np.ndarray)]

    def changed(self) -> list[str]:
        return [what for what, a, copy in self.watched if a.tobytes() != copy.tobytes()]


class CaseCheck:
    """All checks of one pair on one case. `truth` is the reference's forward, None when there is only the pair's."""

    def __init__(self, case: str, pair, truth, names: list[str], arrays: tuple, settings: dict, seed: int):
        self.case, self.pair, self.truth, self.names = case, pair, truth, names
        self.arrays, self.settings = arrays, settings
        self.rng = np.random.default_rng([seed, *case.encode()])
        self.findings: list[Finding] = []

    def run(self) -> list[Finding]:
        """The float64 checks: two calls, interleaved, then everything about each of them."""
        self.findings = []
        try:
            first = self.forward(self.arrays)
            second = self.forward(tuple(self.fresh(a) for a in self.arrays))
            truth = self.truth if self.check_outputs(first) & self.check_outputs(second) else None
            truth = truth or self.pair.forward
            self.backward(first, [self.random_dy(y) for y in first.ys])
            after_one = [None if g is None else g.copy() for g in first.grads]
            self.backward(second, [other_layout(self.random_dy(y)) for y in second.ys])
            self.check_left_alone(first, after_one)
            for i in range(len(self.arrays)):
                if self.check_kind(first, i, truth):
                    self.check_elements(first, i, truth)
                if self.check_kind(second, i, truth):
                    self.check_directions(second, i, truth)
            if not any(not f.ok for f in self.findings):
                self.check_broadcast_dy()
        except _Stop:
            pass
        return self.findings

    def run_float32(self) -> list[Finding]:
        """float32 in, float32 out, and the numbers those of float64 but for rounding."""
        self.findings = []
        single = tuple(as_float(a, np.float32) for a in self.arrays)
        double = tuple(as_float(a, np.float64) for a in single)
        try:
            call, right = self.forward(single), self.forward(double)
            self.check_outputs(call, TOLERANCE_32)
            dys = [self.random_dy(y).astype(y.dtype) for y in call.ys]
            self.backward(call, dys)
            self.backward(right, [d.astype(np.float64) for d in dys])
            # A gradient that is 0 because terms of dy's size cancel is left with their rounding.
            noise = 0.01 * max((float(np.max(np.abs(d), initial=0)) for d in dys), default=0.0)
            for i, name in enumerate(self.names):
                if self.check_kind(call, i, None) and call.grads[i] is not None:
                    subject = f"the gradient of {name} in float32"
                    self.compare(subject, call.grads[i], right.grads[i], TOLERANCE_32, noise=noise)
        except _Stop:
            pass
        return self.findings

    # Running the pair

    def forward(self, arrays: tuple) -> _Call:
        call = _Call(arrays)
        given = tuple(copy(a) for a in arrays)
        call.watch("an input", given)
        result = self.attempt("forward", *given, **self.settings)
        if not isinstance(result, tuple) or len(result) != 2:
            self.stop("forward", f"should return (y, saved), returned {_describe(result)}")
        y, call.saved = result
        call.ys = tuple(np.asarray(part) if isinstance(part, np.generic) else part for part in _tuple(y))
        call.many = isinstance(y, tuple)
        for part in call.ys:
            if not isinstance(part, np.ndarray):
                self.stop("forward", f"y should be an array, it is {_describe(part)}")
        if "an input" in call.changed():
            self.stop("forward", "changes an input in place", "compute into a new array, or copy the input first")
        call.watch("the output", call.ys)
        call.watch("a saved array", arrays_in(call.saved))
        return call

    def backward(self, call: _Call, dys: list) -> None:
        call.dys = tuple(dy.copy() for dy in dys)
        call.watch("dy", dys)
        grads = self.attempt("backward", tuple(dys) if call.many else dys[0], call.saved)
        if not isinstance(grads, tuple) and len(self.arrays) != 1:
            self.stop("backward", f"should return a tuple of gradients, returned {_describe(grads)}")
        call.grads = tuple(np.asarray(g) if isinstance(g, np.generic) else array.whole(g) for g in _tuple(grads))
        if len(call.grads) != len(self.arrays):
            names = ", ".join(self.names)
            self.stop("backward", f"returned {len(call.grads)} gradients for {len(self.arrays)} inputs ({names})")
        for name, g in zip(self.names, call.grads, strict=True):
            if g is not None and not isinstance(g, np.ndarray):
                self.stop(f"the gradient of {name}", f"should be an array or None, is {_describe(g)}")

    def attempt(self, function: str, *args, **settings):
        try:
            return getattr(self.pair, function)(*args, **settings)
        except Exception as error:  # whatever a learner's code may raise is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"it was raised by `{last.line}` ({last.filename}, line {last.lineno})"
            self.stop(function, f"raised {type(error).__name__}: {error}", place)

    # Verdicts

    def add(self, subject: str, ok: bool, problem: str = "", **details) -> bool:
        self.findings.append(Finding(self.case, subject, ok, "" if ok else problem, **details))
        return ok

    def stop(self, subject: str, problem: str, hint: str = "") -> None:
        self.add(subject, False, problem, hint=hint)
        raise _Stop

    def check_outputs(self, call: _Call, tolerance: float = TOLERANCE) -> bool:
        """The pair's outputs are the reference's: shape, dtype, values."""
        if self.truth is None:
            return True
        right = _tuple(self.truth(*(as_float(a, np.float64) for a in call.arrays), **self.settings)[0])
        floats = [a.dtype for a in call.arrays if array.is_float(a)]
        if len(call.ys) != len(right):
            self.stop("forward", f"returned {len(call.ys)} outputs instead of {len(right)}")
        ok = True
        for k, (y, r) in enumerate(zip(call.ys, right, strict=True)):
            subject = "the output" + (f" {k}" if call.many else "") + (" in float32" if tolerance > TOLERANCE else "")
            if y.shape != r.shape:
                ok = self.add(subject, False, f"has shape {y.shape} instead of {r.shape}")
            elif floats and y.dtype != floats[0]:
                ok = self.add(subject, False, f"is {y.dtype} instead of {floats[0]}")
            else:
                ok &= self.compare(subject, y, r, tolerance, hint=lambda y=y, r=r: self.output_hint(call, y, r))
        return ok

    def check_left_alone(self, call: _Call, grads_before: list) -> None:
        """Backward changed nothing in place, and its gradients are its caller's own."""
        changed = call.changed()
        self.add("arrays in place", not changed, f"backward changes {' and '.join(dict.fromkeys(changed))} in place")
        for name, g, before in zip(self.names, call.grads, grads_before, strict=True):
            if g is None:
                continue
            kept = g.tobytes() == before.tobytes()
            problem = "a later call overwrites it: return a new array each time, not a buffer that is used again"
            self.add(f"the memory of {name}'s gradient", kept, problem)
            owners = [(what, a) for what, a, _ in call.watched if what in ("an input", "a saved array")]
            shared = next((what for what, a in owners if np.shares_memory(g, a)), None)
            problem = f"shares memory with {shared}, which adding to the gradient would change: return a copy"
            self.add(f"the memory of {name}'s gradient", shared is None, problem)

    def check_kind(self, call: _Call, i: int, truth) -> bool:
        """A float input has a gradient of its shape and dtype, others None. False when there is nothing to measure."""
        x, g, name = call.arrays[i], call.grads[i], self.names[i]
        subject = f"the gradient of {name}"
        if not array.is_float(x):
            self.add(subject, g is None, f"should be None: {name} is {'None' if x is None else x.dtype}")
            return False
        if g is None:
            return self.add(subject, False, "is None, and a float input needs one")
        if g.shape != x.shape:
            small = truth is not None and x.size <= ELEMENTS
            right = self.measured(call, i, truth) if small else None
            hint = "" if right is None else diagnose.shape_hint(g, right)
            return self.add(subject, False, f"has shape {g.shape} instead of {x.shape}", hint=hint)
        if g.dtype != x.dtype:
            return self.add(subject, False, f"is {g.dtype} instead of {x.dtype}")
        return True

    def check_elements(self, call: _Call, i: int, truth: Callable) -> None:
        """The gradient of input i against finite differences, element by element (of a large one, at random places)."""
        x, g, subject = call.arrays[i], call.grads[i], f"the gradient of {self.names[i]}"
        if x.size == 0:
            self.add(subject, True)
        elif x.size > ELEMENTS:
            places = np.sort(self.rng.choice(x.size, ELEMENTS, replace=False))
            indices = [np.unravel_index(k, x.shape) for k in places]
            right = np.array([self.slope(call, i, truth, _one_hot(x, k)) for k in indices])
            got = np.array([g[k] for k in indices])
            self.compare(subject, got, right, noise=self.noise(call), places=lambda n, _: indices[n])
            self.check_directions(call, i, truth)
        else:
            right = self.measured(call, i, truth)
            self.compare(subject, g, right, noise=self.noise(call), hint=lambda: self.hint(call, i, truth, right))

    def check_directions(self, call: _Call, i: int, truth: Callable) -> None:
        """The gradient of input i against the slope along random directions."""
        x, g = call.arrays[i], call.grads[i]
        for _ in range(DIRECTIONS if x.size else 0):
            direction = self.rng.standard_normal(x.shape) * np.where(np.isfinite(x), np.maximum(1, np.abs(x)), 0)
            right = self.slope(call, i, truth, direction)
            parts = (g * direction)[direction != 0]
            self.compare(
                f"the gradient of {self.names[i]}",
                np.sum(parts),
                right,
                noise=max(self.noise(call), float(np.linalg.norm(parts))),
                places=lambda *_: None,
                hint=lambda: self.second_call_hint(i),
            )

    def check_broadcast_dy(self) -> None:
        """A dy that is a broadcast view (as sum's backward returns), read-only and without strides, is a dy too."""
        call, plain = (self.forward(self.arrays) for _ in range(2))
        dys = [np.broadcast_to(np.asarray(self.rng.standard_normal(), y.dtype), y.shape) for y in call.ys]
        self.backward(call, dys)
        self.backward(plain, [d.copy() for d in dys])
        for name, g, right in zip(self.names, call.grads, plain.grads, strict=True):
            if g is not None and right is not None:
                self.compare(f"the gradient of {name} for a dy that is a broadcast view", g, right)

    def compare(
        self, subject: str, got, right, tolerance: float = TOLERANCE, *, noise=0.0, places=np.unravel_index, hint=str
    ) -> bool:
        """Add the verdict on numbers: their largest difference over the largest of them (or over the noise).

        places  turns (the number of an element, the shape) into the index to report, or None where there is none
        hint    is called, if the numbers are wrong, for the hint
        """
        got, right = np.asarray(got), np.asarray(right)
        if got.size == 0:
            return self.add(subject, True)
        with np.errstate(invalid="ignore"):
            difference = np.where(got == right, 0, np.abs(got - right)).astype(np.float64)  # inf equals inf
        difference[~np.isfinite(difference)] = np.inf
        finite = np.concatenate([a[np.isfinite(a)].ravel() for a in (got, right)])
        scale = max(float(np.max(np.abs(finite), initial=0)), noise) or 1.0
        worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
        error = float(difference[worst]) / scale
        ok = error <= tolerance
        index = places(int(np.argmax(difference)), difference.shape)
        index = None if index is None else tuple(int(k) for k in index)
        return self.add(
            subject,
            ok,
            "wrong numbers",
            error=error,
            tolerance=tolerance,
            scale=scale,
            index=index,
            got=float(got[worst]),
            right=float(right[worst]),
            hint="" if ok else hint(),
        )

    # Measuring

    def slope(self, call: _Call, i: int, truth: Callable, direction) -> float:
        """d/dt Σ dy · truth(..., x_i + t direction, ...) at t = 0, by central differences.

        The outputs are subtracted before they are summed, so that outputs which do not move add no rounding error.
        """
        ends = []
        for sign in (1, -1):
            arrays = list(call.arrays)
            arrays[i] = np.asarray(arrays[i] + sign * STEP * direction)  # a sum of 0-d arrays is no array
            ends.append(_tuple(truth(*arrays, **self.settings)[0]))
        with np.errstate(invalid="ignore"):  # inf - inf
            moved = [np.where(up == down, 0, up - down) for up, down in zip(*ends, strict=True)]
        return sum(float(np.sum(dy * d)) for dy, d in zip(call.dys, moved, strict=True)) / (2 * STEP)

    def measured(self, call: _Call, i: int, truth: Callable) -> np.ndarray:
        """The whole gradient of input i, each element by finite differences."""
        x = call.arrays[i]
        gradient = np.empty(x.shape)
        for k in np.ndindex(x.shape):
            size = max(1.0, abs(x[k])) if np.isfinite(x[k]) else 1.0
            gradient[k] = self.slope(call, i, truth, _one_hot(x, k) * size) / size
        return gradient

    def noise(self, call: _Call) -> float:
        """The least scale: what rounding may add to a slope is then within the tolerance."""
        terms = np.concatenate([(dy * y)[np.isfinite(y)].ravel() for dy, y in zip(call.dys, call.ys, strict=True)])
        return 4 * float(np.finfo(np.float64).eps) * float(np.linalg.norm(terms)) / STEP / TOLERANCE

    def random_dy(self, y) -> np.ndarray:
        return np.asarray(self.rng.standard_normal(y.shape))

    def fresh(self, a):
        """Other data of the same kind and layout: the same elements in another order, floats changed by up to 10 %.

        So they stay what the op allows (positive, away from kinks, ids within range).
        """
        if not isinstance(a, np.ndarray):
            return a
        values = self.rng.permutation(a.ravel()).reshape(a.shape)
        return with_layout_of(a, values * self.rng.uniform(0.9, 1.1, a.shape) if array.is_float(a) else values)

    # Hints

    def named(self, call: _Call) -> dict:
        """The arrays that a hint may speak of."""
        names = {"dy": call.dys[0]} if call.dys and not call.many else {}
        names |= {n: a for n, a in zip(self.names, call.arrays, strict=True) if array.is_float(a)}
        return names if call.many else names | {"the output": call.ys[0]}

    def output_hint(self, call: _Call, y, right) -> str:
        inputs = {n: a for n, a in zip(self.names, call.arrays, strict=True) if array.is_float(a)}
        return diagnose.difference_hint(np.asarray(y), np.asarray(right), inputs)

    def hint(self, call: _Call, i: int, truth: Callable, right) -> str:
        alone = self.forward(call.arrays)
        self.backward(alone, [dy.copy() for dy in call.dys])
        if alone.grads[i] is not None and diagnose.same(alone.grads[i], right):
            return (
                "it is right when backward follows its own forward at once, and wrong when another forward runs "
                "between them: is something kept in a global or an attribute instead of in saved?"
            )
        ones = SimpleNamespace(arrays=call.arrays, dys=[np.ones_like(dy) for dy in call.dys])
        others = {
            n: self.measured(call, k, truth)
            for k, (n, a) in enumerate(zip(self.names, call.arrays, strict=True))
            if k != i and array.is_float(a) and a.size <= ELEMENTS
        }
        return diagnose.gradient_hint(
            call.grads[i], right, lambda: self.measured(ones, i, truth), self.named(call), others
        )

    def second_call_hint(self, i: int) -> str:
        subject = f"the gradient of {self.names[i]}"
        if all(f.ok for f in self.findings if f.subject == subject):
            return "a first call is right and a second with fresh data is wrong: is something remembered between calls?"
        return ""


# --- small helpers -----------------------------------------------------------------------------------------------


def _tuple(x) -> tuple:
    return x if isinstance(x, tuple) else (x,)


def _one_hot(x, index) -> np.ndarray:
    direction = np.zeros(x.shape)
    direction[index] = 1
    return direction


def _describe(x) -> str:
    return f"a tuple of {len(x)}" if isinstance(x, tuple) else f"{type(x).__name__}"
