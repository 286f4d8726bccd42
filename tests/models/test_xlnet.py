"""XLNet: what each stream may see, orders, memory, padding, gradients; mistakes told in one line."""

import itertools

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_xlnet import CONFIG, IDS, ORDER, TARGETS, B, C, T, V, batch, may_see, xlnet
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.check import gradcheck
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import XLNet, XLNetConfig, XLNetLMHeadModel
from tinygrad_gpt.models.xlnet import count_parameters


@pytest.fixture
def model() -> XLNetLMHeadModel:
    return xlnet()


def streams(model, **given) -> tuple[np.ndarray, np.ndarray | None]:
    """(content, query) as arrays."""
    found = model.read(**given)
    return found.content.numpy(), None if found.query is None else found.query.numpy()


def moved(model, given: dict, row: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Which vectors of that row change with the token at `place`: (T,) of the content stream, (N,) of the queries."""
    before, other = streams(model, **given), given["ids"].copy()
    other[row, place] = (other[row, place] + 1) % V
    after = streams(model, **(given | {"ids": other}))
    for x, y in zip(before, after, strict=True):
        np.testing.assert_array_equal(np.delete(x, row, 0), np.delete(y, row, 0))
    h, g = (np.abs(x - y)[row].max(axis=-1) > 1e-9 for x, y in zip(before, after, strict=True))
    return h, g


# --- what is computed ------------------------------------------------------------------------------------------------


def test_the_whole_computation_written_out(model):
    """As in the docstring of xlnet.py, in NumPy alone: one text, one target at a time, with a memory and segments."""
    from math import erf

    m = 4
    p, rng = model.state_dict(), np.random.default_rng(3)
    memory = [rng.normal(size=(m, C)) for _ in range(2)]
    given = {name: array[:1] for name, array in batch().items()}
    (ids,), (sees,), (kinds,), (targets,) = given.values()
    heads, d, k = 3, C // 3, m + T

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def split(x, weight):
        return (x @ weight.T).reshape(len(x), heads, d).swapaxes(0, 1)  # (H, n, D)

    def sinusoid(distance):
        angles = distance / 10_000 ** (np.arange(0, C, 2) / C)
        return np.concatenate([np.sin(angles), np.cos(angles)])

    def attended(x, place, allowed, source, name):
        """One query x (C,), which stands at `place` of the text."""
        q = (x @ p[f"{name}.q.weight"].T).reshape(heads, d)
        keys, values = (split(source, w) for w in np.split(p[f"{name}.kv.weight"], 2))
        distances = np.stack([sinusoid(place + m - j) for j in range(k)])
        scores = np.einsum("hd,hkd->hk", q + p[f"{name}.content_bias"], keys)
        scores += np.einsum("hd,hkd->hk", q + p[f"{name}.position_bias"], split(distances, p[f"{name}.r.weight"]))
        differs = np.concatenate([np.zeros(m, int), kinds]) != kinds[place]
        of_kind = p[f"{name}.segment_embedding"][differs.astype(int)]  # (K, H, D)
        scores += np.einsum("hd,khd->hk", q + p[f"{name}.segment_bias"], of_kind)
        weights = np.exp(scores / np.sqrt(d)) * np.concatenate([np.ones(m), allowed])
        weights /= weights.sum(-1, keepdims=True)
        return np.einsum("hk,hkd->hd", weights, values).reshape(C) @ p[f"{name}.out.weight"].T

    def rest(x, y, name):
        x = norm(x + y, f"{name}.attention_norm")
        hidden = x @ p[f"{name}.feed_forward.up.weight"].T + p[f"{name}.feed_forward.up.bias"]
        hidden = hidden * 0.5 * (1 + np.vectorize(erf)(hidden / np.sqrt(2)))
        y = hidden @ p[f"{name}.feed_forward.down.weight"].T + p[f"{name}.feed_forward.down.bias"]
        return norm(x + y, f"{name}.feed_forward_norm")

    h, g = p["transformer.token_embedding.weight"][ids], np.stack([p["transformer.mask_embedding"]] * len(targets))
    for i, old in enumerate(memory):
        name, source = f"transformer.layers.{i}", np.concatenate([old, h])
        new = [attended(h[t], t, sees[t] | (np.arange(T) == t), source, f"{name}.attention") for t in range(T)]
        g = [
            rest(x, attended(x, t, sees[t], source, f"{name}.attention"), name) for x, t in zip(g, targets, strict=True)
        ]
        h = np.stack([rest(x, y, name) for x, y in zip(h, new, strict=True)])
    content, query = streams(model, **given, memory=[old[np.newaxis] for old in memory])
    np.testing.assert_allclose(content[0], h, atol=1e-11)
    np.testing.assert_allclose(query[0], np.stack(g), atol=1e-11)
    logits = model.head(tg.Tensor(query))
    np.testing.assert_allclose(logits.numpy()[0], query[0] @ p["transformer.token_embedding.weight"].T + p["head.bias"])


@pytest.mark.long
def test_every_gradient_of_the_whole_model():
    """With memory, orders, segments and targets; and of each parameter."""
    model = xlnet(n_layer=2, d_model=6, d_inner=5)
    places = {}  # of each parameter: the Modules that hold it, and as what
    for name, p in model.named_parameters(remove_duplicate=False):
        path, _, last = name.rpartition(".")
        places.setdefault(id(p), []).append((model.get_submodule(path), last))
    given, labels = batch(), np.random.default_rng(0).integers(0, V, TARGETS.shape)
    memory = model.read(np.random.default_rng(2).integers(0, V, (B, 4))).memory

    def loss(*values):
        for found, value in zip(places.values(), values, strict=True):
            for module, last in found:
                vars(module)[last] = value  # a Tensor, which the Module itself would refuse
        return tg.functional.cross_entropy(model.head(model.read(**given, memory=memory).query), labels)

    assert len(places) == len(list(model.parameters())) == 2 + 2 * 16 + 1
    gradcheck(loss, *[p.data.copy() for p in model.parameters()])


# --- who sees whom ---------------------------------------------------------------------------------------------------


def test_a_target_never_sees_its_own_token_and_the_content_stream_does(model):
    """L-1. And the first equation of the paper: what tells the token at a place moves with the tokens before it in the
    order, and with no other."""
    given = batch()
    for row, place in itertools.product(range(B), range(T)):
        h, g = moved(model, given, row, place)
        assert h[place]
        for n, target in enumerate(TARGETS[row]):
            own = ORDER[row, target]
            if target == place:
                assert not g[n]
            elif ORDER[row, place] == -1 or ORDER[row, place] < own:
                assert g[n], "context, or before it in the order"
            # Or what the target sees has seen it: nothing that comes before has, in the order.
            elif ORDER[row, place] > own:
                assert not g[n]
        later = (ORDER[row] > ORDER[row, place]) if ORDER[row, place] >= 0 else np.ones(T, bool)
        np.testing.assert_array_equal(h, later | (np.arange(T) == place))


def test_the_derivative_of_a_query_by_its_own_token_is_zero(model):
    """As a gradient: the vector of the token at place t has none from g_t, and has one from h_t."""
    ids = np.arange(T)[np.newaxis]  # each token stands at one place
    order = np.random.default_rng(0).permutation(T)[np.newaxis]
    for stream in ("query", "content"):
        for t in range(T):
            model.zero_grad()
            found = model.read(ids, mask=may_see(order), targets=np.arange(T)[np.newaxis])
            (getattr(found, stream)[0, t] * np.arange(1.0, C + 1)).sum().backward()
            grad = np.asarray(model.transformer.token_embedding.weight.grad)
            seen = np.abs(grad).max(axis=1)[:T] > 1e-12
            before = order[0] < order[0, t]
            np.testing.assert_array_equal(seen, before | (np.arange(T) == t) if stream == "content" else before)


def test_a_mask_that_is_transposed_is_another(model):
    """L-3: row i is who asks."""
    given = batch()
    right, other = (streams(model, **(given | {"mask": m}))[1] for m in (given["mask"], given["mask"].swapaxes(1, 2)))
    assert np.abs(right - other).max() > 1e-3
    sees_one = np.eye(T, dtype=bool)[np.newaxis].repeat(B, 0)
    sees_one[:, 2, 5] = True  # place 2 may see place 5
    h, _ = moved(model, dict(ids=IDS, mask=sees_one, targets=TARGETS), 0, 5)
    assert h.tolist() == [False, False, True, False, False, True, False]


def test_the_order_from_left_to_right_is_a_causal_model():
    """Its content stream is that of attn_type "uni", and its query stream tells each token from those before it."""
    both, uni = xlnet(), xlnet(attn_type="uni")
    order = np.tile(np.arange(T), (B, 1))
    content, query = streams(both, ids=IDS, mask=may_see(order), targets=order)
    causal, _ = streams(uni, ids=IDS)
    np.testing.assert_allclose(content, causal, atol=1e-12)
    for t in range(1, T):  # asked for at the place after what was read
        _, alone = streams(both, ids=IDS[:, :t], mask=may_see(order[:, :t]), targets=order[:, :1])
        after = uni.read(IDS[:, :t], targets=np.full((B, 1), t)).query.numpy()
        np.testing.assert_allclose(query[:, t], after[:, 0], atol=1e-12)
        np.testing.assert_allclose(query[:, 0], alone[:, 0], atol=1e-12)


def test_a_target_that_may_see_nothing_is_told_nothing(model):
    """L-8: not the mean of everything, as in transformers, with its own token in it."""
    nothing = np.zeros((B, T, T), bool)
    with model.watching("transformer.layers.*.attention") as seen:
        before = streams(model, ids=IDS, mask=nothing, targets=TARGETS)[1]
    for i in range(2):
        weights = seen[f"transformer.layers.{i}.attention"].weights.numpy()
        assert not weights[:, :, T:].any(), "no query looks anywhere"
        np.testing.assert_allclose(weights[:, :, :T], np.eye(T)[np.newaxis, np.newaxis].repeat(B, 0).repeat(3, 1))
    np.testing.assert_array_equal(streams(model, ids=(IDS + 1) % V, mask=nothing, targets=TARGETS)[1], before)
    same = streams(model, ids=IDS, targets=np.full((B, 2), -1))[1]
    np.testing.assert_array_equal(same[:, 0], before[:, 0], err_msg="as a target that is none")


def test_each_target_asks_by_itself(model):
    """The same place twice is the same twice; and others in the batch of targets change nothing."""
    given = batch()
    query = streams(model, **given)[1]
    twice = streams(model, **(given | {"targets": np.concatenate([TARGETS[:, ::-1], TARGETS[:, :1]], axis=1)}))[1]
    np.testing.assert_allclose(twice[:, :3], query[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(twice[:, 3], query[:, 0], atol=1e-12)


def test_without_the_content_stream_the_queries_are_the_same(model):
    given = batch()
    whole, part = model.read(**given), model.read(**given, content=False)
    assert part.content is None
    np.testing.assert_allclose(part.query.numpy(), whole.query.numpy(), atol=1e-13)
    assert len(part.memory) == len(whole.memory) == 2
    with pytest.raises(ValueError, match="expected targets, or content=True"):
        model.read(IDS, content=False)


def test_rows_know_nothing_of_each_other(model):
    given, order = batch(), [2, 0, 1]
    memory = model.read(IDS[:, ::-1]).memory
    right = model.read(**given, memory=memory)
    given = {name: array[order] for name, array in given.items()}
    found = model.read(**given, memory=[array[order] for array in memory])
    np.testing.assert_allclose(found.content.numpy(), right.content.numpy()[order], atol=1e-12)
    np.testing.assert_allclose(found.query.numpy(), right.query.numpy()[order], atol=1e-12)
    for new, old in zip(found.memory, right.memory, strict=True):
        np.testing.assert_allclose(new, old[order], atol=1e-12)


# --- target_mapping --------------------------------------------------------------------------------------------------


def mapping_of(places: np.ndarray) -> np.ndarray:
    """(B, N) -> (B, N, T), one row per target (L-4); -1 is a row of zeros."""
    return (np.arange(T) == places[..., np.newaxis]) * 1.0


def test_a_mapping_of_places_is_these_places(model):
    places = np.where(np.arange(3) == 1, -1, TARGETS)
    given = batch() | {"targets": places}
    right = streams(model, **given)[1]
    np.testing.assert_array_equal(streams(model, **(given | {"targets": mapping_of(places)}))[1], right)
    with model.watching("transformer.layers.0.attention.q") as seen:
        model.read(**(given | {"targets": mapping_of(places)}))
    assert seen["transformer.layers.0.attention.q"].output.shape == (B, T + 3, C), "only targets ask, not all places"


def test_a_mapping_of_any_numbers_is_the_general_case_of_places(model):
    """Where all rows are places but for a factor near 1, both ways of computing give nearly the same."""
    given = batch()
    right = streams(model, **given)[1]
    found = streams(model, **(given | {"targets": mapping_of(TARGETS) * (1 + 1e-9)}))[1]
    np.testing.assert_allclose(found, right, atol=1e-7)
    mixed = np.random.default_rng(0).normal(size=(B, 3, T))
    assert np.abs(streams(model, **(given | {"targets": mixed}))[1] - right).max() > 1e-2


# --- memory ----------------------------------------------------------------------------------------------------------


def test_two_segments_with_memory_are_one_long_one_for_uni_and_not_for_bi():
    """L-10: what a bidirectional model remembers has not seen what came after it."""
    uni, both = xlnet(attn_type="uni"), xlnet()
    for model, equal in ((uni, True), (both, False)):
        first = model.read(IDS[:, :3])
        second = model.read(IDS[:, 3:], memory=first.memory)
        whole = model.read(IDS)
        gap = np.abs(second.content.numpy() - whole.content.numpy()[:, 3:]).max()
        assert gap < 1e-12 if equal else gap > 1e-3
        for parts, at_once in zip(second.memory, whole.memory, strict=True):
            assert parts.shape == at_once.shape == (B, T, C)
        gap = max(np.abs(a - b).max() for a, b in zip(second.memory, whole.memory, strict=True))
        assert gap < 1e-12 if equal else gap > 1e-3


@pytest.mark.parametrize("mem_len", [1, 4, 9, 10, 12])
def test_the_memory_holds_the_last_inputs_of_each_layer_and_no_more(mem_len):
    """L-14: and scores fit a memory of any length."""
    model = xlnet(mem_len=mem_len)
    long = np.random.default_rng(4).integers(0, V, (B, 3))
    with model.watching("transformer.dropout", "transformer.layers.0") as seen:
        first = model.read(long, targets=np.zeros((B, 1), int))
        inputs = [seen[path].output.numpy()[:, :3] for path in ("transformer.dropout", "transformer.layers.0")]
        second = model.read(IDS, memory=first.memory)
        others = [seen[path].output.numpy() for path in ("transformer.dropout", "transformer.layers.0")]
    for i in range(2):
        np.testing.assert_array_equal(first.memory[i], inputs[i][:, -mem_len:])
        kept = np.concatenate([first.memory[i], others[i]], axis=1)
        np.testing.assert_array_equal(second.memory[i], kept[:, -mem_len:])


def test_reuse_len_is_how_much_of_a_segment_is_remembered(model):
    whole, part = model.read(IDS), model.read(IDS, reuse=3)
    for a, b in zip(whole.memory, part.memory, strict=True):
        np.testing.assert_array_equal(b, a[:, :3])
    for mem_len in (2, None):
        reusing = xlnet(mem_len=mem_len, reuse_len=3).transformer
        for a, b in zip(whole.memory, reusing(IDS).mems, strict=True):
            np.testing.assert_allclose(b.data, a[:, :3][:, -2 if mem_len else 0 :].swapaxes(0, 1))


def test_no_gradient_goes_into_the_memory_and_nothing_changes_it(model):
    first = model.read(IDS)
    copies = [array.copy() for array in first.memory]
    model.read(IDS, memory=first.memory).content.sum().backward()
    assert all(type(array) is np.ndarray for array in first.memory)
    model.transformer.token_embedding.weight.data += 1
    model.read(IDS, memory=first.memory)
    for array, copy in zip(first.memory, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_call_returns_mems_as_tensors_without_gradients_and_takes_tensors_and_arrays(model):
    body = model.transformer
    mems = body(IDS).mems
    assert all(type(mem) is tg.Tensor and mem.is_leaf and not mem.requires_grad for mem in mems)
    found = [body(IDS, mems=given).last_hidden_state.data for given in (mems, [mem.data for mem in mems])]
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], model.read(IDS, memory=model.read(IDS).memory).content.data)


def test_what_is_no_memory_is_refused(model):
    kept = model.read(IDS).memory
    with pytest.raises(TypeError, match="memory: expected a list or tuple of arrays, one for each layer, got 3"):
        model.read(IDS, memory=3)
    with pytest.raises(TypeError, match="XLNet: expected a memory of float64, as the model, got float32"):
        model.read(IDS, memory=[array.astype(np.float32) for array in kept])
    with pytest.raises(TypeError, match="mems: expected a list or tuple of arrays, one for each layer, got 3"):
        model.transformer(IDS, mems=3)
    with pytest.raises(ValueError, match=r"mems: expected arrays \(M, B, C\), one for .*, got one of shape \(5,"):
        model.transformer(IDS, mems=[np.zeros(5)] * 2)


def test_no_memory_is_made_if_it_is_not_asked_for(model):
    assert model.read(IDS, remember=False).memory is None
    assert model.transformer(IDS, use_mems=False).mems is None
    model.train()
    assert model.transformer(IDS).mems is None, "L-9"
    assert model.transformer(IDS, use_mems=True).mems is not None


def test_the_table_of_distances_which_all_calls_share_cannot_be_changed(model):
    with pytest.raises(ValueError, match="read-only"):
        model.transformer._distances(T, 0).data[0] = 7


def test_distances_beyond_clamp_len_are_not_told_apart():
    """With all distances clamped to 1, only which side a key is on is known."""
    model, order = xlnet(), np.array([[0, 1, 2, 3, 5, 4, 6]])
    mask = np.zeros((1, T, T), bool)
    mask[:, 0] = True
    outs = [model.read(IDS[:1][:, o], mask=mask).content.numpy()[0, 0] for o in (np.arange(T), order[0])]
    assert np.abs(outs[0] - outs[1]).max() > 1e-4
    model.transformer.clamp_len = 1
    outs = [model.read(IDS[:1][:, o], mask=mask).content.numpy()[0, 0] for o in (np.arange(T), order[0])]
    np.testing.assert_allclose(outs[0], outs[1], atol=1e-12)


def test_same_length_is_the_memorys_length():
    m, model = 4, xlnet(attn_type="uni", same_length=True)
    memory = model.read(IDS[:, :m]).memory
    with model.watching("transformer.layers.0.attention") as seen:
        model.read(IDS, memory=memory)
    looks = seen["transformer.layers.0.attention"].weights.numpy()[0, 0] > 0
    i, j = np.arange(T)[:, np.newaxis], np.arange(m + T)
    np.testing.assert_array_equal(looks, (j <= i + m) & (j >= i))


# --- padding and segments --------------------------------------------------------------------------------------------

LENGTHS = np.array([7, 4, 6])


def on_the_left() -> np.ndarray:
    return (np.arange(T) >= T - LENGTHS[:, np.newaxis]).astype(int)


@pytest.mark.parametrize("kind", ["bi", "uni"])
def test_padding_on_the_left_changes_nothing(kind):
    """L-17: distances are the same behind it."""
    model, real = xlnet(attn_type=kind), on_the_left()
    together = model.read(IDS, padding=real).content.numpy()
    for row, length in enumerate(LENGTHS):
        alone = model.read(IDS[row : row + 1, T - length :]).content.numpy()
        np.testing.assert_allclose(together[row, T - length :], alone[0], atol=1e-12)
    noise = np.where(real == 1, IDS, (IDS + 5) % V)
    np.testing.assert_array_equal(model.read(noise, padding=real).content.numpy()[real == 1], together[real == 1])
    without = model.read(IDS).content.numpy()
    assert (np.abs(without - together)[real == 1].max() > 1e-3) and np.abs(without - together)[0].max() < 1e-12


def test_padding_may_be_told_of_the_memory_too(model):
    real, later = on_the_left(), np.random.default_rng(6).integers(0, V, (B, 2))
    memory = model.read(IDS, padding=real).memory
    found = model.read(later, memory=memory, padding=np.concatenate([real, np.ones((B, 2), int)], axis=1))
    for row, length in enumerate(LENGTHS):
        alone = model.read(later[row : row + 1], memory=model.read(IDS[row : row + 1, T - length :]).memory)
        np.testing.assert_allclose(found.content.numpy()[row], alone.content.numpy()[0], atol=1e-12)


def test_attention_mask_and_input_mask_are_inverses(model):
    """L-2."""
    real = on_the_left()
    one, other = model.transformer(IDS, attention_mask=real), model.transformer(IDS, input_mask=1 - real)
    np.testing.assert_array_equal(one.last_hidden_state.numpy(), other.last_hidden_state.numpy())
    assert (
        np.abs(model.transformer(IDS, real[::-1]).last_hidden_state.numpy() - one.last_hidden_state.numpy()).max() > 0.1
    )
    with pytest.raises(ValueError, match=r"attention_mask \(1 for a token\) or input_mask \(1 for padding\), got both"):
        model.transformer(IDS, real, input_mask=1 - real)


def test_segments_only_count_as_equal_or_not(model):
    """L-17: so <cls>, of segment 2, differs from both. And a model told of no segments is told that all are equal."""
    given = batch()
    right = streams(model, **given)
    for x, y in zip(right, streams(model, **(given | {"segments": 7 - 3 * given["segments"]})), strict=True):
        np.testing.assert_array_equal(x, y)
    all_equal = streams(model, **(given | {"segments": np.zeros((B, T), int)}))
    for x, y in zip(all_equal, streams(model, **(given | {"segments": None})), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)
    assert np.abs(all_equal[1] - right[1]).max() > 1e-3


def test_the_memorys_segment_is_number_0(model):
    memory = model.read(IDS).memory
    zeros, ones, none = (
        streams(model, ids=IDS, memory=memory, segments=s)[0]
        for s in (np.zeros((B, T), int), np.ones((B, T), int), None)
    )
    np.testing.assert_allclose(zeros, none, atol=1e-12)
    assert np.abs(ones - zeros).max() > 1e-3


# --- outputs, and looking inside -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recompute", [False, True])
def test_hidden_states_and_attention_maps_of_both_streams(model, recompute):
    """L-11: h and g in turns."""
    model.recompute = recompute
    given = dict(input_ids=IDS, perm_mask=1 - may_see(ORDER), target_mapping=mapping_of(TARGETS))
    out = model(**given, output_hidden_states=True, output_attentions=True)
    assert [x.shape for x in out.hidden_states] == [(B, T, C), (B, 3, C)] * 3
    assert [(h.shape, g.shape) for h, g in out.attentions] == [((B, 3, T, T), (B, 3, 3, T))] * 2
    plain = model(**given)
    assert plain.hidden_states is None and plain.attentions is None
    np.testing.assert_allclose(plain.logits.numpy(), model.head(out.hidden_states[-1]).numpy(), atol=1e-12)
    right = model.read(IDS, mask=may_see(ORDER), targets=TARGETS)
    np.testing.assert_allclose(out.hidden_states[-2].numpy(), right.content.numpy(), atol=1e-12)
    rows = np.arange(B)[:, np.newaxis]
    for h, g in out.attentions:
        np.testing.assert_allclose(h.numpy().sum(-1), 1)
        sees = may_see(ORDER)
        assert not h.numpy()[~np.broadcast_to((sees | np.eye(T, dtype=bool))[:, np.newaxis], h.shape)].any()
        assert not g.numpy()[~np.broadcast_to(sees[rows, TARGETS][:, np.newaxis], g.shape)].any()
    one = model(IDS, output_hidden_states=True, output_attentions=True)
    assert [x.shape for x in one.hidden_states] == [(B, T, C)] * 3 and one.attentions[1].shape == (B, 3, T, T)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputed_layers_have_the_same_gradients(dropout):
    results = []
    for recompute in (False, True):
        model = xlnet(dropout=dropout).train()
        model.recompute = recompute
        tg.manual_seed(9)
        loss = (model.head(model.read(**batch(), content=False).query) ** 2).mean()
        loss.backward()
        results.append([loss.numpy(), *[np.asarray(p.grad) for p in model.parameters()]])
    for plain, again in zip(*results, strict=True):
        np.testing.assert_array_equal(again, plain)
    assert all(np.asarray(p.grad).any() for p in model.parameters())


def test_everything_runs_on_arrays_that_are_not_numpys():
    results = []
    for kind in (np.asarray, StrictArray):
        model = xlnet(clamp_len=5)
        for p in model.parameters():
            p.data = kind(p.data)
        given = {name: kind(array) for name, array in batch().items()} | dict(padding=kind(on_the_left()))
        given["targets"] = kind(np.where(TARGETS == 0, -1, TARGETS))
        with tg.using("reference"):
            first = model.read(kind(IDS[:, :4]))
            loss = (model.head(model.read(**given, memory=first.memory).query) ** 2).mean()
            loss.backward()
            mixed = kind(np.random.default_rng(0).normal(size=(B, 2, T)))
            out = model(
                kind(IDS), target_mapping=mixed, labels=kind(IDS[:, :2]), mems=model.transformer(kind(IDS)).mems
            )
            results.append([loss.item(), out.loss.item(), *[to_numpy(p.grad) for p in model.parameters()]])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(strict, ours, rtol=1e-9, atol=1e-12)


def test_the_number_of_parameters_is_known_before_they_are_made():
    for settings in (dict(), dict(n_layer=1, d_inner=7, n_head=1)):
        config = XLNetConfig(**(CONFIG | settings))
        assert count_parameters(config) == XLNet(config).num_parameters()
        assert XLNetConfig(**config.to_dict()) == config


# --- mistakes --------------------------------------------------------------------------------------------------------

ONE = IDS[:1]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m.read(IDS[0]), ValueError, r"expected input_ids of shape \(B, T\) with T >= 1, got \(7,\)"),
        (lambda m: m.read(IDS * 1.0), TypeError, "expected integer input_ids, got float64"),
        (lambda m: m.read(IDS + V), IndexError, r"expected ids in 0 \.\. 16"),
        (lambda m: m.read(ONE, mask=np.ones((1, T))), ValueError, r"a mask of shape \(1, 7, 7\), got \(1, 7\)"),
        (lambda m: m.read(ONE, mask=np.full((1, T, T), 2)), ValueError, "a mask of booleans, or of ones and zeros"),
        (
            lambda m: m.read(ONE, padding=np.ones((1, 9)), memory=m.read(ONE[:, :3]).memory),
            ValueError,
            r"a padding of shape \(1, 7\) or \(1, 10\), got \(1, 9\)",
        ),
        (
            lambda m: m.read(ONE, segments=ONE[:, :3]),
            ValueError,
            r"segments of shape \(B, T\) = \(1, 7\), got \(1, 3\)",
        ),
        (lambda m: m.read(ONE, segments=ONE * 0.5), TypeError, "integer segments"),
        (lambda m: m.read(ONE, targets=[[8]]), IndexError, r"expected targets in -1 \.\. 7, got 8"),
        (lambda m: m.read(ONE, targets=[[-2]]), IndexError, r"expected targets in -1 \.\. 7, got -2"),
        (
            lambda m: m.read(ONE, targets=[[7]], segments=ONE),
            IndexError,
            r"targets in -1 \.\. 6, got 7, as mask and segments say nothing of the place after the text",
        ),
        (lambda m: m.read(ONE, targets=[3]), ValueError, r"targets of shape \(B, N\), places, or \(B, N, T\)"),
        (lambda m: m.read(ONE, targets=[[0.5]]), TypeError, "integer targets"),
        (lambda m: m.read(ONE, targets=np.ones((1, 2, 6))), ValueError, r"target_mapping of shape .*, got \(1, 2, 6\)"),
        (lambda m: m.read(IDS, memory=m.read(ONE).memory), ValueError, r"a memory of 2 arrays .* = \(3, M, 12\), got"),
        (lambda m: m.read(ONE, memory=m.read(ONE).memory[:1]), ValueError, "a memory of 2 arrays"),
        (lambda m: m(ONE, labels=IDS), ValueError, "targets of shape"),
        (lambda m: m(ONE, perm_mask=np.full((1, T, T), 3)), ValueError, "booleans, or of ones and zeros"),
        (lambda m: XLNet({"d_model": 3}), TypeError, r"got \{'d_model': 3\}: write XLNetConfig\(\*\*settings\)"),
        (
            lambda m: XLNetConfig(d_model=10, n_head=4),
            UserError,
            r"d_model should be even and a multiple of n_head \(4\)",
        ),
        (lambda m: XLNetConfig(d_model=9, n_head=3), UserError, "d_model should be even"),
        (lambda m: XLNetConfig(attn_type="both"), UserError, "attn_type should be one of bi, uni, not 'both'"),
        (lambda m: XLNetConfig(mem_len=0), UserError, "mem_len should be at least 1, not 0"),
    ],
)
def test_mistakes_are_told_in_one_line(model, call, error, says):
    with pytest.raises(error, match=says) as raised:
        call(model)
    assert "\n" not in str(raised.value)
