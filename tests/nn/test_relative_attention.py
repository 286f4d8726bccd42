"""Attention by distance: one query, key and head at a time in NumPy; the paper's four terms; segments; gradients."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.check import gradcheck
from tinygrad_gpt.nn import Parameter, RelativeAttention
from tinygrad_gpt.nn.relative_attention import RelativeKeys

B, T, K, C, H, D = 2, 3, 5, 6, 4, 2  # H D is not C


def array(*shape, seed=1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def layer(**settings) -> RelativeAttention:
    made = RelativeAttention(C, H, d_head=D, **settings).to(np.float64)
    rng = np.random.default_rng(0)
    for p in made.parameters():
        p.data[...] = rng.normal(0, 0.7, p.shape)
    return made


def by_hand(attention, x, source, r, first, may_attend, different=None) -> tuple[np.ndarray, np.ndarray]:
    """(y, the weights), by the formula of the module: a number at a time."""
    p = {name: parameter.data for name, parameter in attention.named_parameters()}
    (b, t, _), k = x.shape, source.shape[1]
    weights, gathered = np.zeros((b, H, t, k)), np.zeros((b, t, H * D))
    wk, wv = np.split(p["kv.weight"], 2)
    for n in range(b):
        for h in range(H):
            of_head = slice(h * D, (h + 1) * D)
            for i in range(t):
                q = p["q.weight"][of_head] @ x[n, i]
                for j in range(k):
                    if not may_attend[i, j]:
                        continue
                    row = first + j - i
                    place = p["r.weight"][of_head] @ r[row] if 0 <= row < len(r) else np.zeros(D)
                    score = (q + p["content_bias"][h]) @ (wk[of_head] @ source[n, j])
                    score += (q + p["position_bias"][h]) @ place
                    if different is not None:
                        score += (q + p["segment_bias"][h]) @ p["segment_embedding"][int(different[n, i, j]), h]
                    weights[n, h, i, j] = np.exp(score / np.sqrt(D))
                weights[n, h, i] /= weights[n, h, i].sum()
                gathered[n, i, of_head] = weights[n, h, i] @ (source[n] @ wv[of_head].T)
    return gathered @ p["out.weight"].T, weights


CAUSAL = np.tri(T, K, K - T, dtype=bool)
DIFFERENT = np.random.default_rng(3).random((B, T, K)) < 0.5
X, SOURCE = array(B, T, C), array(B, K, C, seed=2)
#      rows of r, first, settings of the call. As Transformer-XL calls it, and as XLNet does, one way and both ways.
CALLS = {
    "a memory, causal": (K, T - 1, dict(causal=True)),
    "a mask": (K + T, T, dict(mask=np.random.default_rng(4).random((T, K)) < 0.7)),
    "everything, segments": (K + T, T, dict(different=DIFFERENT)),
    "a mask for each head, segments of all rows alike": (
        K + T,
        T,
        dict(mask=np.ones((1, H, T, K), bool), different=DIFFERENT[:1]),
    ),
    "causal, and a mask": (
        K,
        T - 1,
        dict(causal=True, mask=np.tri(T, K, K - T, dtype=bool) & ~np.tri(T, K, -1, dtype=bool)),
    ),
}


def test_first_may_be_a_number_of_numpys():
    attention, r = layer(), tg.Tensor(array(K + T, C, seed=5))
    keys, x = attention.read(tg.Tensor(SOURCE), r), tg.Tensor(X)
    expected = attention(x, keys, T).data
    for first in (np.int64(T), np.array(T)):
        np.testing.assert_array_equal(attention(x, keys, first).data, expected)


def seen_by(settings: dict) -> np.ndarray:
    """(T, K): where a query may look."""
    may = (
        np.ones((T, K), bool) if settings.get("mask") is None else np.broadcast_to(settings["mask"], (1, H, T, K))[0, 0]
    )
    return may & CAUSAL if settings.get("causal") else may


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_it_computes_the_formula(call):
    """X-4, X-13: the distance of query i and key j is in row first + j - i, and √D divides the sum."""
    rows, first, settings = call
    attention, r = layer(segments="different" in settings), array(rows, C, seed=5)
    different = np.broadcast_to(settings["different"], (B, T, K)) if "different" in settings else None
    expected, weights = by_hand(attention, X, SOURCE, r, first, seen_by(settings), different)
    with attention.watching("") as seen:
        y = attention(tg.Tensor(X), attention.read(tg.Tensor(SOURCE), tg.Tensor(r)), first, **settings)
    np.testing.assert_allclose(y.data, expected, rtol=1e-10)
    np.testing.assert_allclose(seen[""].weights.data, weights, rtol=1e-10)


def test_the_papers_four_terms():
    """a: content and content, b: content and place, c: the key alone, d: the distance alone."""
    attention, r = layer(), array(K, C, seed=5)

    def weights(**zeroed) -> np.ndarray:
        before = {name: p.data.copy() for name, p in attention.named_parameters()}
        for name in zeroed:
            attention.get_parameter(name.replace("__", ".")).data[...] = 0.0
        keys = attention.read(tg.Tensor(SOURCE), tg.Tensor(r))
        with attention.watching("") as seen:
            attention(tg.Tensor(X), keys, T - 1, causal=True)
        for name, p in attention.named_parameters():
            p.data[...] = before[name]
        return seen[""].weights.data

    alone = weights(q__weight=0, content_bias=0)  # d is left: no token counts
    np.testing.assert_allclose(alone[:1], alone[1:])
    in_a_row = weights(q__weight=0, position_bias=0)  # c is left: all queries like the same keys
    ratio = in_a_row[:, :, 1:, : K - T + 1] / in_a_row[:, :, :-1, : K - T + 1]
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[..., :1], ratio.shape))
    by_place = weights(r__weight=0)  # a and c are left: a memory in another order gives the same
    order = [1, 0, 2, 3, 4]
    keys = attention.read(tg.Tensor(SOURCE[:, order]), tg.Tensor(0 * r))
    with attention.watching("") as seen:
        attention(tg.Tensor(X), keys, T - 1, causal=True)
    np.testing.assert_allclose(seen[""].weights.data, by_place[..., order])


def test_what_is_read_once_serves_several_streams_of_queries():
    attention, r, dy = layer(segments=True), array(K + T, C, seed=5), array(B, T, C, seed=6)
    gradients = []
    for once in (True, False):
        attention.zero_grad()
        leaf = tg.Tensor(SOURCE, requires_grad=True)
        keys = attention.read(leaf, tg.Tensor(r))
        y = [
            attention(tg.Tensor(x), keys if once else attention.read(leaf, tg.Tensor(r)), T, different=DIFFERENT)
            for x in (X, X[::-1])
        ]
        (y[0] * y[1]).backward(dy)
        gradients.append([leaf.grad, *[p.grad for p in attention.parameters()]])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    made = attention.places(tg.Tensor(r))
    assert made.shape == (H, K + T, D)
    again = attention.read(tg.Tensor(SOURCE), made)
    assert again.places is made and isinstance(again, RelativeKeys)
    np.testing.assert_array_equal(again.keys.data, keys.keys.data)


@pytest.mark.parametrize("segments", [False, True])
def test_the_gradient_is_right_for_its_inputs_and_every_parameter(segments):
    attention, mask = layer(segments=segments), np.random.default_rng(7).random((B, 1, T, K)) < 0.8
    own, given = dict(attention.named_parameters()), dict(different=DIFFERENT) if segments else dict(causal=True)

    def run(x, source, r, *values):
        for (name, _), value in zip(own.items(), values, strict=True):
            module, _, last = name.rpartition(".")
            vars(attention.get_submodule(module) if module else attention)[last] = value
        return attention(x, attention.read(source, r), T, mask=mask, **given)

    gradcheck(run, X, SOURCE, array(K + T, C, seed=5), *[p.data.copy() for p in own.values()])


def test_u_and_w_may_be_shared_between_layers():
    u, w = Parameter(np.ones((H, D), np.float32)), Parameter(np.ones((H, D), np.float32))
    layers = [RelativeAttention(C, H, d_head=D, content_bias=u, position_bias=w) for _ in range(2)]
    assert all(one.content_bias is u and one.position_bias is w for one in layers)
    with pytest.raises(ValueError, match=r"expected a content_bias of shape \(4, 3\) to share, got \(4, 2\)"):
        RelativeAttention(C, H, d_head=3, content_bias=u)
    with pytest.raises(TypeError, match="expected a Parameter or None as position_bias, got array of float64"):
        RelativeAttention(C, H, d_head=D, position_bias=np.ones((H, D)))


def test_how_it_begins():
    one = RelativeAttention(C, 3, segments=True)
    assert one.d_head == 2 and not any(b.data.any() for b in (one.content_bias, one.position_bias, one.segment_bias))
    tg.manual_seed(1)
    drawn = RelativeAttention(60, 3, segments=True, std=0.02)
    for name, p in drawn.named_parameters():
        assert 0.015 < p.data.std() < 0.025, name


def test_dropout_on_the_weights_in_training_only():
    attention, r = layer(dropout=0.5), array(K, C, seed=5)
    keys = attention.read(tg.Tensor(SOURCE), tg.Tensor(r))

    def run():
        return attention(tg.Tensor(X), keys, T - 1, causal=True).data

    assert (run() != run()).any()
    attention.eval()
    assert (run() == run()).all()


def test_it_runs_on_arrays_that_are_not_numpys():
    results = []
    for kind in (np.asarray, StrictArray):
        attention = layer(segments=True)
        for p in attention.parameters():
            p.data = kind(p.data)
        x, source, r = (tg.Tensor(kind(a), requires_grad=True) for a in (X, SOURCE, array(K + T, C, seed=5)))
        with tg.using("reference"):
            keys = attention.read(source, r)
            y = attention(x, keys, T, mask=kind(np.tri(T, K, 1, dtype=bool)), different=kind(DIFFERENT))
            y.backward(kind(array(B, T, C, seed=8)))
        results.append([y.data, x.grad, source.grad, r.grad, *[p.grad for p in attention.parameters()]])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(to_numpy(strict), ours, rtol=1e-10, atol=1e-12)


KEYS = RelativeKeys(*[tg.Tensor(array(B, H, K, D))] * 2, tg.Tensor(array(H, K, D)))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: layer()(tg.Tensor(X), KEYS, T - 1, different=DIFFERENT), "made without segments, got `different`"),
        (lambda: layer()(tg.Tensor(X[0]), KEYS, T - 1), r"expected x of shape \(B, T, C\), got \(3, 6\)"),
        (
            lambda: layer().read(tg.Tensor(X[0]), tg.Tensor(X[0])),
            r"expected a source of shape \(B, K, C\), got \(3, 6\)",
        ),
        (lambda: RelativeAttention(C, 4), "expected channels that divide by 4 heads, got 6: or say d_head"),
        (lambda: RelativeAttention(C, 3, dropout=1.0), "0 <= dropout < 1"),
    ],
)
def test_mistakes_are_told_in_a_line(call, says):
    with pytest.raises(ValueError, match=f"^RelativeAttention: .*{says}"):
        call()
