"""MarianMTModel: what a call takes and returns, as transformers' users know it; mistakes told in one line."""

import numpy as np
import pytest

from tests.models.small_transformer import LENGTHS, PAD, SOURCE_LENGTHS, TS, B, C, T, V, batch, logits, transformer
from tinygrad_gpt.models import MarianMTModel
from tinygrad_gpt.models.marian import EncoderOutput

EVERYTHING = dict(output_hidden_states=True, output_attentions=True)


@pytest.fixture
def model() -> MarianMTModel:
    return transformer(MarianMTModel, positions="halves")


def call_batch() -> dict[str, np.ndarray]:
    """What a call takes, by transformers' names."""
    given = batch()
    return {
        "input_ids": given["source_ids"],
        "attention_mask": given["source_mask"],
        "decoder_input_ids": given["decoder_input_ids"],
    }


def test_it_computes_what_a_transformer_computes_and_adds_a_bias(model):
    expected = logits(transformer(positions="halves"), **batch())
    np.testing.assert_allclose(model(**call_batch()).logits.numpy(), expected, atol=1e-12)
    bias = np.random.default_rng(3).normal(size=(1, V))
    model.final_logits_bias = bias
    np.testing.assert_allclose(model(**call_batch()).logits.numpy(), expected + bias, atol=1e-12)
    assert "final_logits_bias" in model.state_dict() and "final_logits_bias" not in dict(model.named_parameters())
    with model.watching("head") as seen:
        np.testing.assert_array_equal(model(**call_batch()).logits.data, seen["head"].output.data)


def test_the_loss_of_a_call_is_that_of_the_trainer(model):
    given, labels = call_batch(), batch()["labels"]
    output = model(**given, labels=labels)
    assert output.loss.item() == pytest.approx(model.loss(**batch()).total.item(), abs=1e-12)
    assert output.keys() == ["loss", "logits", "encoder_last_hidden_state"] and output[0] is output.loss
    assert model(**given).loss is None


def test_arguments_by_place(model):
    given = call_batch()
    output = model(given["input_ids"], given["attention_mask"], given["decoder_input_ids"])
    np.testing.assert_array_equal(output.logits.data, model(**given).logits.data)


@pytest.mark.parametrize("start", [PAD, 5])
def test_without_a_target_the_labels_are_shifted_right(start):
    """T-4: the decoder begins with decoder_start_token_id, whichever it is, and reads padding in the place of -100."""
    model = transformer(MarianMTModel, decoder_start_token_id=start, pad_token_id=PAD)
    labels = np.array([[4, 5, 6], [7, -100, -100]])
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert shifted.tolist() == [[start, 4, 5], [start, 7, PAD]]
    given = {name: array[:2] for name, array in call_batch().items()}
    shown = model(**(given | {"decoder_input_ids": shifted}), labels=labels)
    made = model(given["input_ids"], given["attention_mask"], labels=labels)
    np.testing.assert_array_equal(made.logits.data, shown.logits.data)
    assert made.loss.item() == shown.loss.item()
    assert labels.tolist() == [[4, 5, 6], [7, -100, -100]], "which stay as they were"
    small = np.array([[4, 200]], np.uint8)  # which cannot hold every id
    assert model.prepare_decoder_input_ids_from_labels(small).tolist() == [[start, 4]]


@pytest.mark.parametrize("recompute", [False, True])
def test_hidden_states_and_all_three_kinds_of_attention(model, recompute):
    model.recompute = recompute
    out = model(**call_batch(), **EVERYTHING)
    assert [x.shape for x in out.encoder_hidden_states] == [(B, TS, C)] * 3
    assert [x.shape for x in out.decoder_hidden_states] == [(B, T, C)] * 4
    assert [a.shape for a in out.encoder_attentions] == [(B, 3, TS, TS)] * 2
    assert [a.shape for a in out.decoder_attentions] == [(B, 4, T, T)] * 3
    assert [a.shape for a in out.cross_attentions] == [(B, 4, T, TS)] * 3
    np.testing.assert_array_equal(out.encoder_hidden_states[-1].data, out.encoder_last_hidden_state.data)
    np.testing.assert_array_equal(model.logits(out.decoder_hidden_states[-1]).data, out.logits.data)
    embedded = model.token_embedding.weight.data[batch()["decoder_input_ids"]] * np.sqrt(C)
    np.testing.assert_allclose(out.decoder_hidden_states[0].data, embedded + model.position_table.data[:T], atol=1e-12)
    seen = np.arange(TS) < SOURCE_LENGTHS[:, np.newaxis, np.newaxis, np.newaxis]
    for maps, allowed in (
        (out.encoder_attentions, seen),
        (out.decoder_attentions, np.tri(T, dtype=bool)),
        (out.cross_attentions, seen),
    ):
        for weights in maps:
            np.testing.assert_allclose(weights.data.sum(-1), 1)
            np.testing.assert_array_equal(weights.data > 0, np.broadcast_to(allowed, weights.shape))
    assert model(**call_batch()).keys() == ["logits", "encoder_last_hidden_state"]
    assert "cross_attentions" not in model(**call_batch(), output_hidden_states=True)
    assert "decoder_hidden_states" not in model(**call_batch(), output_attentions=True)


def test_an_encoding_made_before(model):
    given = call_batch()
    whole = model(**given, **EVERYTHING)
    ids = given.pop("input_ids")
    encoded = model.encoder_outputs(ids, given["attention_mask"], **EVERYTHING)
    assert isinstance(encoded, EncoderOutput) and len(encoded) == 3
    for output in (model(**given, encoder_outputs=encoded), model(**given, encoder_outputs=encoded.to_tuple())):
        np.testing.assert_array_equal(output.logits.data, whole.logits.data)
        assert len(output.encoder_hidden_states) == 3 and len(output.encoder_attentions) == 2
    alone = model(**given, encoder_outputs=(encoded.last_hidden_state,))
    np.testing.assert_array_equal(alone.logits.data, whole.logits.data)
    assert alone.encoder_hidden_states is None


def test_a_mask_of_the_target(model):
    given = call_batch()
    real = (np.arange(T) < LENGTHS[:, np.newaxis]).astype(int)
    masked, plain = model(**given, decoder_attention_mask=real), model(**given)
    there = real == 1
    np.testing.assert_allclose(
        masked.logits.data[there], plain.logits.data[there], atol=1e-12
    )  # it stands on the right
    assert np.abs(masked.logits.data - plain.logits.data)[~there].max() > 1e-6


IDS = np.ones((2, 5), int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(IDS), ValueError, "expected decoder_input_ids, or labels to make them from, got neither"),
        (lambda m: m(decoder_input_ids=IDS), ValueError, "expected input_ids or encoder_outputs, got neither"),
        (lambda m: m(IDS, labels=IDS[0]), ValueError, r"expected labels of shape \(B, T\) with T >= 1, got \(5,\)"),
        (lambda m: m(IDS, labels=IDS * 0.5), TypeError, "expected integer labels, got float64"),
        (lambda m: m(IDS, labels=IDS - 101), ValueError, "-100"),
        (lambda m: m(IDS, labels=IDS + V), IndexError, r"expected ids in 0 \.\. 16"),
        (lambda m: m(IDS, None, IDS, labels=IDS[:, :4]), ValueError, r"\(2, 5, 17\) and \(2, 4\)"),
        (lambda m: m(IDS, None, IDS, IDS[:, :4]), ValueError, r"\(B, T\) = \(2, 5\) of the target, got \(2, 4\)"),
        (
            lambda m: m(decoder_input_ids=IDS, encoder_outputs=IDS),
            TypeError,
            "encoder_outputs as a tuple that",
        ),
        (lambda m: m(decoder_input_ids=IDS, encoder_outputs=()), TypeError, "encoder_outputs as a tuple that"),
    ],
)
def test_mistakes_are_told_in_a_line(model, call, error, says):
    with pytest.raises(error, match=says) as told:
        call(model)
    assert "\n" not in str(told.value)
