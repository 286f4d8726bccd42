"""XLNet's heads: what the classifier reads, and what the loss of tokens looks at."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_bert import spread_out
from tests.models.small_xlnet import CONFIG, IDS, ORDER, TARGETS, B, C, T, V, may_see, xlnet
from tests.strict_array import StrictArray
from tinygrad_gpt.models import XLNetConfig, XLNetForSequenceClassification

REAL = (np.arange(T) >= np.array([[0], [3], [1]])).astype(int)


def classifier(num_labels: int | None = 3, **settings) -> XLNetForSequenceClassification:
    return spread_out(XLNetForSequenceClassification(XLNetConfig(**(CONFIG | settings)), num_labels))


def test_the_class_is_read_at_the_last_token():
    """L-17: summary_type "last"."""
    model = classifier()
    out = model(IDS, REAL)
    assert out.logits.shape == (B, 3) and out.loss is None
    x = model.transformer(IDS, REAL).last_hidden_state.numpy()[:, -1]
    summary = np.tanh(x @ model.summary.weight.numpy().T + model.summary.bias.numpy())
    expected = summary @ model.classifier.weight.numpy().T + model.classifier.bias.numpy()
    np.testing.assert_allclose(out.logits.numpy(), expected, atol=1e-12)
    plain = classifier(summary_use_proj=False, summary_activation=None)
    assert plain.summary is None
    np.testing.assert_allclose(plain.summarised(tg.Tensor(x[:, np.newaxis])).numpy(), x)


@pytest.mark.parametrize(
    ("kind", "moves"), [("last", [T - 1]), ("first", [0]), ("cls_index", [T - 1]), ("mean", range(T))]
)
def test_which_tokens_are_read(kind, moves):
    model = classifier(summary_type=kind)
    x = np.random.default_rng(0).normal(size=(1, T, C))
    before = model.summarised(tg.Tensor(x)).numpy()
    for t in range(T):
        other = x.copy()
        other[0, t] += 1
        assert (np.abs(model.summarised(tg.Tensor(other)).numpy() - before).max() > 1e-3) == (t in moves)


def test_padding_on_the_right_is_refused_where_the_last_token_is_read():
    """L-17, L-2: the classifier would read the vector of padding."""
    model = classifier()
    for given in (dict(attention_mask=REAL[:, ::-1]), dict(input_mask=1 - REAL[:, ::-1]), dict(input_mask=REAL)):
        with pytest.raises(
            ValueError, match=r"hides the last token of row [01], which the classifier reads: pad on the le"
        ):
            model(IDS, **given)
    classifier(summary_type="first")(IDS, REAL[:, ::-1])


def test_padding_on_the_left_changes_no_class():
    model, labels = classifier(), np.array([2, 0, 1])
    together = model(IDS, REAL, labels=labels)
    for row, begin in enumerate((0, 3, 1)):
        alone = model(IDS[row : row + 1, begin:])
        np.testing.assert_allclose(alone.logits.numpy()[0], together.logits.numpy()[row], atol=1e-12)
    assert together.loss.item() == pytest.approx(tg.functional.cross_entropy(together.logits, labels).item())


def test_the_loss_of_tokens_is_that_of_the_targets():
    model = xlnet()
    mapping, labels = (np.arange(T) == TARGETS[..., np.newaxis]) * 1.0, np.take_along_axis(IDS, TARGETS, axis=1)
    labels[1, 2] = -100
    out = model(IDS, perm_mask=1 - may_see(ORDER), target_mapping=mapping, labels=labels)
    assert out.logits.shape == (B, 3, V)
    p = np.exp(out.logits.numpy() - out.logits.numpy().max(-1, keepdims=True))
    chances = np.take_along_axis(p / p.sum(-1, keepdims=True), np.maximum(labels, 0)[..., np.newaxis], axis=-1)[..., 0]
    assert out.loss.item() == pytest.approx(-np.log(chances)[labels != -100].mean())
    assert list(out) == ["loss", "logits", "mems"] and out[0] is out.loss


def test_the_output_layer_is_tied_unless_it_is_told_otherwise():
    tied, own = xlnet(), xlnet(tie_word_embeddings=False)
    assert tied.head.weight is tied.transformer.token_embedding.weight
    assert own.head.weight is not own.transformer.token_embedding.weight
    assert own.num_parameters() - tied.num_parameters() == V * C


def test_a_classifier_runs_on_arrays_that_are_not_numpys():
    results = []
    for kind in (np.asarray, StrictArray):
        model = classifier()
        for p in model.parameters():
            p.data = kind(p.data)
        with tg.using("reference"):
            loss = model(kind(IDS), kind(REAL), token_type_ids=kind(IDS % 2), labels=kind(np.array([2, 0, 1]))).loss
            loss.backward()
        results.append([loss.item(), tg.Tensor(model.summary.weight.grad).numpy()])
    for ours, strict in zip(*results, strict=True):
        np.testing.assert_allclose(strict, ours, rtol=1e-9, atol=1e-12)
