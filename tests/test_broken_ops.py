"""The checks catch wrong gradients: every backward is broken in every way that applies to it, and must be found out.

Two kinds of damage. The general ones wrap any pair and spoil what goes in or comes out of its backward. The particular
ones change a line of the op's own file, as a slip of the pen would: a term dropped, a sum forgotten, a sign turned.
"""

import inspect
import types
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt.array import is_float
from tinygrad_gpt.cases import cases as fresh_cases
from tinygrad_gpt.check import check_op
from tinygrad_gpt.kernels import registry

OPS = registry.op_names()
pytestmark = pytest.mark.usefixtures("measured_along_directions_only")

cases = cache(fresh_cases)  # the checks give each pair copies


def float_inputs(op: str) -> list[int]:
    """The inputs of `op` that are float arrays in at least one case."""
    most = max(len(case.arrays) for case in cases(op))
    return [i for i in range(most) if any(len(c.arrays) > i and is_float(c.arrays[i]) for c in cases(op))]


def assert_caught(op: str, pair, which=lambda case: True) -> None:
    """The checks find `pair` wrong in one of the cases for which `which` is true."""
    for case in filter(which, cases(op)):
        if not check_op(op, pair, [case]).ok:
            return
    pytest.fail(f"a broken {op} passed in all cases")


def each(change):
    """A way of breaking that changes every gradient by itself."""

    def broken(module):
        def backward(dy, saved):
            return tuple(None if g is None else change(g) for g in module.backward(dy, saved))

        return SimpleNamespace(forward=module.forward, backward=backward)

    return broken


def mapped(dy, change):
    return tuple(map(change, dy)) if isinstance(dy, tuple) else change(dy)


# --- general damage ----------------------------------------------------------------------------------------------


def ignores_dy(module):
    backward = lambda dy, saved: module.backward(mapped(dy, np.ones_like), saved)  # noqa: E731
    return SimpleNamespace(forward=module.forward, backward=backward)


def spoils_the_last_element(g):
    g = g.copy()
    g[(-1,) * g.ndim] += 0.01 if g.ndim == 0 or g.size else 0
    return g


def first_slice_only(g):
    """As when a kernel's loop ends too early: the last slice stays zero."""
    g = g.copy()
    if g.ndim and g.shape[0]:
        g[-1] = 0
    else:
        g = 0 * g
    return g


def adds_to_an_input(module):
    def forward(*arrays, **settings):
        result = module.forward(*arrays, **settings)
        next(a for a in arrays if is_float(a))[...] += 0.5
        return result

    return SimpleNamespace(forward=forward, backward=module.backward)


def scales_dy_in_place(module):
    def backward(dy, saved):
        grads = tuple(None if g is None else g.copy() for g in module.backward(dy, saved))
        for part in dy if isinstance(dy, tuple) else (dy,):
            if part.flags.writeable:
                part *= 2
        return grads

    return SimpleNamespace(forward=module.forward, backward=backward)


def remembers_its_first_gradients(module):
    """A cache that forgets to look at the data."""
    known = {}

    def backward(dy, saved):
        shapes = mapped(dy, lambda d: (d.shape, d.dtype))
        return tuple(None if g is None else g.copy() for g in known.setdefault(shapes, module.backward(dy, saved)))

    return SimpleNamespace(forward=module.forward, backward=backward)


def returns_the_same_buffer(module):
    """The right numbers, in an array that the next call overwrites."""
    buffers = {}

    def backward(dy, saved):
        grads = []
        for i, g in enumerate(module.backward(dy, saved)):
            if g is not None:
                buffer = buffers.setdefault((i, g.shape, g.dtype), np.empty(g.shape, g.dtype))
                buffer[...] = g
                g = buffer
            grads.append(g)
        return tuple(grads)

    return SimpleNamespace(forward=module.forward, backward=backward)


def rounds_its_outputs(module):
    """float64 comes out, computed in float32."""

    def forward(*arrays, **settings):
        y, saved = module.forward(*arrays, **settings)
        return mapped(y, lambda part: np.asarray(as_float32(part))), saved

    return SimpleNamespace(forward=forward, backward=module.backward)


def as_float32(g):
    return np.asarray(g, np.float32).astype(g.dtype)


def reads_dy_in_the_order_of_memory(module, dtypes=(np.float64, np.float32)):
    """As a kernel that is given an address, and goes through memory from there."""

    def in_memory(dy):
        return dy.ravel(order="K").reshape(dy.shape) if dy.dtype in dtypes else dy

    backward = lambda dy, saved: module.backward(mapped(dy, in_memory), saved)  # noqa: E731
    return SimpleNamespace(forward=module.forward, backward=backward)


GENERAL = {
    "ignores dy": ignores_dy,
    "outputs as in float32": rounds_its_outputs,
    "gradients as in float32": each(as_float32),
    "wrong in float32 only": each(lambda g: 1.01 * g if g.dtype == np.float32 else g),
    "wrong in float64 only": each(lambda g: 1.01 * g if g.dtype == np.float64 else g),
    "dy in memory's order": reads_dy_in_the_order_of_memory,
    "dy in memory's order, float32": lambda module: reads_dy_in_the_order_of_memory(module, (np.float32,)),
    "scale 1.01": each(lambda g: 1.01 * g),
    "scale 1.0001": each(lambda g: 1.0001 * g),
    "sign": each(lambda g: -g),
    "one element": each(spoils_the_last_element),
    "last slice": each(first_slice_only),
    "always float64": each(lambda g: g.astype(np.float64)),
    "an axis too many": each(lambda g: g[None]),
    "nan": each(lambda g: g * np.nan),
    "changes an input": adds_to_an_input,
    "changes dy": scales_dy_in_place,
    "stale gradients": remembers_its_first_gradients,
    "one buffer for all calls": returns_the_same_buffer,
}


@pytest.mark.parametrize("damage", GENERAL)
@pytest.mark.parametrize("op", OPS)
def test_general_damage_is_caught(op, damage):
    if op == "linear_cross_entropy" and damage.startswith("dy in memory's order"):
        pytest.skip("dy is a number, which lies in memory in one way only")
    assert_caught(op, GENERAL[damage](registry.reference(op)))


@pytest.mark.parametrize("op", OPS)
def test_a_dropped_input_is_caught(op):
    module = registry.reference(op)
    for i in float_inputs(op):
        for nothing in (np.zeros_like, lambda g: None):

            def backward(dy, saved, i=i, nothing=nothing):
                grads = list(module.backward(dy, saved))
                if i < len(grads) and grads[i] is not None:
                    grads[i] = nothing(grads[i])
                return tuple(grads)

            assert_caught(op, SimpleNamespace(forward=module.forward, backward=backward))


@pytest.mark.parametrize("op", [op for op in OPS if len(float_inputs(op)) > 1])
def test_gradients_in_the_wrong_order_are_caught(op):
    module = registry.reference(op)

    def backward(dy, saved):
        grads = list(module.backward(dy, saved))
        there = [i for i, g in enumerate(grads) if g is not None]
        for i, j in zip(there, reversed(there.copy()), strict=True):
            if i < j:
                grads[i], grads[j] = grads[j], grads[i]
        return tuple(grads)

    assert_caught(op, SimpleNamespace(forward=module.forward, backward=backward))


def beyond(size: int):
    """Spoils what lies beyond so many along any axis, as when a loop ends with its first block."""

    def spoil(g):
        g = g.copy()
        for axis in range(g.ndim):
            np.moveaxis(g, axis, 0)[size:] *= 1.01
        return g

    return spoil


def beyond_two_chunks(g):
    g = g.copy()
    g.reshape(-1)[2 * 8192 :] *= 1.01
    return g


def one_far_out(g):
    g = g.copy()
    if g.size > 2 * 8192:
        g[tuple(n * 9 // 10 for n in g.shape)] += 0.5
    return g


FAR_OUT = {"257 on": beyond(256), "512 on": beyond(511), "chunk 3": beyond_two_chunks, "one element": one_far_out}


def is_large(case) -> bool:
    return max(a.size for a in case.arrays if is_float(a)) > 2 * 8192


@pytest.mark.long
@pytest.mark.parametrize("damage", FAR_OUT)
@pytest.mark.parametrize("op", OPS)
def test_damage_beyond_the_first_blocks_is_caught(op, damage):
    """Every op has cases with more rows, and with more elements, than a kernel takes at a time."""
    assert_caught(op, each(FAR_OUT[damage])(registry.reference(op)), is_large)


@pytest.mark.parametrize("op", [op for op in OPS if op != "max"])  # whose large case is all ties, for the reference
def test_one_wrong_element_among_thousands_is_measured(op):
    """Along random directions, with no help from the reference."""
    case = next(case for case in cases(op) if is_large(case))
    report = check_op(op, each(one_far_out)(registry.reference(op)), [case])
    assert any(f.index is None for f in report.failures)
    assert any(f.index is not None and f.problem == "wrong numbers" for f in report.failures), "no place was told"


@pytest.mark.parametrize("output", [0, 1])
@pytest.mark.parametrize("op", ["add_layer_norm", "split"])
def test_one_wrong_output_of_many_is_caught(op, output):
    module = registry.reference(op)

    def backward(dys, saved):
        return module.backward(tuple(dy * (1.01 if k == output else 1) for k, dy in enumerate(dys)), saved)

    assert_caught(op, SimpleNamespace(forward=module.forward, backward=backward))


SAVES_NO_DATA = {
    *("add", "sub", "neg", "sum", "mean", "broadcast_to", "reshape", "permute", "concatenate", "split"),
    *("cumsum", "rel_shift"),
    *("dropout", "getitem"),  # a seed, an index: settings, the same in both calls
}


def keeps_state_outside_saved(module):
    state = {}

    def forward(*arrays, **settings):
        y, state["saved"] = module.forward(*arrays, **settings)
        return y, None

    return SimpleNamespace(forward=forward, backward=lambda dy, saved: module.backward(dy, state["saved"]))


@pytest.mark.parametrize("op", sorted({*OPS} - SAVES_NO_DATA))
def test_state_kept_from_the_latest_forward_is_caught(op):
    assert_caught(op, keeps_state_outside_saved(registry.reference(op)))


@pytest.mark.parametrize("op", sorted(SAVES_NO_DATA))
def test_ops_that_save_no_data_cannot_go_stale(op):
    assert check_op(op, keeps_state_outside_saved(registry.reference(op))).ok


# --- particular damage -------------------------------------------------------------------------------------------

# op -> (line or part of it in ops/NAME.py, what is put in its place)
PARTICULAR = {
    "add": [
        ("return sum_to_shape(dy, saved.a_shape), sum_to_shape(dy, saved.b_shape)", "return dy, dy"),
        ("sum_to_shape(dy, saved.b_shape)", "sum_to_shape(dy, saved.b_shape) / 2"),
    ],
    "attention": [
        (" - np.sum(p * dp, axis=-1, keepdims=True)", ""),
        ("dq = (ds @ k) * scale", "dq = ds @ k"),
        ("dk = (ds.swapaxes(-1, -2) @ q) * scale", "dk = ds.swapaxes(-1, -2) @ q"),
        ("dv = z.swapaxes(-1, -2) @ dy", "dv = p.swapaxes(-1, -2) @ dy"),
        ("dp = dz if dropout == 0 else _drop(dz, dropout, seed)", "dp = dz"),
        ("dp = dz if dropout == 0 else _drop(dz, dropout, seed)", "dp = _drop(dz, dropout, seed + 1)"),
        ("sum_to_shape(ds, mask_shape) if", "ds if"),
        ("dmask = sum_to_shape(ds, mask_shape)", "dmask = scale * sum_to_shape(ds, mask_shape)"),
    ],
    "add_layer_norm": [
        ("dx = ds + ds_y", "dx = ds_y"),
        ("dx = ds + ds_y", "dx = ds"),
        ("return dx, dx, dweight", "return dx, ds, dweight"),
    ],
    "broadcast_to": [("return (sum_to_shape(dy, saved.shape),)", "return (dy,)")],
    "clamp": [
        ("np.where(saved.is_within, dy, 0.0)", "dy"),
        ("np.where(saved.is_within, dy, 0.0)", "np.where(saved.is_within, 0.5 * dy, 0.0)"),
    ],
    "concatenate": [
        ("return tuple(grads)", "return tuple(reversed(grads))"),
        ("slice(start, start + size)", "slice(0, size)"),
    ],
    "cos": [("-dy *", "dy *"), ("np.sin(saved.x)", "np.cos(saved.x)")],
    "cross_entropy": [
        ("np.where(counts.reshape(-1, 1), dz * dloss, 0.0)", "counts.reshape(-1, 1) * (dz * dloss)"),
        ('if reduction == "mean":\n        dy = dy', "if False:\n        dy = dy"),
        ("dy = dy / _number(counts, dy.dtype)", "dy = dy / counts.size"),
        ("np.where(counts.reshape(-1, 1), dz * dloss, 0.0)", "dz * dloss"),
        ("dz[np.arange(len(t), like=t), t] -= 1 - label_smoothing", "pass"),
        ("t] -= 1 - label_smoothing", "t] -= 1"),
        ("dz -= label_smoothing / z.shape[-1]", "pass"),
    ],
    "cumsum": [
        ("dy[turned_round]", "dy"),
        ("(np.cumsum(dy[turned_round], axis=saved.axis)[turned_round],)", "(np.cumsum(dy, axis=saved.axis),)"),
        ("np.cumsum(dy[turned_round], axis=saved.axis)", "np.cumsum(dy[turned_round], axis=-1)"),
    ],
    "div": [
        ("da = dy / b", "da = np.where(b == 0, 0.0, dy / b)"),
        ("db = -da * y", "db = np.where(b == 0, 0.0, -da * y)"),
        ("db = -da * y", "db = da * y"),
        ("db = -da * y", "db = -dy * y"),
        ("da = dy / b", "da = dy * b"),
    ],
    "dropout": [("dy * (1 / (1 - p))", "dy"), ("keep_mask(seed, ", "keep_mask(seed + 1, ")],
    "einsum": [
        ("arrays[:k], *arrays[k + 1 :]), (out,", "arrays[k + 1 :], *arrays[:k]), (out,"),
        ("others, their_terms = (dy, *arrays[:k]", "others, their_terms = (np.ones_like(dy), *arrays[:k]"),
        ("tuple([1 if n == 1 else m for n, m in zip(shape, dx.shape, strict=True)])", "shape"),
        ("np.zeros_like(dx, shape=x.shape)", "np.ones_like(dx, shape=x.shape)"),
    ],
    "embedding": [
        ("scatter_add(dweight, ids.reshape(-1), dy.reshape(ids.size, c))", "dweight[ids] = dy"),
        ("scatter_add(dweight, ids.reshape(-1), dy.reshape(ids.size, c))", "dweight[ids] += dy"),
    ],
    "exp": [("return (dy * y,)", "return (dy,)"), ("return (dy * y,)", "return (y,)")],
    "gather": [
        ("scatter_add(dx, places, dy)", "dx[places] = dy"),
        ("scatter_add(dx, places, dy)", "dx[places] += dy"),
    ],
    "gelu": [
        ("(cdf + x * slope)", "cdf"),
        ("(cdf + x * slope)", "(cdf + slope)"),
        ("1 + 3 * CUBIC * x * x", "1 + CUBIC * x * x"),
        ("_of_side(x, tail), density", "_of_side(x, tail), 2 * density"),
        ("2 * s * (1 - s)", "2 * s"),
    ],
    "gelu_linear": [
        ("h, saved_by_gelu = gelu.forward(x, approximate=approximate)", "h, saved_by_gelu = x, (x, approximate)"),
        ("(dx,) = gelu.backward(dh, saved_by_gelu)", "dx = dh"),
        ("saved_by_gelu = gelu.forward(x, approximate=approximate)", "saved_by_gelu = gelu.forward(x)"),
        ("gelu.backward(dh, saved_by_gelu)", "gelu.backward(dh, gelu.Saved(h, approximate))"),
    ],
    "getitem": [("scatter_add(dx, index, dy)", "dx[index] = dy"), ("scatter_add(dx, index, dy)", "dx[index] += dy")],
    "layer_norm": [
        (" - dx_hat_mean", ""),
        (" - x_hat * along_x_hat", ""),
        ("dx = rstd * (", "dx = ("),
        ("dx_hat = dy * weight", "dx_hat = dy"),
        ("dweight = np.sum(dy * x_hat, axis=rows)", "dweight = dy * x_hat"),
        ("dbias = np.sum(dy, axis=rows)", "dbias = np.mean(dy, axis=rows)"),
    ],
    "linear": [
        ("dweight = dy_rows.T @ _rows(x, c_in)", "dweight = _rows(x, c_in).T @ dy_rows"),
        ("np.sum(dy_rows, axis=0)", "dy_rows[0]"),
        ("np.sum(dy_rows, axis=0)", "np.mean(dy_rows, axis=0)"),
    ],
    "linear_cross_entropy": [
        ("return dx, dweight, None, dbias", "return dx, dweight, None, bias"),
        ("linear.backward(dlogits, saved_by_linear)", "linear.backward(logits, saved_by_linear)"),
        (
            "logits, saved_by_linear = linear.forward(x, weight, bias)",
            "logits, saved_by_linear = linear.forward(x, weight)",
        ),
        ("backward(dy, cross_entropy.Saved(", "backward(np.ones_like(dy), cross_entropy.Saved("),
    ],
    "log": [("dy / x", "dy * x"), ("dy / x", "dy / np.maximum(x, 1e-12)"), ("dy / x", "np.where(x > 0, dy / x, 0.0)")],
    "log_softmax": [
        ("(dy - np.exp(y)", "(np.where(y > -np.inf, dy, 0.0) - np.exp(y)"),
        (" - np.exp(y) * np.sum(dy, axis=axis, keepdims=True)", ""),
        ("np.exp(y) * np.sum", "y * np.sum"),
        ("np.sum(dy, axis=axis, keepdims=True)", "np.sum(dy, axis=-1, keepdims=True)"),
    ],
    "logsumexp": [
        (" - log_sum", ""),
        (" - largest", ""),
        ("np.exp((x - largest) - log_sum)", "np.exp((x - largest) - np.max(log_sum))"),
    ],
    "matmul": [
        ("sum_to_shape(da, a_rows.shape)", "da"),
        ("sum_to_shape(db, b_columns.shape)", "db"),
        ("da = dy @ b_columns.swapaxes(-1, -2)", "da = dy @ b_columns"),
        ("db = a_rows.swapaxes(-1, -2) @ dy", "db = (a_rows.swapaxes(-1, -2) @ dy) / dy.shape[-2]"),
    ],
    "max": [
        ("np.where(is_largest, dy_each, 0 / ties)", "np.broadcast_to(dy_each, is_largest.shape)"),
        (" / ties", ""),
        ("np.where(is_largest, dy_each, 0 / ties)", "np.where(is_largest & (ties == 1), dy_each, 0.0)"),
    ],
    "maximum": [
        ("0.5 * dy", "dy"),
        ("0.5 * dy", "0.0 * dy"),
        ("0.5 * dy", "0.5 / dy"),
        ("0.5 * dy", "np.ones_like(dy)"),
        ("0.5 * dy", "0.25 * dy"),
        ("np.where(a > b, 0.0, share)", "np.where(a >= b, 0.0, share)"),
        ("np.where(a < b, 0.0, share)", "np.where(a <= b, 0.0, share)"),
        ("np.where(a < b, 0.0, share)", "np.where(a > b, 0.0, share)"),
        ("np.where(a > b, 0.0, share)", "share"),
        ("return sum_to_shape(da, a.shape)", "return da"),
    ],
    "mean": [(" / count(shape, axes)", ""), ("count(shape, axes)", "shape[-1]")],
    "mul": [
        ("sum_to_shape(dy * b, a.shape)", "dy * b"),
        ("sum_to_shape(dy * a, b.shape)", "sum_to_shape(dy * b, b.shape)"),
        ("sum_to_shape(dy * a, b.shape)", "np.mean(dy * a) + 0 * b"),
    ],
    "neg": [("(-dy,)", "(dy,)")],
    "pow": [
        ("dy * exponent * x", "dy * x"),
        ("(exponent - 1)", "exponent"),
        ("if exponent == 0:", "if False:"),
        ("x ** (exponent - 1)", "np.where(x == 0, 0.0, x ** (exponent - 1))"),
        ("x ** (exponent - 1)", "x**exponent / x"),
    ],
    "prod": [
        ("_before(rows) * _before(rows[..., ::-1])[..., ::-1]", "np.prod(rows, axis=-1, keepdims=True) / rows"),
        ("_before(rows) * ", ""),
        (" * _before(rows[..., ::-1])[..., ::-1]", ""),
        ("_before(rows[..., ::-1])[..., ::-1]", "_before(rows[..., ::-1])"),
        (".transpose(back)", ".transpose(last)"),
    ],
    "rel_shift": [
        ("_columns(dwide, t - first, shape[-1])", "_columns(dwide, t - first + 1, shape[-1])"),
        ("_columns(dwide, t - first, shape[-1])", "_columns(dwide, t - first - 1, shape[-1])"),
        ("_columns(dwide, t - first, shape[-1])", "_columns(dwide, first, shape[-1])"),
        ("_cut_anew(dwide, keys)[...] = dy", "dwide[..., t:] = dy"),
        ("_cut_anew(dwide, keys)[...] = dy", "_cut_anew(dwide, keys)[...] = dy[..., ::-1, :]"),
        ("_cut_anew(dwide, keys)[...] = dy", "_cut_anew(dwide, keys)[..., 1:, :] = dy[..., 1:, :]"),
        ("np.zeros((*", "np.ones((*"),
    ],
    "shift_rows": [
        ("_windows(dy, -first, columns)", "_windows(dy, first, columns)"),
        ("_windows(dy, -first, columns)", "_windows(dy, 1 - first, columns)"),
        ("_windows(dy, -first, columns)", "_windows(dy, -first - 1, columns)"),
        ("_windows(dy, -first, columns)", "_windows(dy, -first[..., ::-1], columns)"),
        ("(columns >= 0) & (columns < r)", "(columns >= 0) & (columns <= r - 1 - (n > 0))"),
    ],
    "relu": [
        ("np.where(y <= 0, 0.0, dy)", "dy"),
        ("y <= 0", "y > 0"),
        ("y <= 0", "y < 0"),
        ("np.where(y <= 0, 0.0, dy)", "0.5 * dy * (1 + np.sign(y))"),
    ],
    "reshape": [("dy.reshape(saved.shape)", "dy.ravel()[::-1].reshape(saved.shape)")],
    "silu": [(" * (1 + x * (1 - s))", ""), ("1 + x * (1 - s)", "1 + x * s")],
    "sigmoid": [(" * (1 - y)", ""), ("dy * y * (1 - y)", "dy * (1 - y)")],
    "sin": [("np.cos(saved.x)", "np.sin(saved.x)"), ("dy * np", "-dy * np")],
    "softmax": [
        (" - np.sum(dy * y, axis=axis, keepdims=True)", ""),
        ("np.sum(dy * y,", "np.sum(dy,"),
        ("np.sum(dy * y, axis=axis,", "np.sum(dy * y, axis=-1,"),
    ],
    "softplus": [("dy * slope", "dy * slope * (1 - slope)"), ("dy * slope", "dy * (saved.x > 0)")],
    "split": [("concatenate_views(dys, saved.axis)", "concatenate_views(dys[::-1], saved.axis)")],
    "sqrt": [
        ("(2 * y)", "y"),
        ("dy / (2 * y)", "dy * (2 * y)"),
        ("dy / (2 * y)", "np.where(y > 0, dy / (2 * y), 0.0)"),
        ("(2 * y)", "(2 * y + 1e-12)"),
    ],
    "sub": [("-sum_to_shape", "sum_to_shape"), ("-sum_to_shape(dy, saved.b_shape)", "-dy")],
    "sum": [
        ("dy.reshape(kept_shape(shape, axes)), shape)", "dy.reshape(kept_shape(shape, axes)) / len(shape), shape)"),
        ("np.broadcast_to(dy.reshape(kept_shape(shape, axes)), shape)", "np.ones_like(dy, shape=shape)"),
    ],
    "tanh": [("dy * (1 - y) * (1 + y)", "dy * (1 - y)"), ("dy * (1 - y)", "dy * (1 + y)")],
    "permute": [("dy.transpose(inverse)", "dy.transpose(saved.axes)")],
    "var": [("(2 / divisor)", "(1 / divisor)"), ("(x - mean - rest)", "x"), ("2 / divisor", "2 / (divisor + 1)")],
    "where": [
        ("np.where(condition, 0.0, dy)", "np.where(condition, dy, 0.0)"),
        ("return None, sum_to_shape(da, a_shape)", "return None, da"),
        ("return None, sum_to_shape(da", "return dy, sum_to_shape(da"),
    ],
}


def rewritten(op: str, old: str, new: str):
    """The op's module with a part of its backward replaced."""
    source = inspect.getsource(registry.reference(op))
    before, backward = source.split("\ndef backward(")
    assert old in backward, f"ops/{op}.py no longer says {old!r} in backward: rewrite this damage"
    module = types.ModuleType(f"broken_{op}")
    exec(before + "\ndef backward(" + backward.replace(old, new), module.__dict__)
    return module


def test_every_op_has_particular_damage():
    assert set(PARTICULAR) == set(OPS)


@pytest.mark.parametrize("op, old, new", [(op, *damage) for op in PARTICULAR for damage in PARTICULAR[op]])
def test_particular_damage_is_caught(op, old, new, monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.check.explain", lambda op, findings, evidence: findings)  # check/test_mutants.py
    assert_caught(op, rewritten(op, old, new))


@pytest.mark.parametrize("op", OPS)
def test_undamaged_ops_pass(op):
    """So that what was caught above was the damage, and not the checker crying wolf."""
    assert check_op(op, rewritten(op, "return", "return"), fresh_cases(op, large=False)).ok
