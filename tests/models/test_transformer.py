"""The Transformer: what moves what, the three masks, the cache, looking inside; mistakes told in one line."""

import dataclasses
import math

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_transformer import (
    CONFIG,
    LENGTHS,
    PAD,
    SOURCE_LENGTHS,
    TS,
    B,
    C,
    T,
    V,
    batch,
    logits,
    transformer,
)
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import Transformer, TransformerConfig
from tinygrad_gpt.models.transformer import count_parameters
from tinygrad_gpt.nn import LayerNorm
from tinygrad_gpt.nn.positions import sinusoids

VARIANTS = [
    dict(),
    dict(norm="pre"),
    dict(positions="halves", activation_function="gelu", scale_embedding=False),
    dict(d_model=15, encoder_attention_heads=5, decoder_attention_heads=1),
]
every_variant = pytest.mark.parametrize("settings", VARIANTS, ids=str)


@pytest.fixture
def model() -> Transformer:
    return transformer()


# --- what is computed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_whole_computation_written_out(norm):
    """As in the docstring of transformer.py, in NumPy alone, for one pair without padding."""
    model = transformer(norm=norm)
    p = model.state_dict()
    given = batch()
    source, target = given["source_ids"][0], given["decoder_input_ids"][0]  # (Ts,), (T,)

    def layer_norm(x, name):
        centred = x - x.mean(-1, keepdims=True)  # of the biased variance, with eps inside the root
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, weight, bias):
        return x @ weight.T + bias

    def attention(x, y, name, heads, mask):
        if f"{name}.qkv.weight" in p:
            weights, biases = (np.split(p[f"{name}.qkv.{kind}"], 3) for kind in ("weight", "bias"))
        else:
            weights, biases = (
                [p[f"{name}.q.{kind}"], *np.split(p[f"{name}.kv.{kind}"], 2)] for kind in ("weight", "bias")
            )
        q, k, v = (
            linear(z, w, b).reshape(len(z), heads, C // heads).swapaxes(0, 1)
            for z, w, b in zip((x, y, y), weights, biases, strict=True)
        )  # (H, T, D)
        scores = np.where(mask, q @ k.swapaxes(1, 2) / math.sqrt(C // heads), -np.inf)
        chances = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        joined = (chances @ v).swapaxes(0, 1).reshape(len(x), C)
        return linear(joined, p[f"{name}.out.weight"], p[f"{name}.out.bias"])

    def feed_forward(x, name):
        hidden = np.maximum(linear(x, p[f"{name}.up.weight"], p[f"{name}.up.bias"]), 0)
        return linear(hidden, p[f"{name}.down.weight"], p[f"{name}.down.bias"])

    def add(x, part, name):
        """One sublayer."""
        return x + part(layer_norm(x, name)) if norm == "pre" else layer_norm(x + part(x), name)

    embedding, everything, past = p["token_embedding.weight"], np.True_, np.tri(T, dtype=bool)
    s = embedding[source] * math.sqrt(C) + sinusoids(TS, C)
    for i in range(2):
        block = f"encoder.{i}"
        s = add(s, lambda x, b=block: attention(x, x, f"{b}.attention", 3, everything), f"{block}.attention_norm")
        s = add(s, lambda x, b=block: feed_forward(x, f"{b}.feed_forward"), f"{block}.feed_forward_norm")
    s = layer_norm(s, "encoder_norm") if norm == "pre" else s
    x = embedding[target] * math.sqrt(C) + sinusoids(T, C)
    for i in range(3):
        block = f"decoder.{i}"
        x = add(x, lambda x, b=block: attention(x, x, f"{b}.attention", 4, past), f"{block}.attention_norm")
        x = add(
            x,
            lambda x, b=block: attention(x, s, f"{b}.cross_attention", 4, everything),
            f"{block}.cross_attention_norm",
        )
        x = add(x, lambda x, b=block: feed_forward(x, f"{b}.feed_forward"), f"{block}.feed_forward_norm")
    x = layer_norm(x, "decoder_norm") if norm == "pre" else x
    found = model(source[np.newaxis], target[np.newaxis])
    assert found.shape == (1, T, V)
    np.testing.assert_allclose(found.data[0], x @ embedding.T, atol=1e-6)  # sinusoids were made in float32


def test_scores_are_divided_by_the_root_of_a_heads_size_and_embeddings_multiplied_by_that_of_the_width():
    """T-6: the two square roots are easily mistaken for each other."""
    ids = np.array([[3, 4]])
    for scaled in (True, False):
        model = transformer(scale_embedding=scaled)
        with model.watching("dropout", "encoder.0.attention.qkv", "encoder.0.attention") as seen:
            model.encode(ids)
        vectors = seen["dropout"].output.data[0] - sinusoids(2, C)
        factor = math.sqrt(C) if scaled else 1.0
        np.testing.assert_allclose(vectors, factor * model.token_embedding.weight.data[ids[0]], atol=1e-6)
        q, k, _ = seen["encoder.0.attention.qkv"].output.data.reshape(2, 3, 3, C // 3).transpose(1, 2, 0, 3)
        scores = np.exp(q @ k.swapaxes(1, 2) / math.sqrt(C // 3))
        np.testing.assert_allclose(
            seen["encoder.0.attention"].weights.data[0], scores / scores.sum(-1, keepdims=True), atol=1e-12
        )


@pytest.mark.parametrize("order", ["interleaved", "halves"])
@pytest.mark.parametrize("width", [6, 5])
def test_positions_in_both_orders(order, width):
    settings = dict(d_model=width, encoder_attention_heads=1, decoder_attention_heads=1, positions=order)
    table = transformer(**settings).position_table.numpy()
    assert table.shape == (9, width)
    for t in range(9):
        for channel in range(width):
            angle = t / 10_000 ** (2 * (channel // 2) / width)
            expected = math.cos(angle) if channel % 2 else math.sin(angle)
            sines = (width + 1) // 2
            place = channel if order == "interleaved" else channel // 2 + (sines if channel % 2 else 0)
            assert table[t, place] == pytest.approx(expected, abs=1e-6)


def test_pre_norm_has_a_norm_after_each_stack_and_post_norm_has_none():
    """T-14: the paper's is "post", which is the default."""
    assert TransformerConfig(V).norm == "post"
    norms = {
        norm: [path for path, m in transformer(norm=norm).named_children() if isinstance(m, LayerNorm)]
        for norm in ("pre", "post")
    }
    assert norms == {"pre": ["encoder_norm", "decoder_norm"], "post": []}


# --- who sees whom ---------------------------------------------------------------------------------------------------


@every_variant
def test_a_position_of_the_target_knows_nothing_of_those_that_follow(settings):
    model, given = transformer(**settings), batch()
    before = logits(model, **given)
    for place in range(T):
        changed = given["decoder_input_ids"].copy()
        changed[:, place] = (changed[:, place] + 1) % V
        after = logits(model, **(given | {"decoder_input_ids": changed}))
        np.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert (np.abs(after - before)[:, place:].max(axis=-1) > 1e-9).all(), "and all others move"


@every_variant
def test_padding_of_the_source_changes_nothing(settings):
    """T-6: not even a little, as it would with a mask of small numbers."""
    model, given = transformer(**settings), batch()
    before, seen = logits(model, **given), given["source_mask"] == 1
    noise = np.random.default_rng(2).integers(0, V, (B, TS))
    after = logits(model, **(given | {"source_ids": np.where(seen, given["source_ids"], noise)}))
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-12)
    unmasked = logits(model, **(given | {"source_mask": None}))
    assert (np.abs(unmasked - before)[1:].max(axis=(1, 2)) > 1e-6).all(), "the mask is what does it"
    np.testing.assert_allclose(unmasked[0], before[0], atol=1e-12)  # which the first source does not need


def test_cross_attention_is_masked_by_the_sources_padding_and_not_by_the_targets(model):
    """T-7: with lengths that differ; were they equal, the wrong mask would look right."""
    given = batch()
    with model.watching("encoder.*.attention", "decoder.*.attention", "decoder.*.cross_attention") as seen:
        logits(model, **given)
    visible = np.arange(TS) < SOURCE_LENGTHS[:, np.newaxis]  # (B, Ts)
    for path, what in seen.items():
        heads, weights = (3 if path.startswith("encoder") else 4), what.weights.numpy()
        if path.endswith("cross_attention"):
            allowed = np.broadcast_to(visible[:, np.newaxis, np.newaxis], (B, heads, T, TS))
        elif path.startswith("encoder"):
            allowed = np.broadcast_to(visible[:, np.newaxis, np.newaxis], (B, heads, TS, TS))
        else:
            allowed = np.broadcast_to(np.tri(T, dtype=bool), (B, heads, T, T))
        np.testing.assert_array_equal(weights > 0, allowed, err_msg=path)
        np.testing.assert_allclose(weights.sum(-1), 1)


def test_padded_equals_alone(model):
    given = batch()
    together = logits(model, **given)
    for row, (source, target) in enumerate(zip(SOURCE_LENGTHS, LENGTHS, strict=True)):
        alone = model(given["source_ids"][[row], :source], given["decoder_input_ids"][[row], :target])
        np.testing.assert_allclose(alone.data[0], together[row, :target], atol=1e-12)


def test_padding_of_the_target_costs_nothing(model):
    """Nothing before it looks at it, and its own labels are -100."""
    given = batch()
    before = model.loss(**given)
    real = given["labels"] != -100
    for settings in (dict(), dict(label_smoothing=0.1)):
        before = model.loss(**given, **settings)
        other = np.where(real, given["decoder_input_ids"], 9)
        after = model.loss(**(given | {"decoder_input_ids": other}), **settings)
        assert after.total.item() == pytest.approx(before.total.item(), abs=1e-12)
        assert after.accuracy == before.accuracy


def test_padding_before_the_target_wants_a_mask(model):
    given = batch()
    encoded = model.encode(given["source_ids"], given["source_mask"])
    ids = np.random.default_rng(4).integers(2, V, (B, T))
    mask = np.ones((B, T), int)
    mask[:, 0] = 0
    before = model.decode(ids, encoded, given["source_mask"], mask).numpy()
    other = np.where(mask == 1, ids, 9)
    after = model.decode(other, encoded, given["source_mask"], mask).numpy()
    np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-12)
    unmasked = model.decode(other, encoded, given["source_mask"]).numpy()
    assert (np.abs(unmasked - before)[:, 1:].max(axis=-1) > 1e-6).all()


@every_variant
def test_rows_know_nothing_of_each_other(settings):
    model, given, order = transformer(**settings), batch(), [2, 0, 1]
    shuffled = logits(model, **{name: array[order] for name, array in given.items()})
    np.testing.assert_allclose(shuffled, logits(model, **given)[order], atol=1e-12)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_the_words_and_not_over_padding(model):
    given = batch()
    log_p = logits(model, **given)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    real = given["labels"] != -100
    rows, places = np.nonzero(real)
    right = log_p[rows, places, given["labels"][real]]
    loss = model.loss(**given)
    assert loss.total.item() == pytest.approx(-right.mean(), abs=1e-12)
    assert loss.accuracy == np.mean(log_p[rows, places].argmax(-1) == given["labels"][real])
    smoothed = model.loss(**given, label_smoothing=0.1)
    expected = -(0.9 * right + 0.1 * log_p[rows, places].mean(-1)).mean()
    assert smoothed.total.item() == pytest.approx(expected, abs=1e-12)


def test_accuracy_is_1_where_every_word_is_the_likeliest(model):
    given = batch()
    likeliest = logits(model, **given).argmax(-1)
    labels = np.where(given["labels"] == -100, -100, likeliest)
    assert model.loss(**(given | {"labels": labels})).accuracy == 1
    labels = np.where(labels == -100, -100, (labels + 1) % V)
    assert model.loss(**(given | {"labels": labels})).accuracy == 0


@every_variant
def test_recomputing_changes_no_bit(settings):
    """With dropout too: the second run drops what the first one dropped."""
    settings = settings | dict(dropout=0.2, attention_dropout=0.1, activation_dropout=0.3)
    results = []
    for again in (False, True):
        model = transformer(**settings).train()
        model.recompute = again
        tg.manual_seed(5)
        loss = model.loss(**batch()).total
        loss.backward()
        results.append([loss.numpy(), *[np.asarray(p.grad) for p in model.parameters()]])
    for plain, recomputed in zip(*results, strict=True):
        np.testing.assert_array_equal(recomputed, plain)
    assert all(np.asarray(p.grad).any() for p in model.parameters())


def test_the_vector_of_padding_learns_only_what_the_head_asks_of_it(model):
    """A lookup of padding, which is also how each target begins, gives its vector no gradient; as with PyTorch's
    padding_idx. The head shares the table, and its product does."""
    given = batch()
    encoded = model.encode(given["source_ids"])
    x = model.decode(given["decoder_input_ids"], encoded)
    (x * x).sum().backward()
    grad = np.asarray(model.token_embedding.weight.grad)
    assert not grad[PAD].any() and grad[given["source_ids"][0, 0]].any()
    model.zero_grad()
    model.loss(**given).total.backward()
    assert np.asarray(model.token_embedding.weight.grad)[PAD].any()


@every_variant
def test_dropout_is_at_work_in_training_only(settings):
    for name in ("dropout", "attention_dropout", "activation_dropout"):
        model = transformer(**settings, **{name: 0.5})
        first = logits(model, **batch())
        np.testing.assert_array_equal(logits(model, **batch()), first)
        np.testing.assert_array_equal(logits(transformer(**settings), **batch()), first)
        model.train()
        assert np.abs(logits(model, **batch()) - first).max() > 1e-3, name


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [[1] * T, [T], [2, 1, 2], [3, 2]], ids=str)
@every_variant
def test_a_cache_gives_what_decoding_the_whole_target_gives(settings, pieces):
    """T-13: for sources of unequal lengths, and several positions at once."""
    model, given = transformer(**settings), batch()
    whole = logits(model, **given)
    with no_grad():
        encoded = model.encode(given["source_ids"], given["source_mask"])
        cache = model.new_cache(encoded, given["source_mask"], capacity=T)
        stop = 0
        for length in pieces:
            start, stop = stop, stop + length
            found = model.next_logits(given["decoder_input_ids"][:, start:stop], cache)
            np.testing.assert_allclose(found.data, whole[:, stop - 1], atol=1e-12)
            assert cache.length == stop


# --- looking inside --------------------------------------------------------------------------------------------------


def test_everything_runs_on_arrays_that_are_not_numpys(model):
    results = []
    for kind in (np.asarray, StrictArray):
        for p in [*model.parameters(), *model.buffers()]:
            p.data, p.grad = kind(p.data), None
        with tg.using("reference"):
            loss = model.loss(**{name: kind(array) for name, array in batch().items()})
            loss.total.backward()
            results.append(
                [loss.total.item(), loss.accuracy, to_numpy(model.decoder[0].cross_attention.kv.weight.grad)]
            )
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(to_numpy(strict), ours, rtol=1e-10, atol=1e-12)


# --- mistakes --------------------------------------------------------------------------------------------------------

IDS = np.ones((2, 5), int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(IDS[0], IDS), ValueError, r"expected source_ids of shape \(B, T\) with T >= 1, got \(5,\)"),
        (lambda m: m(IDS, IDS[:, :0]), ValueError, r"expected target_ids of shape \(B, T\) with T >= 1, got \(2, 0\)"),
        (lambda m: m(IDS, IDS * 1.0), TypeError, "expected integer target_ids, got float64"),
        (lambda m: m(IDS, IDS + V), IndexError, r"expected ids in 0 \.\. 16"),
        (lambda m: m(IDS, IDS[:1]), ValueError, "expected a target for each of 2 sources, got 1"),
        (lambda m: m(IDS[:1], IDS), ValueError, "expected a target for each of 1 sources, got 2"),
        (
            lambda m: m(IDS, IDS[:, :3], IDS[:, :3]),
            ValueError,
            r"expected an attention_mask of shape \(B, T\) = \(2, 5\) of the source, got \(2, 3\)",
        ),
        (lambda m: m(IDS, IDS, IDS * 2), ValueError, "expected an attention_mask of ones"),
        (
            lambda m: m.decode(IDS, m.encode(IDS), None, IDS[:, :3]),
            ValueError,
            r"expected an attention_mask of shape \(B, T\) = \(2, 5\) of the target, got \(2, 3\)",
        ),
        (lambda m: m(np.ones((1, 10), int), IDS[:1]), ValueError, r"at most 9 positions \(max_position_emb.*got 10"),
        (lambda m: m(IDS[:1], np.ones((1, 10), int)), ValueError, r"at most 9 positions \(max_position_emb.*got 10"),
        (lambda m: m.loss(IDS, None, IDS, IDS[:, :4]), ValueError, r"\(2, 5, 17\) and \(2, 4\)"),
        (lambda m: m.loss(IDS, None, IDS, IDS + V), IndexError, r"expected targets in 0 \.\. 16"),
        (lambda m: m.loss(IDS, None, IDS, IDS * 0 - 100), ValueError, "-100"),
        (
            lambda m: Transformer({"d_model": 3}),
            TypeError,
            r"got \{'d_model': 3\}: write TransformerConfig\(\*\*settings\)",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(model, call, error, says):
    with pytest.raises(error, match=says) as told:
        call(model)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(d_model=10), r"d_model should be a multiple of encoder_attention_heads \(3\)"),
        (dict(d_model=9), r"d_model should be a multiple of decoder_attention_heads \(4\)"),
        (dict(vocab_size=0), "vocab_size should be at least 1, not 0"),
        (dict(pad_token_id=V), rf"pad_token_id should be below vocab_size \({V}\)"),
        (dict(eos_token_id=V), rf"eos_token_id should be below vocab_size \({V}\)"),
        (dict(decoder_start_token_id=V), rf"decoder_start_token_id should be below vocab_size \({V}\)"),
        (dict(norm="both"), "norm should be one of pre, post, not 'both'"),
        (dict(positions="learned"), "positions should be one of interleaved, halves, not 'learned'"),
        (dict(activation_function="Relu"), r"activation_function should be one of .* \(did you mean relu\?\)"),
        (dict(dropout=1.0), "dropout should be less than 1"),
    ],
    ids=str,
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(UserError, match=says):
        dataclasses.replace(CONFIG, **settings)


def test_a_decoder_starts_with_padding_unless_something_else_is_said():
    assert TransformerConfig(9, pad_token_id=4).decoder_start_token_id == 4
    assert TransformerConfig(9, pad_token_id=4, decoder_start_token_id=2).decoder_start_token_id == 2
    config = TransformerConfig(9, pad_token_id=4)
    assert TransformerConfig(**config.to_dict()) == config


@every_variant
def test_parameters_are_counted_without_making_the_model(settings):
    model = transformer(**settings)
    assert count_parameters(model.config) == model.num_parameters()


def test_the_defaults_are_the_papers_base_model():
    """With the 37,000 tokens of English and German (section 5.1); table 3 says 65 million."""
    assert count_parameters(TransformerConfig(37_000)) == 63_082_496


def test_a_new_model_begins_with_embeddings_of_unit_variance_and_none_for_padding():
    tg.manual_seed(8)
    model = Transformer(TransformerConfig(300, 64, 1, 1, 2, 2, 96, 96, pad_token_id=7))
    words = model.token_embedding.weight.data
    assert words.std() * math.sqrt(64) == pytest.approx(1, rel=0.05)
    assert not words[7].any() and words[0].any()
    model = Transformer(TransformerConfig(300, 64, 1, 1, 2, 2, 96, 96, init_std=0.05))
    for name, p in model.named_parameters():
        if p.ndim == 2:
            assert p.data.std() == pytest.approx(0.05, rel=0.1), name
        else:
            assert (p.data == ("norm.weight" in name)).all(), name
