"""CausalLM: transformers' manners, held to the plain GPT beneath. tests/reference holds them to transformers itself."""

import dataclasses

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPT1, GPT2, GPTConfig
from tinygrad_gpt.models.causal_lm import next_tokens, position_ids
from tinygrad_gpt.models.hf.pretrained import FAMILIES

V = 11


@pytest.fixture(params=[GPT1, GPT2])
def model(request):
    """In float64, every parameter random."""
    norm = "post" if request.param is GPT1 else "pre"
    model = request.param(GPTConfig(V, block_size=9, n_layer=2, n_head=3, n_embd=12, norm=norm, dropout=0.2))
    rng = np.random.default_rng(3)
    for name, p in model.to(np.float64).named_parameters():
        p.data[...] = rng.normal(1.0 if name.endswith("norm.weight") else 0.0, 0.4, p.shape)
    return model.eval()


def ids(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, shape)


def test_the_logits_are_those_of_the_plain_gpt(model):
    plain = GPT(model.config).to(np.float64).eval()
    plain.load_state_dict(model.state_dict())
    x = ids(2, 7)
    output = model(x)
    assert (output.logits.data == plain(x).data).all()
    assert output.loss is None and output.hidden_states is None and output.attentions is None
    assert (model.loss(x, x).data == plain.loss(x, x).data).all(), "what the trainer calls"


def test_labels_are_shifted_and_minus_100_counts_for_nothing(model):
    x = ids(2, 7)
    labels = x.copy()
    labels[0, :3] = -100
    logits = model(x).logits.data
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = [-log_p[b, t - 1, x[b, t]] for b in range(2) for t in range(1, 7) if labels[b, t] != -100]
    assert len(losses) == 10
    assert model(x, labels=labels).loss.item() == pytest.approx(np.mean(losses), rel=1e-12)
    assert labels[0, 0] == -100 and labels[1, 0] == x[1, 0], "the caller's array stays as it was"
    assert next_tokens(tg.Tensor(labels)).tolist() == next_tokens(labels.tolist()).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint64", "int8", "int32", ">u2", ">i8"])
def test_ids_may_come_as_token_files_keep_them(model, dtype):
    x = ids(2, 7)
    assert model(x.astype(dtype), labels=x.astype(dtype)).loss.item() == model(x, labels=x).loss.item()
    assert (model.log_prob(x.astype(dtype)) == model.log_prob(x)).all()


def test_the_loss_reaches_every_parameter(model):
    model(ids(2, 7), labels=ids(2, 7)).loss.backward()
    assert all(np.abs(p.grad).max() > 0 for p in model.parameters())


def test_labels_that_cannot_be(model):
    with pytest.raises(ValueError, match="cross_entropy: expected logits"):
        model(ids(2, 7), labels=ids(2, 6))
    with pytest.raises(ValueError, match="at least one target that counts"):
        model(ids(1, 1), labels=ids(1, 1))
    with pytest.raises(IndexError, match=f"expected labels that fit 64 bits with a sign, got {2**64 - 100}"):
        model(ids(1, 3), labels=np.array([[1, 2**64 - 100, 1]], np.uint64))  # no -100, though its bits are


def test_hidden_states_lead_from_the_embeddings_to_the_head(model):
    x = ids(2, 7)
    output = model(x, output_hidden_states=True)
    states = output.hidden_states
    embedded = model.token_embedding.weight.data[x] + model.position_embedding.weight.data[:7]
    assert len(states) == 3 and (states[0].data == embedded).all()
    assert (model.blocks[0](states[0]).data == states[1].data).all()
    assert (model.head(states[-1]).data == output.logits.data).all()
    states[-1].sum().backward()  # a head of one's own can be trained on them
    assert model.token_embedding.weight.grad is not None


def test_attentions_are_the_weights_of_every_layer(model):
    x = ids(2, 7)
    mask = np.ones((2, 7), int)
    mask[1, :3] = 0
    output = model(x, mask, output_attentions=True)
    assert len(output.attentions) == 2 and (output.logits.data == model(x, mask).logits.data).all()
    for weights in output.attentions:
        assert weights.shape == (2, 3, 7, 7) and not weights.requires_grad
        assert (np.triu(weights.data, 1) == 0).all() and (weights.data[1, :, :, :3] == 0).all()
        np.testing.assert_allclose(weights.data[0].sum(-1), 1, rtol=1e-12)
    # With values of one, attention hands over the sum of the weights; with one-hot values, the weights themselves.
    q, k = (tg.Tensor(np.random.default_rng(i).standard_normal((1, 2, 5, 5))) for i in range(2))
    weights = tg.functional.attention_weights(q, k, causal=True, scale=0.3)
    one_hot = tg.Tensor(np.broadcast_to(np.eye(5), (1, 2, 5, 5)).copy())
    handed = tg.functional.attention(q, k, one_hot, causal=True, scale=0.3)
    np.testing.assert_allclose(weights.data, handed.data, atol=1e-14)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing_for_the_real_tokens(model, side):
    alone = [ids(1, n, seed=n) for n in (3, 7, 5)]
    batch, mask = np.zeros((3, 7), int), np.zeros((3, 7), int)
    for row, text in enumerate(alone):
        n = text.shape[1]
        place = slice(7 - n, 7) if side == "left" else slice(0, n)
        batch[row, place], mask[row, place] = text, 1
    logits = model(batch, mask, position_ids(mask)).logits.data
    for row, text in enumerate(alone):
        np.testing.assert_allclose(logits[row][mask[row] == 1], model(text).logits.data[0], rtol=1e-10, atol=1e-10)
    expected = [model.log_prob(text)[0] for text in alone]
    np.testing.assert_allclose(model.log_prob(batch, mask), expected, rtol=1e-12)


def test_the_gradients_of_a_padded_batch_are_those_of_its_texts(model):
    x, mask = ids(2, 6), np.ones((2, 6), int)
    mask[1, :4] = 0
    labels = np.where(mask == 1, x, -100)
    labels[1, 4] = -100  # the first real token follows padding only
    model(x, mask, position_ids(mask), labels).loss.backward()
    together = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    (model(x[:1], labels=x[:1]).loss * (5 / 6)).backward()
    (model(x[1:, 4:], labels=x[1:, 4:]).loss * (1 / 6)).backward()
    for name, p in model.named_parameters():
        np.testing.assert_allclose(together[name], p.grad, rtol=1e-9, atol=1e-12, err_msg=name)


def test_log_prob_is_the_sum_over_all_tokens_but_the_first(model):
    x = ids(2, 7)
    model.train()  # and dropout is off all the same
    loss = GPT2.log_prob(model, x)
    model.eval()
    for row in range(2):
        assert loss[row] == pytest.approx(-6 * model(x[row : row + 1], labels=x[row : row + 1]).loss.item(), rel=1e-12)


def test_position_ids_may_be_given(model):
    x = ids(2, 4)
    places = np.array([[3, 1, 4, 8]])
    weight = model.position_embedding.weight.data.copy()
    shifted = model(x, position_ids=places).logits.data
    model.position_embedding.weight.data[:4] = weight[places[0]]
    np.testing.assert_allclose(shifted, model(x).logits.data, rtol=1e-12)
    with pytest.raises(IndexError, match="9"):
        model(x, position_ids=places + 1)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((2, 6), int), r"attention_mask of shape \(B, T\) = \(2, 7\)"),
        (np.full((2, 7), 2), "ones"),
        (np.full((2, 7), -10000.0), "ones"),
    ],
)
def test_masks_that_cannot_be(model, mask, message):
    with pytest.raises(ValueError, match=message):
        model(ids(2, 7), mask)


def test_a_mask_of_ones_is_no_mask_in_any_dtype(model):
    x = ids(2, 7)
    for dtype in (int, bool, np.float32):
        assert (model(x, np.ones((2, 7), dtype)).logits.data == model(x).logits.data).all()


def test_a_cache_takes_the_mask_of_all_that_it_holds(model):
    x, mask = ids(2, 7), np.ones((2, 7), int)
    mask[1, :3] = 0
    places = position_ids(mask)
    cache = model.new_cache(2)
    with tg.no_grad():
        model.next_logits(x[:, :5], cache, attention_mask=mask[:, :5], position_ids=places[:, :5])
        model.next_logits(x[:, 5:6], cache, attention_mask=mask[:, :6], position_ids=places[:, 5:6])
        last = model.next_logits(x[:, 6:], cache, attention_mask=mask, position_ids=places[:, 6:])
    np.testing.assert_allclose(last.data, model(x, mask, places).logits.data[:, -1], rtol=1e-10)


def test_each_model_has_its_own_place_for_layer_norms():
    with pytest.raises(UserError, match='GPT-2 has norm="pre"'):
        GPT2(GPTConfig(V, norm="post"))
    with pytest.raises(UserError, match='GPT-1 has norm="post"'):
        GPT1(GPTConfig(V))


def test_everything_runs_on_arrays_that_are_not_numpys(model):
    x, mask = ids(2, 7), np.ones((2, 7), int)
    mask[1, :3] = 0
    results = []
    for kind in (np.asarray, StrictArray):
        for p in model.parameters():
            p.data, p.grad = kind(p.data), None
        with tg.using("reference"):
            given = kind(x), kind(mask), position_ids(kind(mask)), kind(x)
            output = model(*given, output_hidden_states=True, output_attentions=True)
            output.loss.backward()
            grad = model.token_embedding.weight.grad
            assert isinstance(grad, type(kind(np.ones(1)))) and isinstance(output.attentions[0].data, type(grad))
            results.append([output.loss.item(), model.log_prob(kind(x), kind(mask)), to_numpy(grad)])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(strict, ours, rtol=1e-10, atol=1e-12)


def test_a_class_with_a_layout_of_its_own_is_found_by_its_model_type():
    assert (FAMILIES["gpt2"], FAMILIES["openai-gpt"]) == (GPT2, GPT1)

    class Mine(GPT2):
        """Has its parent's layout."""

    class Other(GPT2):
        layout = dataclasses.replace(GPT2.layout, model_type="other")

    try:
        assert FAMILIES["gpt2"] is GPT2 and FAMILIES["other"] is Other
    finally:
        del FAMILIES["other"]
