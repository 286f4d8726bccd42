"""BERT: what moves what, padding, segments, looking inside; mistakes told in one line."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_bert import (
    CONFIG,
    HEADS,
    LENGTHS,
    B,
    C,
    T,
    V,
    labels_for,
    outputs,
    padded_batch,
    pretraining_model,
    spread_out,
)
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)


@pytest.fixture
def model() -> BertForPreTraining:
    return pretraining_model()


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    return padded_batch()


# --- what is computed ------------------------------------------------------------------------------------------------


def test_the_whole_computation_written_out(model, batch):
    """As in the docstring of bert.py, in NumPy alone, for one text without padding."""
    from math import erf

    p = {name: array for name, array in model.state_dict().items()}
    ids, segments = batch["input_ids"][0], batch["token_type_ids"][0]

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def gelu(x):
        return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))

    x = p["bert.token_embedding.weight"][ids] + p["bert.segment_embedding.weight"][segments]
    x = norm(x + p["bert.position_embedding.weight"][:T], "bert.embedding_norm")
    for block in ("bert.blocks.0", "bert.blocks.1"):
        q, k, v = np.split(
            linear(x, f"{block}.attention.qkv").reshape(T, 9, C // 3).swapaxes(0, 1), 3
        )  # 3 of (H, T, D)
        scores = q @ k.swapaxes(1, 2) / np.sqrt(C // 3)  # every token sees every other
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        x = norm(
            x + linear((weights @ v).swapaxes(0, 1).reshape(T, C), f"{block}.attention.out"), f"{block}.attention_norm"
        )
        hidden = gelu(linear(x, f"{block}.feed_forward.up"))
        x = norm(x + linear(hidden, f"{block}.feed_forward.down"), f"{block}.feed_forward_norm")
    pooled = np.tanh(linear(x[0], "bert.pooler"))
    logits = norm(gelu(linear(x, "masked_lm.transform")), "masked_lm.norm") @ p["bert.token_embedding.weight"].T
    out = model(**{name: array[:1] for name, array in batch.items()})
    np.testing.assert_allclose(out.prediction_logits.data[0], logits + p["masked_lm.decoder.bias"], atol=1e-10)
    np.testing.assert_allclose(out.seq_relationship_logits.data[0], linear(pooled, "next_sentence"), atol=1e-11)


def test_gelu_is_the_exact_one_by_default_and_the_other_where_it_is_asked_for(batch):
    exact = spread_out(BertModel(CONFIG))(**batch).last_hidden_state.data
    tanh = BertConfig(**(vars(CONFIG) | {"hidden_act": "gelu_new"}))
    difference = np.abs(spread_out(BertModel(tanh))(**batch).last_hidden_state.data - exact).max()
    assert 1e-5 < difference < 1e-1, "far over the tolerance of a comparison, and hardly to be seen"


def test_the_epsilon_of_norms_shows_where_variances_are_small(batch):
    """At unit variance a wrong one changes nothing that one would notice."""
    outs = []
    for eps in (1e-12, 1e-5):
        model = spread_out(BertModel(BertConfig(**(vars(CONFIG) | {"layer_norm_eps": eps}))))
        assert {m.eps for m in model.modules() if isinstance(m, tg.nn.LayerNorm)} == {eps}
        unit = model(**batch).last_hidden_state.data
        for table in (model.token_embedding, model.segment_embedding, model.position_embedding):
            table.weight.data *= 1e-4
        outs.append((unit, model(**batch).last_hidden_state.data))
    (unit, small), (other_unit, other_small) = outs
    assert np.abs(unit - other_unit).max() < 1e-2 < 1e-1 < np.abs(small - other_small).max()


def test_a_token_sees_what_stands_before_it_and_behind_it(model, batch):
    before = outputs(model.bert, **batch)["last_hidden_state"]
    for place in range(LENGTHS[0]):
        changed = batch["input_ids"].copy()
        changed[0, place] = changed[0, place] % (V - 1) + 1
        after = outputs(model.bert, **(batch | {"input_ids": changed}))["last_hidden_state"]
        assert (np.abs(after - before)[0].max(axis=-1) > 1e-6).all(), "every place of that text moves"
        np.testing.assert_array_equal(after[1:], before[1:])


# --- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
def test_a_padded_token_moves_nothing_real(kind, batch):
    model = spread_out(kind(CONFIG))
    before = outputs(model, **batch)
    noise = np.random.default_rng(3).integers(1, V, (B, T))
    is_token = batch["attention_mask"] == 1
    after = outputs(model, **(batch | {"input_ids": np.where(is_token, batch["input_ids"], noise)}))
    for name, x in before.items():
        by_token = x.shape[:2] == (B, T)
        np.testing.assert_allclose(after[name][is_token] if by_token else after[name], x[is_token] if by_token else x)


def test_padding_without_a_mask_changes_the_real_tokens(model, batch):
    with_mask = outputs(model, **batch)
    without = outputs(model, **(batch | {"attention_mask": None}))
    for name, x in with_mask.items():
        difference = np.abs(without[name] - x)
        assert difference[0].max() < 1e-12, "the first text has no padding"
        assert difference[1, : 4 if x.ndim == 3 else None].max() > 1e-3, name


def test_padded_equals_alone(model, batch):
    together = outputs(model, **batch)
    for row, length in enumerate(LENGTHS):
        alone = outputs(model, **{name: array[row : row + 1, :length] for name, array in batch.items()})
        for name, x in alone.items():
            expected = together[name][row, :length] if x.ndim == 3 else together[name][row]
            np.testing.assert_allclose(x[0], expected, atol=1e-12)


def test_a_mask_of_ones_is_no_mask(model, batch):
    ones = batch | {"attention_mask": np.ones((B, T), int)}
    for name, x in outputs(model, **ones).items():
        np.testing.assert_array_equal(x, outputs(model, **(batch | {"attention_mask": None}))[name])


def test_the_vector_of_padding_learns_nothing(model, batch):
    """Not even where it is looked at, and where its own outputs count; as with PyTorch's padding_idx."""
    out = model.bert(batch["input_ids"], None, batch["token_type_ids"])
    (out.last_hidden_state * out.last_hidden_state).sum().backward()
    grad = np.asarray(model.bert.token_embedding.weight.grad)
    assert not grad[0].any() and grad[batch["input_ids"][0, 0]].any()
    with_it = spread_out(BertModel(BertConfig(**(vars(CONFIG) | {"pad_token_id": None}))))
    out = with_it(batch["input_ids"], None, batch["token_type_ids"])
    (out.last_hidden_state * out.last_hidden_state).sum().backward()
    assert np.asarray(with_it.token_embedding.weight.grad)[0].any()


def test_segments_in_the_place_of_the_mask_are_refused(model, batch):
    """The order of arguments is ids, mask, segments, and both are zeros and ones."""
    ids, segments = batch["input_ids"], batch["token_type_ids"]
    with pytest.raises(
        ValueError, match=r"hides the first token of row 0, \[CLS\].*input_ids, attention_mask, token_type"
    ):
        model(ids, segments)
    with pytest.raises(ValueError, match=r"hides the first token of row 0"):
        model(ids, np.zeros_like(ids))
    mask, positions = np.ones_like(ids), np.tile(np.arange(T), (B, 1))
    mask[0, :2], positions[0] = 0, [0, 0, 0, 1, 2, 3, 4]
    model(ids, mask, segments, positions)  # padding on the left, by one who knows


# --- rows, segments, positions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
def test_rows_know_nothing_of_each_other(kind, batch):
    model, order = spread_out(kind(CONFIG)), [2, 0, 1]
    shuffled = outputs(model, **{name: array[order] for name, array in batch.items()})
    for name, x in outputs(model, **batch).items():
        np.testing.assert_allclose(shuffled[name], x[order], atol=1e-12)


def test_segments_move_the_next_sentences_scores(model, batch):
    swapped = batch | {"token_type_ids": 1 - batch["token_type_ids"]}
    first, second = (outputs(model, **b)["seq_relationship_logits"] for b in (batch, swapped))
    assert (np.abs(first - second).max(axis=1) > 1e-3).all()
    none, zeros = batch | {"token_type_ids": None}, batch | {"token_type_ids": np.zeros((B, T), int)}
    for name, x in outputs(model, **none).items():
        np.testing.assert_array_equal(x, outputs(model, **zeros)[name])


def test_positions_are_consecutive_unless_they_are_given(model, batch):
    given = batch | {"position_ids": np.arange(T)[np.newaxis]}
    other = batch | {"position_ids": np.arange(T)[np.newaxis, ::-1]}
    for name, x in outputs(model, **batch).items():
        np.testing.assert_allclose(outputs(model, **given)[name], x, atol=1e-14)
        assert np.abs(outputs(model, **other)[name] - x).max() > 1e-3


# --- pooler ----------------------------------------------------------------------------------------------------------


def test_the_pooler_and_so_the_next_sentence_read_cls_and_not_the_mean(model, batch):
    x = model.bert.features(**batch)
    moved = x.data.copy()
    moved[:, 1:] += 1
    np.testing.assert_array_equal(model.bert.pooled(tg.Tensor(moved)).data, model.bert.pooled(x).data)
    moved[:, 0] += 1
    assert (np.abs(model.bert.pooled(tg.Tensor(moved)).data - model.bert.pooled(x).data) > 1e-9).any(axis=1).all()
    expected = np.tanh(x.data[:, 0] @ model.bert.pooler.weight.data.T + model.bert.pooler.bias.data)
    np.testing.assert_allclose(model.bert(**batch).pooler_output.data, expected, atol=1e-12)


def test_models_that_need_no_pooler_have_none(batch):
    has = {kind.__name__: kind(CONFIG).bert.pooler is not None for kind in HEADS}
    assert [name for name, it_has in has.items() if not it_has] == [
        "BertForMaskedLM",
        "BertForTokenClassification",
        "BertForQuestionAnswering",
    ]
    bare = BertModel(CONFIG, add_pooling_layer=False)
    assert bare(**batch).pooler_output is None
    with pytest.raises(ValueError, match="has no pooler: make it with add_pooling_layer=True"):
        bare.pooled(bare(**batch).last_hidden_state)


# --- looking inside --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recompute", [False, True])
def test_hidden_states_and_attention_maps(model, batch, recompute):
    model.recompute = recompute
    out = model(**batch, output_hidden_states=True, output_attentions=True)
    assert [x.shape for x in out.hidden_states] == [(B, T, C)] * 3
    np.testing.assert_array_equal(out.hidden_states[-1].data, model.bert(**batch).last_hidden_state.data)
    assert [a.shape for a in out.attentions] == [(B, 3, T, T)] * 2
    for weights in out.attentions:
        np.testing.assert_allclose(weights.data.sum(-1), 1)
        hidden = np.broadcast_to(batch["attention_mask"][:, np.newaxis, np.newaxis] == 0, weights.shape)
        assert not weights.data[hidden].any() and (weights.data[~hidden] > 0).all()
    plain = model(**batch)
    assert plain.hidden_states is None and plain.attentions is None


def test_every_part_can_be_watched_by_its_path(model, batch):
    with model.watching("bert.*_embedding", "bert.blocks.*.attention", "bert.pooler", "masked_lm.norm") as seen:
        model(**batch)
    assert {"bert.token_embedding", "bert.segment_embedding", "bert.position_embedding"} <= set(seen)
    assert seen["bert.position_embedding"].output.shape == (T, C) and seen["masked_lm.norm"].output.shape == (B, T, C)
    assert seen["bert.blocks.1.attention"].weights.shape == (B, 3, T, T)


def test_everything_runs_on_arrays_that_are_not_numpys(model, batch):
    results = []
    for kind in (np.asarray, StrictArray):
        for p in model.parameters():
            p.data, p.grad = kind(p.data), None
        with tg.using("reference"):
            given = {name: kind(array) for name, array in batch.items()}
            labels = {name: kind(array) for name, array in labels_for(model).items()}
            out = model(**given, **labels, output_hidden_states=True, output_attentions=True)
            loss = model.loss(**given, **labels).total
            loss.backward()
            results.append([out.loss.item(), loss.item(), to_numpy(model.bert.blocks[0].attention.qkv.weight.grad)])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(strict, ours, rtol=1e-10, atol=1e-12)


# --- mistakes --------------------------------------------------------------------------------------------------------

IDS = np.ones((2, 5), int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(IDS[0]), ValueError, r"expected input_ids of shape \(B, T\) with T >= 1, got \(5,\)"),
        (lambda m: m(IDS * 1.0), TypeError, "expected integer input_ids, got float64"),
        (lambda m: m(IDS + V), IndexError, r"expected ids in 0 \.\. 16"),
        (
            lambda m: m(IDS, IDS[:1]),
            ValueError,
            r"expected an attention_mask of shape \(B, T\) = \(2, 5\), got \(1, 5\)",
        ),
        (lambda m: m(IDS, IDS * 2), ValueError, "expected an attention_mask of ones"),
        (lambda m: m(IDS, None, IDS[:, :4]), ValueError, r"token_type_ids of the shape of input_ids, \(2, 5\), got"),
        (lambda m: m(IDS, None, IDS + 2), IndexError, r"expected ids in 0 \.\. 2"),
        (lambda m: m(IDS, None, IDS * 0.5), TypeError, "integer token_type_ids"),
        (lambda m: m(np.ones((1, 10), int)), ValueError, r"at most 9 positions \(max_position_embeddings\), got 10"),
        (lambda m: m(IDS, position_ids=IDS + 8), IndexError, r"expected ids in 0 \.\. 8"),
        (
            lambda m: m.loss(IDS, None, None, IDS[:, :4], [0, 1]),
            ValueError,
            r"labels of the shape of input_ids, \(2, 5\)",
        ),
        (lambda m: m.loss(IDS, None, None, IDS, [0]), ValueError, r"\(2, 2\) and \(1,\)"),
        (lambda m: m.loss(IDS, None, None, IDS, [0, 2]), IndexError, r"expected targets in 0 \.\. 1"),
        (
            lambda m: BertModel({"hidden_size": 3}),
            TypeError,
            r"got \{'hidden_size': 3\}: write BertConfig\(\*\*settings\)",
        ),
        (lambda m: BertForTokenClassification(CONFIG, 0), ValueError, "num_labels"),
        (lambda m: BertForTokenClassification(CONFIG, id2label={1: "a"}), ValueError, r"names of the classes 0 \.\. 0"),
        (
            lambda m: BertForSequenceClassification(CONFIG, problem_type="x"),
            ValueError,
            "expected problem_type regression",
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
        (
            dict(hidden_size=10, num_attention_heads=3),
            r"hidden_size should be a multiple of num_attention_heads \(3\), not 10",
        ),
        (dict(vocab_size=0), "vocab_size should be at least 1, not 0"),
        (dict(vocab_size=5, pad_token_id=5), r"pad_token_id should be below vocab_size \(5\)"),
        (dict(hidden_act="gelu_neww"), r"hidden_act should be one of gelu, .* \(did you mean gelu_new\?\)"),
        (dict(classifier_dropout=1.0), "classifier_dropout should be less than 1"),
        (dict(num_hidden_layers=2.0), "num_hidden_layers should be int, not 2.0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(UserError, match=says):
        BertConfig(**settings)


def test_the_defaults_are_those_of_bert_base_uncased():
    assert BertModel.layout.count_parameters(BertConfig()) == 108_891_648  # without the pooler


def test_a_new_model_is_drawn_as_its_settings_say():
    tg.manual_seed(8)
    config = BertConfig(300, 64, 1, 2, 96, initializer_range=0.05, pad_token_id=7)
    for name, p in BertForPreTraining(config).named_parameters():
        if p.ndim == 2:
            assert p.data.std() == pytest.approx(0.05, rel=0.15), name
        else:
            assert (p.data == ("norm.weight" in name)).all(), name
    words = BertModel(config).token_embedding.weight.data
    assert not words[7].any() and words[0].any()
