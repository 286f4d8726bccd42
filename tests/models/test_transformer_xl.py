"""Transformer-XL: what it computes, written out; memory; who sees whom; losses, gradients; mistakes told in one line.

The names X-1, X-2, ... number mistakes that implementations of this model have had.
"""

import dataclasses
import math

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_transformer_xl import (
    CONFIG,
    LAYERS,
    VARIANTS,
    B,
    C,
    T,
    V,
    in_segments,
    some_ids,
    transformer_xl,
)
from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check import gradcheck
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import TransformerXL, TransformerXLConfig
from tinygrad_gpt.models.transformer_xl import count_parameters

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=list(VARIANTS))
FAR = dict(mem_len=100)  # farther than any text here


@pytest.fixture
def model() -> TransformerXL:
    return transformer_xl()


# --- what is computed ------------------------------------------------------------------------------------------------


def written_out(model, ids: np.ndarray, memory: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """As in the docstring of transformer_xl.py, in NumPy alone, for one text: logits (T, V), inputs of the blocks."""
    p, c = model.state_dict(), model.config
    h, d, m, t = c.n_head, c.head_size, len(memory[0]), len(ids)

    def layer_norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + c.layer_norm_epsilon)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def sinusoid(distance):
        distance = min(distance, c.clamp_len) if c.clamp_len > 0 else distance
        angles = [distance / 10_000 ** (2 * i / C) for i in range(C // 2)]
        return np.array([*map(math.sin, angles), *map(math.cos, angles)])  # all sines, then all cosines

    def attention(x, source, block):
        of = f"blocks.{block}.attention."
        wk, wv = np.split(p[f"{of}kv.weight"], 2)
        shared = "" if not c.untie_r else of
        joined = np.zeros((t, h * d))
        for head in range(h):
            rows = slice(head * d, (head + 1) * d)
            u, w = p[f"{shared}content_bias"][head], p[f"{shared}position_bias"][head]
            for i in range(t):
                q, scores = p[f"{of}q.weight"][rows] @ x[i], np.full(m + t, -np.inf)
                for j in range(m + t):
                    distance = m + i - j  # of the query at m + i; it falls from left to right
                    if distance >= 0 and (distance < c.mem_len or not c.same_length):
                        place = p[f"{of}r.weight"][rows] @ sinusoid(distance)
                        scores[j] = ((q + u) @ (wk[rows] @ source[j]) + (q + w) @ place) / math.sqrt(d)
                weights = np.exp(scores) / np.exp(scores).sum()
                joined[i, rows] = weights @ (source @ wv[rows].T)
        return joined @ p[f"{of}out.weight"].T

    def feed_forward(x, name):
        hidden = np.maximum(x @ p[f"{name}.up.weight"].T + p[f"{name}.up.bias"], 0)
        return hidden @ p[f"{name}.down.weight"].T + p[f"{name}.down.bias"]

    x, inputs = p["token_embedding.weight"][ids] * math.sqrt(C), []
    for n in range(c.n_layer):
        inputs.append(x)
        both, block = np.concatenate([memory[n], x]), f"blocks.{n}."
        if c.pre_lnorm:
            both = layer_norm(both, f"{block}attention_norm")
            x = x + attention(both[m:], both, n)
            x = x + feed_forward(layer_norm(x, f"{block}feed_forward_norm"), f"{block}feed_forward")
        else:
            x = layer_norm(x + attention(x, both, n), f"{block}attention_norm")
            x = layer_norm(x + feed_forward(x, f"{block}feed_forward"), f"{block}feed_forward_norm")
    return x @ p["token_embedding.weight"].T + p["head.bias"], inputs


@pytest.mark.parametrize("name", ["plain", "pre_lnorm", "same_length", "clamp_len", "untie_r"])
def test_the_whole_computation_written_out(name):
    """X-3, X-4, X-5, X-13, X-15: with and without a memory, by the distance of each pair."""
    model, (ids,) = transformer_xl(**VARIANTS[name]), some_ids(T + 5, rows=1)
    logits, inputs = written_out(model, ids[:5], [np.zeros((0, C))] * LAYERS)
    features, memory = model.read(ids[np.newaxis, :5])
    np.testing.assert_allclose(model.head(features).data[0], logits, atol=1e-5)  # sinusoids were made in float32
    logits, _ = written_out(model, ids[5:], inputs)
    features, _ = model.read(ids[np.newaxis, 5:], memory)
    np.testing.assert_allclose(model.head(features).data[0], logits, atol=1e-5)


def test_the_table_of_positions_grows_with_the_text(model):
    ids = some_ids(40)
    in_one = model(ids).data
    np.testing.assert_array_equal(transformer_xl()(ids).data, in_one)
    again = transformer_xl()
    again(ids[:, :3])  # a smaller table first
    np.testing.assert_array_equal(again(ids).data, in_one)
    assert len(transformer_xl(mem_len=10**9).position_table.data) == 1, "nothing is made for what nobody reads"


@every_variant
def test_the_parameters_are_counted(settings):
    model = transformer_xl(**settings)
    assert model.num_parameters() == count_parameters(model.config)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[7, 7], [1] * 14, [3, 1, 10], [13, 1]], ids=str)
@every_variant
def test_segments_with_memory_are_one_long_text(settings, lengths):
    """X-2: as long as the memory reaches back to the beginning."""
    model, ids = transformer_xl(**(FAR | settings)), some_ids(14)
    found, memory = in_segments(model, ids, lengths)
    np.testing.assert_allclose(found, model(ids).data, rtol=0, atol=1e-12)
    assert [array.shape for array in memory] == [(B, 14, C)] * LAYERS


def test_a_memory_of_zeros_is_another_model(model):
    """X-1, X-2: attention looks at the zeros, so that all differs, and two segments are no longer one text."""
    model.mem_len = 20
    ids = some_ids(14)
    one = model(ids).data
    model.zero_memory = True
    assert [array.shape for array in model.new_memory(B)] == [(B, 20, C)] * LAYERS
    assert not any(array.any() for array in model.new_memory(B))
    with model.watching("blocks.*.attention") as seen:
        zeros = model(ids).data
    assert (np.abs(zeros - one).max(axis=-1) > 1e-3).all()
    for path in seen:
        assert (seen[path].weights.data[..., :20] > 0).all(), "they are looked at"
    assert np.abs(in_segments(model, ids, [7, 7])[0] - zeros).max() > 1e-3


@pytest.mark.parametrize("mem_len", [0, 1, 4, 9])
def test_the_memory_is_the_last_inputs_of_each_block(model, mem_len):
    """X-6: of memory and segment together, whichever is the longer."""
    model.mem_len = mem_len
    ids, memory, inputs = some_ids(18), None, [np.zeros((B, 0, C))] * LAYERS
    for start, stop in [(0, 2), (2, 9), (9, 10), (10, 18)]:
        with model.watching("dropout", "blocks.*") as seen:
            _, memory = model.read(ids[:, start:stop], memory)
        given = [seen["dropout"], *[seen[f"blocks.{i}"] for i in range(LAYERS - 1)]]
        inputs = [np.concatenate([x, one.output.data], axis=1) for x, one in zip(inputs, given, strict=True)]
        for array, x in zip(memory, inputs, strict=True):
            np.testing.assert_array_equal(array, x[:, max(0, stop - mem_len) :])


@pytest.mark.parametrize("mem_len", [1, 3, 5])
def test_the_length_of_the_memory_cuts_exactly(mem_len):
    """With one block. With n, the last one knows of n · mem_len tokens."""
    for n_layer in (1, 2):
        model, ids, segment = transformer_xl(n_layer=n_layer, mem_len=mem_len), some_ids(12), 2
        before = in_segments(model, ids, [segment] * 6)[0]
        for place in range(10):
            changed = ids.copy()
            changed[:, place] = (changed[:, place] + 1) % V
            moved = np.abs(in_segments(model, changed, [segment] * 6)[0] - before).max(axis=(0, 2)) > 1e-9  # (12,)
            reached = {place}
            for _ in range(n_layer):  # a position sees its segment up to itself, and mem_len positions before that
                reached |= {i for i in range(12) for j in reached if i // segment * segment - mem_len <= j <= i}
            np.testing.assert_array_equal(np.flatnonzero(moved), sorted(reached), err_msg=f"{n_layer}, {place}")


def test_no_gradient_crosses_a_segment(model):
    """X-7: the memory is an array, and not a part of what was computed."""
    ids, gradients = some_ids(14), []
    with model.watching("dropout", "blocks.*") as seen:
        _, memory = model.read(ids[:, :7])
    assert all(type(array) is np.ndarray for array in memory)
    first = list(seen.values())
    model.loss(ids[:, 7:13], ids[:, 8:], memory).backward()
    gradients.append([np.asarray(p.grad) for p in model.parameters()])
    assert len(first) == 1 + LAYERS and all(one.grad is None for one in first)
    model.zero_grad()
    model.loss(ids[:, 7:13], ids[:, 8:], [array.copy() for array in memory]).backward()  # of a run that ended long ago
    gradients.append([np.asarray(p.grad) for p in model.parameters()])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_memory_is_not_what_a_block_goes_on_to_write(model):
    """X-7: neither shares the other's bytes."""
    ids = some_ids(20)
    with model.watching("dropout", "blocks.0") as seen:
        _, memory = model.read(ids)
    for array, x in zip(memory, (seen["dropout"].output.data, seen["blocks.0"].output.data), strict=True):
        assert array.shape == (B, 6, C) and not np.shares_memory(array, x)
    before = [array.copy() for array in memory]
    model.read(ids, memory)
    for array, was in zip(memory, before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_mem_len_clamp_len_and_same_length_may_be_set_for_evaluation(model):
    ids = some_ids(18)
    for name, value in (("mem_len", 2), ("clamp_len", 2), ("same_length", True)):
        expected = in_segments(transformer_xl(**{name: value}), ids, [6, 6, 6])[0]
        before = getattr(model, name)
        assert np.abs(in_segments(model, ids, [6, 6, 6])[0] - expected).max() > 1e-6, name
        setattr(model, name, value)
        np.testing.assert_array_equal(in_segments(model, ids, [6, 6, 6])[0], expected)
        setattr(model, name, before)


# --- who sees whom ---------------------------------------------------------------------------------------------------


@every_variant
def test_a_position_knows_nothing_of_those_that_follow(settings):
    """X-3: what rel_shift leaves right of the diagonal is never seen."""
    model, ids = transformer_xl(**settings), some_ids()
    _, memory = model.read(some_ids(seed=2))
    before = model(ids, memory).data
    for place in range(T):
        changed = ids.copy()
        changed[:, place] = (changed[:, place] + 1) % V
        after = model(changed, memory).data
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert (np.abs(after - before)[:, place:].max(axis=-1) > 1e-9).all(), "and all others move"


@pytest.mark.parametrize(("mem_len", "m", "t"), [(6, 0, 4), (6, 6, 7), (3, 3, 7), (1, 1, 5), (4, 9, 3)])
def test_with_same_length_every_position_sees_mem_len_positions(mem_len, m, t):
    """X-5: itself among them, no more and no less."""
    model = transformer_xl(same_length=True, mem_len=mem_len)
    memory = [np.random.default_rng(3).normal(size=(B, m, C)) for _ in range(LAYERS)]
    with model.watching("blocks.*.attention") as seen:
        model.read(some_ids(t), memory)
    distance = m + np.arange(t)[:, np.newaxis] - np.arange(m + t)
    for path in seen:
        weights = seen[path].weights.data
        np.testing.assert_array_equal(
            weights > 0, np.broadcast_to((distance >= 0) & (distance < mem_len), weights.shape)
        )
        np.testing.assert_allclose(weights.sum(-1), 1)


def test_beyond_clamp_len_all_distances_are_one():
    """Keys of the same content, that far away, get the same attention."""
    model = transformer_xl(clamp_len=3, mem_len=9)
    memory = [np.broadcast_to(np.random.default_rng(n).normal(size=C), (B, 9, C)) for n in range(LAYERS)]
    with model.watching("blocks.*.attention") as seen:
        model.read(some_ids(4), memory)
    for path in seen:
        first = seen[path].weights.data[:, :, 0, :9]  # of distances 9, ..., 1
        np.testing.assert_allclose(first[..., :7], first[..., :1] * np.ones(7))
        assert (np.abs(first[..., 7:] / first[..., :1] - 1) > 1e-3).all()


@every_variant
def test_rows_know_nothing_of_each_other(settings):
    """X-8: nor of each other's memory."""
    model, ids, order = transformer_xl(**settings), some_ids(14), [2, 0, 1]
    expected = in_segments(model, ids, [7, 7])[0][order]
    np.testing.assert_allclose(in_segments(model, ids[order], [7, 7])[0], expected, atol=1e-12)
    _, memory = model.read(ids[:, :7])
    moved = [array[order] for array in memory]
    np.testing.assert_allclose(model(ids[order, 7:], moved).data, expected[:, 7:], atol=1e-12)
    assert np.abs(model(ids[order, 7:], memory).data - expected[:, 7:]).max() > 1e-6, "each text has its own"


# --- loss and gradients ----------------------------------------------------------------------------------------------


@every_variant
def test_losses_stand_in_the_order_of_the_positions(settings):
    """X-10: with cutoffs too, where they are computed cluster by cluster; and the mean is over all."""
    model, ids, targets = transformer_xl(**settings), some_ids(), some_ids(seed=4)
    targets[1, 2] = targets[2, 0] = -100
    features, _ = model.read(ids)
    log_p = F.log_softmax(model.head(features), dim=-1).data
    np.testing.assert_allclose(np.exp(log_p).sum(-1), 1)
    right = -np.take_along_axis(log_p, np.maximum(targets, 0)[..., np.newaxis], -1)[..., 0] * (targets != -100)
    np.testing.assert_allclose(model.loss_of(features, targets, "none").data, right, atol=1e-12)
    assert model.loss_of(features, targets).item() == pytest.approx(right.sum() / (B * T - 2), abs=1e-12)
    assert model.loss_of(features, targets, "sum").item() == pytest.approx(right.sum(), abs=1e-12)
    assert model.loss(ids, targets).item() == model.loss_of(features, targets).item()


@every_variant
def test_the_gradient_of_every_parameter_is_right(settings):
    model, ids, targets = transformer_xl(**settings), some_ids(4), some_ids(4, seed=4)
    _, memory = model.read(some_ids(5, seed=2))
    own, places = list(model.parameters()), {}
    for name, p in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(p), []).append(name)

    def run(numbers):
        """All parameters in one row, since to check them one by one would take minutes."""
        for p, part in zip(own, F.split(numbers, [p.size for p in own]), strict=True):
            for name in places[id(p)]:
                put(model, name, F.reshape(part, p.shape))
        return model.loss(ids, targets, memory)

    gradcheck(run, np.concatenate([p.data.reshape(-1) for p in own]))


def put(model, name: str, value: Tensor) -> None:
    """In the place of a parameter."""
    *path, last = name.split(".")
    place = model
    for part in path:
        place = place[int(part)] if isinstance(place, list) else getattr(place, part)
    if isinstance(place, list):
        place[int(last)] = value
    else:
        vars(place)[last] = value


@pytest.mark.parametrize("name", ["plain", "pre_lnorm", "untie_r", "cutoffs, div_val"])
def test_recomputing_changes_no_bit(name):
    """With dropout too: the second run drops what the first one dropped."""
    settings, results = VARIANTS[name] | dict(dropout=0.2, dropatt=0.1), []
    _, memory = transformer_xl(**settings).read(some_ids(seed=2))
    for again in (False, True):
        model = transformer_xl(**settings).train()
        model.recompute = again
        tg.manual_seed(5)
        loss = model.loss(some_ids(), some_ids(seed=4), memory)
        loss.backward()
        results.append([loss.numpy(), *[np.asarray(p.grad) for p in model.parameters()]])
    for plain, recomputed in zip(*results, strict=True):
        np.testing.assert_array_equal(recomputed, plain)
    assert all(np.asarray(p.grad).any() for p in model.parameters())


@pytest.mark.parametrize("name", ["dropout", "dropatt"])
def test_dropout_is_at_work_in_training_only(name):
    model, ids = transformer_xl(**{name: 0.5}), some_ids()
    first = model(ids).data
    np.testing.assert_array_equal(model(ids).data, first)
    np.testing.assert_array_equal(transformer_xl()(ids).data, first)
    assert np.abs(model.train()(ids).data - first).max() > 1e-3


def test_dropout_falls_on_tokens_distances_both_halves_of_a_block_and_the_result():
    model = transformer_xl(dropout=0.5).train()
    with model.watching() as seen:
        model(some_ids())
    blocks = [f"blocks.{i}.{part}" for i in range(LAYERS) for part in ("dropout", "feed_forward.dropout")]
    for path in ("dropout", "place_dropout", "final_dropout", *blocks):
        assert (seen[path].output.data == 0).mean() > 0.2, path


def test_it_learns_to_copy_what_only_the_memory_has_read():
    """The token after each is the one that stood two segments before: nothing in a segment tells it."""
    tg.manual_seed(0)
    model = TransformerXL(TransformerXLConfig(6, 32, 2, 2, mem_len=8, dropout=0.0, init_std=0.2))
    optimizer, rng = tg.optim.AdamW(model.parameters(), lr=5e-3), np.random.default_rng(0)
    losses = {}
    for step in range(150):
        ids = np.tile(rng.integers(0, 6, (16, 4)), 3)  # the same four tokens, three times
        memory = model.read(ids[:, :4]).memory
        if step == 149:
            losses["without"] = model.loss(ids[:, 4:8], ids[:, 5:9]).item()
        optimizer.zero_grad()
        loss = model.loss(ids[:, 4:8], ids[:, 5:9], memory)
        loss.backward()
        optimizer.step()
    losses["with"] = loss.item()
    assert losses["with"] < 0.5 < 1.0 < losses["without"], losses


# --- other arrays ----------------------------------------------------------------------------------------------------


@every_variant
def test_everything_runs_on_arrays_that_are_not_numpys(settings):
    results = []
    for kind in (np.asarray, StrictArray):
        model = transformer_xl(**settings)
        for p in [*model.parameters(), *model.buffers()]:
            p.data = kind(p.data)
        with tg.using("reference"):
            _, memory = model.read(kind(some_ids(seed=2)))
            loss = model.loss(kind(some_ids()), kind(some_ids(seed=4)), memory)
            loss.backward()
            with tg.no_grad():
                cache = model.new_cache(B)
                written = [model.next_logits(kind(some_ids(1, seed=n)), cache).data for n in range(3)]
        results.append([loss.item(), *memory, *written, *[to_dense(p.grad) for p in model.parameters()]])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(to_numpy(strict), ours, rtol=1e-10, atol=1e-12)


def to_dense(grad):
    return np.asarray(grad) if not isinstance(grad, StrictArray) else grad


# --- mistakes --------------------------------------------------------------------------------------------------------

IDS = np.ones((2, 5), int)


def memory_of(*shape) -> list[np.ndarray]:
    return [np.zeros(shape)] * LAYERS


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(IDS[0]), ValueError, r"expected ids of shape \(B, T\) with T >= 1, got \(5,\)"),
        (lambda m: m(IDS[:, :0]), ValueError, r"expected ids of shape \(B, T\) with T >= 1, got \(2, 0\)"),
        (lambda m: m(IDS * 1.0), TypeError, "expected integer ids, got float64"),
        (lambda m: m(IDS + V), IndexError, r"expected ids in 0 \.\. 16"),
        (
            lambda m: m(IDS, memory_of(3, 4, C)),
            ValueError,
            r"expected a memory of 2 arrays \(B, M, C\) = \(2, M, 12\), got \(3, 4, 12\), \(3, 4, 12\): give what",
        ),
        (lambda m: m(IDS, memory_of(2, 4, C)[:1]), ValueError, r"of 2 arrays .*, got \(2, 4, 12\): give"),
        (lambda m: m(IDS, []), ValueError, "of 2 arrays .*, got none"),
        (lambda m: m(IDS, 3), TypeError, "memory: expected a list or tuple of arrays, one for each layer, got 3"),
        (
            lambda m: m(IDS, [array.astype(np.int64) for array in memory_of(2, 4, C)]),
            TypeError,
            r"TransformerXL: expected a memory of float\d\d, as the model, got int64",
        ),
        (lambda m: m(IDS, memory_of(4, C)), ValueError, r"got \(4, 12\), \(4, 12\)"),
        (lambda m: m.loss(IDS, IDS[:, :4]), ValueError, r"\(2, 5, 1[27]\) and \(2, 4\)"),  # features, or logits
        (lambda m: m.loss(IDS, IDS + V), IndexError, r"expected targets in 0 \.\. 16"),
        (lambda m: m.loss(IDS, IDS * 0 - 100), ValueError, "-100"),
        (
            lambda m: m.next_logits(IDS, attention_mask=IDS),
            TypeError,
            "TransformerXL takes no attention_mask, .* padding would be read as text, and remembered",
        ),
        (lambda m: TransformerXL({"d_model": 3}), TypeError, r"write TransformerXLConfig\(\*\*settings\)"),
    ],
)
@pytest.mark.parametrize("cutoffs", [(), (4, 9)], ids=["plain", "adaptive"])
def test_mistakes_are_told_in_a_line(cutoffs, call, error, says):
    with pytest.raises(error, match=says) as told:
        call(transformer_xl(cutoffs=cutoffs))
    assert "\n" not in str(told.value)


def test_same_length_without_a_memory_is_refused_when_it_is_set_later(model):
    model.same_length, model.mem_len = True, 0
    with pytest.raises(ValueError, match="same_length needs a memory: set mem_len to 1 or more, or same_length off"):
        model(IDS)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            dict(d_head=None, d_model=13),
            r"d_model should be a multiple of n_head \(3\), not 13, where d_head is not given",
        ),
        (dict(d_model=13), "d_model should be even, not 13: a sine and a cosine of each distance"),
        (dict(clamp_len=-2), "clamp_len should be at least -1, not -2"),
        (dict(mem_len=-1), "mem_len should be at least 0, not -1"),
        (dict(mem_len=0, same_length=True), "mem_len should be at least 1 with same_length"),
        (dict(vocab_size=0), "vocab_size should be at least 1, not 0"),
        (dict(cutoffs=(9, 4)), r"cutoffs should suit .* that rise, in 1 \.\. 16, got \(9, 4\)"),
        (dict(cutoffs=(4, 17)), r"cutoffs should suit .* got \(4, 17\)"),
        (dict(cutoffs=(0,)), r"cutoffs should suit .* got \(0,\)"),
        (dict(cutoffs=(4, 5.0)), r"cutoffs should be integers, not \(4, 5\.0\)"),
        (dict(cutoffs=4), "cutoffs should be tuple, not 4"),
        (dict(cutoffs=(4, 9), div_val=4), r"to divide by 4 \(div_val\) 2 times, got 12"),
        (dict(dropatt=1.0), "dropatt should be less than 1"),
    ],
    ids=str,
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(UserError, match=says):
        dataclasses.replace(CONFIG, **settings)


def test_settings_may_come_from_json():
    config = dataclasses.replace(CONFIG, cutoffs=[4, 9])
    assert config.cutoffs == (4, 9) and TransformerXLConfig(**config.to_dict()) == config
