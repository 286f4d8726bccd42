"""Is this backward right? Checks for pairs and for functions of Tensors, and reports that say what is wrong.

    report = check_op("layer_norm", my_pair)     # any object with .forward and .backward; the op's own cases
    print(report)                                # what is right, what is wrong, where, and often why
    report.raise_if_failed()

    gradcheck(lambda x, w: F.layer_norm(x, w.shape, w).exp(), x, w)     # any function of Tensors; raises GradcheckError

    measure.py    the derivative, measured by finite differences
    case.py       all checks of one pair on one case
    call.py       one call of a pair, watched
    fitted.py     a pair whose signature is not the op's, called as far as it goes
    fresh.py      other data of the same kind, for a second call
    layouts.py    copies of arrays that lie in memory in other ways
    linearity.py  gradients grow as dy does
    report.py     findings, and the report that holds them
    on_device.py  a pair that computes on another device, checked from the CPU
    mistakes/     the bank: wrong pairs as learners write them
    probes/       whole models, optimisers and loops: what their parts do not tell

    diagnosis.py    which mistake explains the wrong numbers, in all cases
    evidence.py     what one case tells
    hypothesis.py   one mistake as a question to a case, and the consensus of all
    bank.py         the known mistakes, compared
    what_if.py      the right gradient of something else
    derivations/    another formula of the derivation's terms
    shapes.py       another shape, or the right numbers in other places
    factors.py      a constant factor
    terms.py        a factor or a term that is missing, a number of each row
    ingredients.py  the arrays that such a term is made of
    masks.py        zeros in the wrong places
    places.py       where the wrong numbers stand

The derivative is defined as a limit, so it can be measured. With a random upstream gradient dy, the loss is
L(x) = Σ dy · forward(x), a single number, and along any direction d

    (L(x + h d) - L(x - h d)) / 2h  =  gradient · d + O(h²)

In float64 with h = 1e-6 both errors, O(h²) and the rounding of L over h, are far below the tolerance of 1e-6. An input
of up to 128 elements is measured element by element, which tells the place of an error; a larger one along random
directions, which no wrong element escapes except by a rare accident.

A difference is compared with a scale: the largest element of that gradient. (Element by element would be unfair to an
element that is zero but for rounding.) The scale is never less than what rounding can feign in the measurement.

Then the gradient is compared with the reference's, which tells more in three ways. It is exact: to 1e-10, so that a
pair which computes in float32 inside, right to 7 digits, is told from one in float64. It knows every element of a large
array, and so the place of an error. And it knows the kinks: where two elements tie for the maximum, at the 0 of relu or
at the root of 0 there is no derivative to measure, and the op's file states what the gradient shall be.

Besides, each case checks the contract of `tinygrad_gpt/ops/__init__.py`: values, shapes and dtypes as the reference's;
a gradient for every float input and None for the others; nothing changed in place; no gradient shares memory with what
was saved; and two calls whose forwards and backwards interleave, with fresh data, other memory layouts of dy, and a
dy that is a broadcast view, so that anything remembered outside `saved`, or assumed about dy, comes to light.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace

import numpy as np

from tinygrad_gpt import array, random_stream
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.cases import cases as cases_of
from tinygrad_gpt.cases.given import given_cases
from tinygrad_gpt.check.call import changing_dy, quietly
from tinygrad_gpt.check.case import CaseCheck
from tinygrad_gpt.check.diagnosis import explain
from tinygrad_gpt.check.evidence import Evidence
from tinygrad_gpt.check.fitted import Fitted
from tinygrad_gpt.check.layouts import as_float
from tinygrad_gpt.check.measure import as_tuple
from tinygrad_gpt.check.on_device import OnDevice
from tinygrad_gpt.check.report import Finding, GradcheckError, Report
from tinygrad_gpt.kernels import catalogue, registry
from tinygrad_gpt.kernels.contract import disagreements, where_it_stands

__all__ = ["Finding", "GradcheckError", "OnDevice", "Report", "check_op", "gradcheck"]


def check_op(op: str, pair=None, cases: Iterable | None = None, *, seed: int = 0) -> Report:
    """Check a pair for `op` against finite differences and the reference, on the op's cases (tinygrad_gpt/cases).

    op     the name of an op; or a new name, if `cases` are given
    pair   any object with `.forward` and `.backward`: a module, a registry.Version, a SimpleNamespace, a class; or
           OnDevice(pair, device("cuda")) of such, to see it compute there. Its `.why_not`, where it has one, may
           decline cases. None means the version that `explain` says runs, if nothing declines
    cases  [(x, weight), (x, weight, {"eps": 0.1})], arrays and then settings; shapes such as [((3, 5), (5,))], for
           arrays of normal numbers; or objects with `.name`, `.arrays` and `.settings`, and with a `.kink` where there
           is no derivative to measure (see cases.Case). None means the op's own

    The measured derivative is the reference's; where the pair's forward disagrees with the reference, that is
    reported, and its backward is held against its own forward. A pair that an op of one's own was made with is its own
    reference. Never raises for a wrong pair: see Report. Raises ValueError for a name that no op has, without cases,
    and for an op of one's own without cases; TypeError for cases that are none.
    """
    pair = registry.versions(op)[0] if pair is None else pair
    pair = pair.as_written() if isinstance(pair, registry.Version) else pair  # and say more of its dtypes
    reference = registry.reference(op) if op in registry.all_ops() or cases is None else None
    inner = pair.pair if isinstance(pair, OnDevice) else pair  # with the signatures of its author
    known = reference or inner
    if own := catalogue.own_op(op):
        reference = None if inner.forward is own.forward else own  # None: there is nothing beside it
    contract, findings, skipped = where_it_stands(op, known), [], []
    evidence: list[Evidence] = []
    why_not = getattr(pair, "why_not", None) or (lambda *arrays, **settings: None)
    if problems := disagreements(known, inner):
        findings.append(Finding("", "the signature", False, "; ".join(problems), hint=contract))
    fitted = Fitted(pair, known, inner) if problems else None
    pair = fitted or pair
    for case in cases_of(op) if cases is None else given_cases(op, cases, known):
        arrays = tuple(as_float(a, np.float64) for a in case.arrays)
        reason = why_not(*arrays, **case.settings) or (fitted and fitted.why_not(*arrays, **case.settings))
        if reason:
            skipped.append((case.name, reason))
            continue
        names = _input_names(known.forward, len(arrays))
        kink = getattr(case, "kink", "")
        check = CaseCheck(case.name, pair, reference, names, arrays, case.settings, seed, kink, contract, op)
        with quietly():
            found = check.run()
            if why_not(*(as_float(a, np.float32) for a in arrays), **case.settings) is None:
                found += check.run_float32()
        evidence += check.evidence
        findings += [f for f in found if not (fitted and not fitted.has_backward and f.subject == "backward")]
    with quietly():
        findings = explain(op, findings, evidence)
    return Report(op, getattr(pair, "name", "yours"), tuple(findings), tuple(skipped))


def gradcheck(fn: Callable, *inputs, seed: int = 0) -> Report:
    """Check the gradients of `fn`, a function of Tensors that returns a Tensor or a tuple of them.

    inputs  arrays, Tensors or numbers. Floats of any kind are converted to float64, and their gradients checked;
            integers and booleans are passed on as they are

    Random numbers that `fn` draws from the package's stream (dropout) are the same at every call. Returns the Report;
    raises GradcheckError when a gradient is wrong.
    """
    arrays = tuple(as_float(array.as_array(getattr(x, "data", x), None), np.float64) for x in inputs)
    random_state = random_stream.random_state()
    changing: dict[str, None] = {}  # the ops that change dy

    def forward(*arrays):
        random_stream.set_random_state(random_state)
        leaves = [Tensor(a, requires_grad=array.is_float(a)) for a in arrays]
        result = fn(*leaves)
        outputs = as_tuple(result)
        if not all(isinstance(y, Tensor) for y in outputs):
            raise TypeError("gradcheck: fn should return a Tensor or a tuple of Tensors")
        ys = tuple(y.data for y in outputs)
        return (ys if isinstance(result, tuple) else ys[0]), (leaves, outputs)

    def backward(dy, saved):
        leaves, outputs = saved
        if len(outputs) == 1:
            root, start = outputs[0], as_tuple(dy)[0]
        else:
            root, start = reduce(F.add, [F.sum(y * d) for y, d in zip(outputs, dy, strict=True)]), np.ones(())
        changing.update(changing_dy(root, start))
        return tuple(np.zeros_like(x.data) if x.requires_grad and x.grad is None else x.grad for x in leaves)

    try:
        pair = SimpleNamespace(forward=forward, backward=backward)
        check = CaseCheck("given inputs", pair, None, _input_names(fn, len(arrays)), arrays, {}, seed)
        findings = explain("", check.run(), check.evidence, alone=True)
        if changing:  # which explains what else is wrong
            findings = [f if f.ok else replace(f, hint="") for f in findings]
            problem = f"backward of {' and '.join(changing)} changes dy in place"
            hint = "another op may read dy too: compute into a new array"
            findings.insert(0, Finding(check.case, "arrays in place", False, problem, hint=hint))
        report = Report(getattr(fn, "__name__", "function"), "autograd", tuple(findings))
    finally:
        random_stream.set_random_state(random_state)
    return report.raise_if_failed()


def _input_names(fn: Callable, count: int) -> list[str]:
    """What to call the inputs: the names of fn's parameters, where they tell."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    many = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "input")
    return names + [f"{many}[{k}]" for k in range(count - len(names))]
