"""All checks of one pair on one case: the contract and the verdicts. The theory is in check/__init__.py."""

from contextlib import suppress

import numpy as np

from tinygrad_gpt import array, sparse_rows
from tinygrad_gpt.check.call import Call, describe, dtype_hint, inexact_hint, where_raised
from tinygrad_gpt.check.evidence import Evidence
from tinygrad_gpt.check.fresh import other_data
from tinygrad_gpt.check.layouts import as_float, copy, other_layout, turned
from tinygrad_gpt.check.linearity import HINT, LARGE, NOT_LINEAR, not_linear
from tinygrad_gpt.check.measure import Loss, as_tuple, largest
from tinygrad_gpt.check.report import EXACT, INEXACT, TOLERANCE, TOLERANCE_32, WRONG, Finding
from tinygrad_gpt.read_only import arrays_in

ELEMENTS = 128  # inputs up to this size are measured element by element
DIRECTIONS = 2  # and all inputs along so many random directions, in each call


class _Stop(Exception):  # noqa: N818 - not an error: the case cannot go on after what was found
    pass


class CaseCheck:
    """All checks of one pair on one case.

    op         whose pair it is; "" for a function that is no op
    reference  the pair that is right; None: there is none
    kink       where there is no derivative to measure, the contract's words for the gradient; else ""
    contract   what the hint says about a pair that does not keep the contract

    What the case tells of each output and gradient is collected in `evidence`, for the diagnosis over all cases.
    """

    def __init__(
        self,
        case: str,
        pair,
        reference,
        names: list[str],
        arrays: tuple,
        settings: dict,
        seed: int,
        kink="",
        contract="",
        op="",
    ):
        self.case, self.pair, self.reference, self.names, self.op = case, pair, reference, names, op
        self.arrays, self.settings, self.kink, self.contract = arrays, settings, kink, contract
        self.known = reference or pair  # whose signature tells the settings
        self.agrees = False  # whether forward is the reference's: else backward is held against its own forward
        self.rng = np.random.default_rng([seed, *case.encode()])
        self.findings: list[Finding] = []
        self.evidence: list[Evidence] = []

    def run(self) -> list[Finding]:
        """The float64 checks: two calls, interleaved, then everything about each of them."""
        self.findings = []
        with suppress(_Stop):
            first = self.forward(self.arrays)
            second = self.forward(other_data(self.arrays, self.rng, bool(self.kink)))
            self.collect_outputs(first)
            agrees = self.check_outputs(first) & self.check_outputs(second)
            self.agrees = agrees and self.reference is not None
            self.collect_gradients(first, [self.random_dy(y) for y in first.ys])
            after_one = [None if g is None else g.copy() for g in first.grads]
            self.backward(second, [other_layout(self.random_dy(y)) for y in second.ys])
            self.check_left_alone(first, after_one)
            for i in range(len(self.arrays)):
                for call, measure in ((first, self.check_elements), (second, self.check_directions)):
                    if self.check_kind(call, i) and self.can_measure(call, i):
                        right_so_far = self.kink or measure(call, i)
                        if self.agrees and (right_so_far or call.arrays[i].size > ELEMENTS):
                            self.check_beside_reference(call, i)
            if self.all_right():
                self.check_other_dys(first)
        return self.findings

    def run_float32(self) -> list[Finding]:
        """float32 in, float32 out, and the numbers those of float64 but for rounding."""
        self.findings = []
        single = tuple(as_float(a, np.float32) for a in self.arrays)
        double = tuple(as_float(a, np.float64) for a in single)
        with suppress(_Stop):
            call, right = self.forward(single), self.forward(double)
            self.check_outputs(call, TOLERANCE_32, right.ys if self.reference is None else None)
            dys = [self.random_dy(y).astype(y.dtype) for y in call.ys]
            self.backward(call, dys)
            self.backward(right, [d.astype(np.float64) for d in dys])
            for i in range(len(self.names)):
                self.check_kind(call, i)
            self.compare_gradients(call, right.grads, " in float32", TOLERANCE_32)
            if self.all_right():
                other, what = self.forward(single), " in float32, for a dy in another order in memory"
                self.backward(other, [turned(d) for d in call.dys])
                self.compare_gradients(other, call.grads, what, TOLERANCE_32)
        return self.findings

    # Running the pair

    def forward(self, arrays: tuple) -> Call:
        call = Call(arrays)
        given = tuple(copy(a) for a in arrays)
        call.watch("an input", given)
        result = self.attempt("forward", *given, **self.settings)
        if not isinstance(result, tuple) or len(result) != 2:
            self.stop("forward", f"should return (y, saved), returned {describe(result)}", self.contract)
        y, call.saved = result
        call.ys = tuple(np.asarray(part) if isinstance(part, np.generic) else part for part in as_tuple(y))
        call.many = isinstance(y, tuple)
        for part in call.ys:
            if not isinstance(part, np.ndarray):
                self.stop("forward", f"y should be an array, it is {describe(part)}")
        if "an input" in call.changed():
            self.stop("forward", "changes an input in place", "compute into a new array, or copy the input first")
        call.watch("the output", call.ys)
        call.watch("a saved array", arrays_in(call.saved))
        return call

    def backward(self, call: Call, dys: list) -> None:
        call.dys = tuple(dy.copy() for dy in dys)
        call.watch("dy", dys)
        grads = self.attempt("backward", tuple(dys) if call.many else dys[0], call.saved)
        if not isinstance(grads, tuple) and len(self.arrays) != 1:
            returned = "None: does it return?" if grads is None else describe(grads)
            self.stop("backward", f"should return a tuple of gradients, returned {returned}", self.contract)
        call.grads = tuple(
            np.asarray(g) if isinstance(g, np.generic) else sparse_rows.dense(g) for g in as_tuple(grads)
        )
        if len(call.grads) != len(self.arrays):  # the last ones are too many, or missing, and the others are checked
            given, inputs = len(call.grads), f"{len(self.arrays)} inputs ({', '.join(self.names)})"
            problem = f"returned {given} gradient{'s' * (given != 1)} for {inputs}"
            self.add("backward", False, problem, hint=self.contract)
            call.missing = set(self.names[given:])
            call.grads = (*call.grads[: len(self.arrays)], *[None] * len(call.missing))
        for name, g in zip(self.names, call.grads, strict=True):
            if g is not None and not isinstance(g, np.ndarray):
                self.stop(f"the gradient of {name}", f"should be an array or None, is {describe(g)}")

    def attempt(self, function: str, *args, **settings):
        try:
            return getattr(self.pair, function)(*args, **settings)
        except (Exception, SystemExit) as error:  # whatever a learner's code may raise is a finding
            self.raised = type(error)
            self.stop(function, f"raised {type(error).__name__}: {error}", where_raised(error) or self.contract)

    # Evidence

    def collect_outputs(self, call: Call) -> None:
        """What the case tells of each output."""
        if self.reference is not None:
            for k in range(len(call.ys)):
                subject = "the output" + (f" {k}" if call.many else "")
                self.evidence.append(Evidence(self, call, subject, k=k))

    def collect_gradients(self, call: Call, dys: list) -> None:
        """Run backward; what the case tells of the gradient of each float input, an error among it."""
        self.raised = None
        try:
            self.backward(call, dys)
        finally:
            if self.raised or all(isinstance(g, np.ndarray | None) for g in call.grads or "?"):
                for i, x in enumerate(self.arrays):
                    if array.is_float(x):
                        subject = f"the gradient of {self.names[i]}"
                        self.evidence.append(Evidence(self, call, subject, i, raised=self.raised))

    def called_alone(self, call: Call) -> tuple | None:
        """The gradients of the same call, where no other comes between its forward and its backward."""
        with suppress(_Stop):
            alone = self.forward(call.arrays)
            self.backward(alone, [dy.copy() for dy in call.dys])
            return alone.grads
        return None

    # What is right

    def right_outputs(self, call: Call) -> tuple:
        """The reference's outputs."""
        arrays = tuple(as_float(a, np.float64) for a in call.arrays)
        return as_tuple(self.reference.forward(*arrays, **self.settings)[0])

    def loss(self, call: Call, dys: tuple | None = None) -> Loss:
        """What the gradients of `call` are the gradient of."""
        forward = (self.reference if self.agrees else self.pair).forward
        return Loss(forward, call.arrays, self.settings, dys or call.dys)

    def right_gradient(self, call: Call, i: int, dys: tuple | None = None) -> np.ndarray | None:
        """The gradient of input i, for other dys if given: the reference's, or else measured (None if that is long)."""
        if not self.agrees:
            return self.loss(call, dys).gradient(i) if call.arrays[i].size <= ELEMENTS else None
        if dys is None and call.right is not None:
            return call.right[i]
        y, saved = self.reference.forward(*call.arrays, **self.settings)
        right = self.reference.backward((dys or call.dys) if isinstance(y, tuple) else (dys or call.dys)[0], saved)
        right = [sparse_rows.dense(g) for g in as_tuple(right)]
        if dys is None:
            call.right = right
        return right[i]

    # Verdicts

    def add(self, subject: str, ok: bool, problem: str = "", **details) -> bool:
        size = sum(a.size for a in self.arrays if a is not None)
        self.findings.append(Finding(self.case, subject, ok, "" if ok else problem, size=size, **details))
        return ok

    def stop(self, subject: str, problem: str, hint: str = "") -> None:
        self.add(subject, False, problem, hint=hint)
        raise _Stop

    def all_right(self) -> bool:
        return all(f.ok for f in self.findings)

    def check_outputs(self, call: Call, tolerance: float = EXACT, right: tuple | None = None) -> bool:
        """The pair's outputs are the reference's, or `right`: shape, dtype, values. False for another function
        altogether."""
        if right is None and self.reference is None:
            return True
        if right is None:
            right = self.right_outputs(call)
        floats = [a for a in call.arrays if array.is_float(a)]
        if len(call.ys) != len(right):
            self.stop("forward", f"returned {len(call.ys)} outputs instead of {len(right)}")
        ok, single = True, tolerance == TOLERANCE_32
        noise = 0.0 if single else 0.01 * largest(floats)  # an output that is 0 since large numbers cancel
        for k, (y, r) in enumerate(zip(call.ys, right, strict=True)):
            subject = "the output" + (f" {k}" if call.many else "") + (" in float32" if single else "")
            if y.shape != r.shape:
                ok = self.add(subject, False, f"has shape {y.shape} instead of {r.shape}")
            elif floats and y.dtype != floats[0].dtype:
                problem = f"is {y.dtype} instead of {floats[0].dtype}"
                ok = self.add(subject, False, problem, hint=dtype_hint(y.dtype), mistake="G18")
            else:
                same = self.compare(subject, y, r, tolerance, noise=noise)
                ok &= same or self.findings[-1].error <= TOLERANCE
        return ok

    def check_left_alone(self, call: Call, grads_before: list) -> None:
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

    def check_kind(self, call: Call, i: int) -> bool:
        """A float input has a gradient of its shape and dtype, others None. False when there is nothing to measure."""
        x, g, name = call.arrays[i], call.grads[i], self.names[i]
        subject = f"the gradient of {name}"
        if not array.is_float(x):
            self.add(subject, g is None, f"should be None: {name} is {'None' if x is None else x.dtype}")
            return False
        if name in call.missing:
            return False
        if g is None:
            return self.add(subject, False, "is None, and a float input needs one")
        if g.shape != x.shape:
            return self.add(subject, False, f"has shape {g.shape} instead of {x.shape}")
        if g.dtype != x.dtype:
            problem = f"is {g.dtype} instead of {x.dtype}"
            return self.add(subject, False, problem, hint=dtype_hint(g.dtype), mistake="G18")
        return True

    def can_measure(self, call: Call, i: int) -> bool:
        """False, with a finding, where the pair's own forward is to be measured and its output has nan in it."""
        if self.agrees or not any(np.isnan(y).any() for y in call.ys):
            return True
        hint = "its forward is wrong, or not defined here: put that right first"
        return self.add(f"the gradient of {self.names[i]}", False, "cannot be measured: the output is nan", hint=hint)

    def check_elements(self, call: Call, i: int) -> bool:
        """The gradient of input i against finite differences, element by element; of a large one along directions: the
        reference tells the place of an error then; where there is none, random places may."""
        x, g, subject, loss = call.arrays[i], call.grads[i], f"the gradient of {self.names[i]}", self.loss(call)
        if x.size == 0:
            return self.add(subject, True)
        if x.size <= ELEMENTS:
            right = loss.gradient(i)
            return self.compare(subject, g, right, noise=loss.noise(call.ys), hint=self.at_a_kink)
        ok = True
        if not self.agrees:
            places = np.sort(self.rng.choice(x.size, ELEMENTS, replace=False))
            indices = [np.unravel_index(k, x.shape) for k in places]
            right = np.array([loss.derivative(i, k) for k in indices])
            got = np.array([g[k] for k in indices])
            ok = self.compare(subject, got, right, noise=loss.noise(call.ys), places=lambda n, _: indices[n])
        return self.check_directions(call, i) and ok

    def check_directions(self, call: Call, i: int) -> bool:
        """The gradient of input i against the slope along random directions."""
        x, g, ok, loss = call.arrays[i], call.grads[i], True, self.loss(call)
        noise = loss.noise(call.ys)
        for _ in range(DIRECTIONS if x.size else 0):
            direction = self.rng.standard_normal(x.shape) * np.where(np.isfinite(x), np.maximum(1, np.abs(x)), 0)
            right = loss.slope(i, direction)
            parts = (g * direction)[direction != 0]
            ok &= self.compare(
                f"the gradient of {self.names[i]}",
                np.sum(parts),
                right,
                noise=max(noise, float(np.linalg.norm(parts))),
                places=lambda *_: None,
                hint=lambda: self.second_call_hint(call, i),
            )
        return ok

    def check_beside_reference(self, call: Call, i: int) -> None:
        """The gradient of input i against the reference's: every element, and to the last digits but a few.

        At a kink that is all there is to go by. Elsewhere the measuring has come first, and what this adds is the
        place of an error in a large array, and numbers that are right to 7 digits only.
        """
        got, right = call.grads[i], self.right_gradient(call, i)
        noise = 0.01 * largest(call.dys)  # a gradient that is 0 because terms of dy's size cancel
        self.compare(f"the gradient of {self.names[i]}", got, right, EXACT, noise=noise, hint=self.at_a_kink)

    def check_other_dys(self, first: Call) -> None:
        """dy may be large, may lie in memory in any order, and may be a broadcast view (as sum's backward returns):
        read-only, one number in the place of many."""
        large = self.forward(self.arrays)
        self.backward(large, [np.asarray(LARGE * dy) for dy in first.dys])
        for name in not_linear(self.names, first.grads, large.grads):
            self.add(f"the gradient of {name}", False, NOT_LINEAR, hint=HINT)
        other = self.forward(self.arrays)
        self.backward(other, [turned(dy) for dy in first.dys])
        self.compare_gradients(other, first.grads, " for a dy in another order in memory", EXACT)
        call, plain = (self.forward(self.arrays) for _ in range(2))
        dys = [np.broadcast_to(np.asarray(self.rng.standard_normal(), y.dtype), y.shape) for y in call.ys]
        self.backward(call, dys)
        self.backward(plain, [d.copy() for d in dys])
        self.compare_gradients(call, plain.grads, " for a dy that is a broadcast view", EXACT)

    def compare_gradients(self, call: Call, right: tuple, what: str, tolerance: float) -> None:
        """Every gradient of a call against the same from elsewhere, where both have the shape of the input."""
        noise = 0.01 * largest(call.dys)
        for name, x, g, r in zip(self.names, call.arrays, call.grads, right, strict=True):
            told = r is not None and not self.kink and np.isnan(r).any()  # that it is nan, where r was checked
            alike = g is not None and r is not None and x is not None and g.shape == r.shape == x.shape
            if alike and not told:
                self.compare(f"the gradient of {name}{what}", g, r, tolerance, noise=noise)

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
        same = got == right  # inf equals inf
        if self.kink:  # the contract may give nan, as 0/0 does
            same |= np.isnan(got) & np.isnan(right)
        with np.errstate(invalid="ignore"):
            difference = np.where(same, 0, np.abs(got - right)).astype(np.float64)
        difference[~np.isfinite(difference)] = np.inf
        scale = max(largest((got, right)), noise) or 1.0
        worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
        error = float(difference[worst]) / scale
        ok, inexact = error <= tolerance, error <= TOLERANCE
        index = places(int(np.argmax(difference)), difference.shape)
        index = None if index is None else tuple(int(k) for k in index)
        return self.add(
            subject,
            ok,
            INEXACT if inexact else f"{WRONG} at a kink" if self.kink else WRONG,
            error=error,
            tolerance=tolerance,
            scale=scale,
            index=index,
            got=float(got[worst]),
            right=float(right[worst]),
            hint="" if ok else inexact_hint(got, right) if inexact else hint(),
        )

    def random_dy(self, y) -> np.ndarray:
        return np.asarray(self.rng.standard_normal(y.shape))

    # Hints

    def at_a_kink(self) -> str:
        return f"there is no derivative to measure here, so the contract decides: {self.kink}" if self.kink else ""

    def second_call_hint(self, call: Call, i: int) -> str:
        subject = f"the gradient of {self.names[i]}"
        is_second = call.arrays is not self.arrays
        if is_second and all(f.ok for f in self.findings if f.subject == subject):
            return "a first call is right and a second with fresh data is wrong: is something remembered between calls?"
        return ""
