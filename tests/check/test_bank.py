"""The bank of mistakes keeps what it promises: ids of one mistake each, short texts, and wrong gradients that differ
from the right ones and from each other. Right versions written otherwise, in wheats.py and wheats_layers.py, pass."""

import importlib.util
import re
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from tinygrad_gpt.array import is_float
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op, mistakes
from tinygrad_gpt.check.measure import as_tuple
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.sparse_rows import dense

BANK = mistakes.all_mistakes()
OPS = sorted({mistake.op for mistake in BANK})
LETTERS = "GELSCNAMD"
MOST = 15  # mistakes of one op
RIGHT = "the right pair"
pytestmark = pytest.mark.usefixtures("measured_along_directions_only")
CLOSE = 1e-5  # of the largest element: gradients nearer than this are taken to be equal


def wheats() -> list[tuple]:
    """(op, name, pair) of the right versions in both files, or in one where there is but one."""
    names = [f"tests.check.{name}" for name in ("wheats", "wheats_layers")]
    return [wheat for name in names if importlib.util.find_spec(name) for wheat in importlib.import_module(name).WHEATS]


@cache
def small_cases(op):
    return tuple(cases(op, large=False))


def is_ordinary(case) -> bool:
    """Whether a mistake can show in it: no float array is empty, and one has several elements."""
    sizes = [a.size for a in case.arrays if is_float(a)]
    return min(sizes) > 0 and max(sizes) > 1


def run(pair, case, dtype):
    """The outputs and gradients of a pair in a case, and whether it left inputs and upstream gradients as they were."""
    arrays = tuple(a.astype(dtype) if is_float(a) else a for a in case.arrays)
    rng = np.random.default_rng(list(case.name.encode()))
    with np.errstate(all="ignore"):
        ys, saved = pair.forward(*arrays, **case.settings)
        dys = tuple(np.asarray(rng.standard_normal(np.shape(y)), dtype) for y in as_tuple(ys))
        given = [a for a in (*arrays, *dys) if a is not None]
        before = [a.copy() for a in given]
        grads = as_tuple(pair.backward(dys if isinstance(ys, tuple) else dys[0], saved))
    unchanged = all(np.array_equal(a, b, equal_nan=is_float(a)) for a, b in zip(given, before, strict=True))
    return (*as_tuple(ys), *map(dense, grads)), unchanged


@cache
def outcomes(op) -> dict[str, list]:
    """For the reference and for each mistake of an op what it makes of each small case: (outputs, gradients), or the
    text of the error that it raises (a wrong pair may raise anything)."""

    def outcome(pair, case):
        try:
            return run(pair, case, np.float64)[0]
        except Exception as error:
            return repr(error)

    pairs = {RIGHT: registry.reference(op)} | {mistake.id: mistake.pair() for mistake in mistakes.of(op)}
    return {name: [outcome(pair, case) for case in small_cases(op)] for name, pair in pairs.items()}


def equal(one, other) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return type(one) is type(other) and one == other
    return len(one) == len(other) and all(map(close, one, other))


def close(a, b) -> bool:
    if a is None or b is None or np.shape(a) != np.shape(b):
        return a is b
    largest = np.max(np.abs(b), where=np.isfinite(b), initial=0)
    return np.allclose(a, b, rtol=CLOSE, atol=CLOSE * largest, equal_nan=True)


def test_an_id_is_that_of_one_mistake():
    ids = [mistake.id for mistake in BANK]
    assert not [id for id in ids if not re.fullmatch(f"[{LETTERS}][0-9][0-9]", id)]
    assert not [id for id in ids if ids.count(id) > 1]
    assert mistakes.by_id(BANK[-1].id) is BANK[-1]


def test_every_op_has_a_list_that_can_be_read():
    assert set(OPS) <= set(registry.op_names())
    assert max(len(mistakes.of(op)) for op in OPS) <= MOST


@pytest.mark.parametrize("mistake", BANK, ids=lambda mistake: mistake.id)
def test_texts_are_one_line_each(mistake):
    for name, (least, most) in {"sentence": (5, 100), "why": (30, 200), "look": (15, 130), "source": (0, 130)}.items():
        text = getattr(mistake, name)
        assert least <= len(text) <= most, f"{name} has {len(text)} characters"
        assert " ".join(text.split()) == text, name
        assert not text.endswith("."), name
    assert mistake.look.endswith("?")
    assert (mistake.backward is None) != (mistake.forward is None)


@pytest.mark.parametrize("mistake", BANK, ids=lambda mistake: mistake.id)
def test_every_mistake_fails_in_an_ordinary_case(mistake):
    found, op = outcomes(mistake.op), mistake.op
    differ = [not equal(*pair) for pair in zip(found[mistake.id], found[RIGHT], strict=True)]
    ordinary = [case for case, differs in zip(small_cases(op), differ, strict=True) if differs and is_ordinary(case)]
    assert ordinary, "it is right in all of them"
    assert not check_op(op, mistake.pair(), ordinary[:1]).ok


@pytest.mark.parametrize("op", OPS)
def test_no_two_pairs_of_an_op_agree_everywhere(op):
    """Neither two mistakes, nor a mistake and the right pair: a name has to tell which it is."""
    agree = [(a, b) for (a, ofa), (b, ofb) in combinations(outcomes(op).items(), 2) if all(map(equal, ofa, ofb))]
    assert agree == []


@pytest.mark.parametrize("mistake", BANK, ids=lambda mistake: mistake.id)
def test_a_mistake_is_wrong_in_what_it_says_alone(mistake):
    """It keeps the dtype and changes nothing in place: else a report would speak of that."""
    for case in filter(is_ordinary, small_cases(mistake.op)):
        try:
            made, unchanged = run(mistake.pair(), case, np.float32)
        except Exception:  # what the mistake may do
            continue
        assert unchanged, case.name
        assert {a.dtype for a in map(np.asarray, made) if is_float(a)} == {np.dtype(np.float32)}, case.name


@pytest.mark.parametrize("op, pair", [pytest.param(op, pair, id=f"{op}: {name}") for op, name, pair in wheats()])
def test_a_right_version_written_otherwise_passes(op, pair):
    some = [case for case in small_cases(op) if not case.name.startswith("long")]  # which take most of the time
    report = check_op(op, pair, some)
    assert report.ok, str(report)
    assert not any(finding.hint for finding in report.findings)
