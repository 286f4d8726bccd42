"""AdaptiveEmbedding and AdaptiveSoftmax against a word at a time in NumPy; losses, gradients, mistakes."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.check import gradcheck
from tinygrad_gpt.nn.adaptive import AdaptiveEmbedding, AdaptiveSoftmax, count_parameters

V, C = 11, 6
WAYS = {  # cutoffs, d_embed, div_val, share_projections
    "one table": ((), C, 1, True),
    "one projection": ((), 4, 1, True),
    "one cluster, div_val": ((), C, 2, True),
    "clusters of one table": ((3, 7), C, 1, True),
    "clusters of one table, a projection": ((3, 7), 4, 1, True),
    "clusters of one table, projections of their own": ((3, 7), 4, 1, False),
    "narrower and narrower": ((3, 7), C, 2, True),
    "narrower and narrower, projections of their own": ((3, 10), 5, 2, False),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


def both(way) -> tuple[AdaptiveEmbedding, AdaptiveSoftmax]:
    """In float64, with every parameter random."""
    cutoffs, d_embed, div_val, share = way
    embedding = AdaptiveEmbedding(V, C, cutoffs, d_embed=d_embed, div_val=div_val)
    softmax = AdaptiveSoftmax(embedding, share_projections=share).to(np.float64)
    rng = np.random.default_rng(0)
    for p in softmax.parameters():
        p.data[...] = rng.normal(0, 0.7, p.shape)
    return embedding, softmax


def vector(embedding, word: int) -> np.ndarray:
    """(C,)"""
    i = sum(word >= end for end in embedding.ends[1:-1])
    of_one = len(embedding.tables) == 1
    table, row = (embedding.tables[0], word) if of_one else (embedding.tables[i], word - embedding.ends[i])
    x = table.weight.data[row]
    return embedding.projections[0 if of_one else i].data @ x if embedding.projections else x


def log_probability(softmax, x: np.ndarray, word: int) -> float:
    """x (C,)"""
    ends, embedding = softmax.ends, softmax.embedding
    n, of_one = len(ends) - 2, len(embedding.tables) == 1

    def scores(i: int) -> np.ndarray:
        words = range(ends[i], ends[i + 1])
        h = x if softmax.projections[i] is None else x @ softmax.projections[i].data
        table, bias = (embedding.tables[0], softmax.biases[0]) if of_one else (embedding.tables[i], softmax.biases[i])
        begin = 0 if of_one else ends[i]
        found = [table.weight.data[w - begin] @ h + bias.data[w - begin] for w in words]
        if i == 0:
            found += [softmax.cluster_weight.data[k] @ h + softmax.cluster_bias.data[k] for k in range(n)]
        return np.array(found)

    def log_p(values: np.ndarray) -> np.ndarray:
        return values - np.log(np.exp(values).sum())

    i = sum(word >= end for end in ends[1:-1])
    if i == 0:
        return log_p(scores(0))[word]
    return log_p(scores(0))[ends[1] + i - 1] + log_p(scores(i))[word - ends[i]]


@every_way
def test_vectors_and_log_probabilities_word_by_word(way):
    embedding, softmax = both(way)
    ids = np.arange(V).reshape(1, V)[:, ::-1]
    np.testing.assert_allclose(embedding(ids).data[0], [vector(embedding, w) for w in ids[0]], atol=1e-12)
    x = np.random.default_rng(1).normal(size=(2, 3, C))
    found = softmax(tg.Tensor(x)).data
    expected = [[[log_probability(softmax, row, word) for word in range(V)] for row in rows] for rows in x]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1)


@pytest.mark.parametrize("targets", [range(V), [0, 1, 2, -100, 2], [9, -100, 10, 4], [-100, 8], [3]], ids=str)
@every_way
def test_the_loss_is_that_of_the_log_probabilities_in_the_order_of_the_targets(way, targets):
    _, softmax = both(way)
    targets = np.random.default_rng(2).permutation(np.array(targets))
    x, gradients = np.random.default_rng(3).normal(size=(len(targets), C)), []
    for direct in (True, False):
        softmax.zero_grad()
        leaf = tg.Tensor(x, requires_grad=True)
        losses = softmax.loss(leaf, targets, "none") if direct else F.nll_loss(softmax(leaf), targets, reduction="none")
        (losses * losses).sum().backward()
        gradients.append([losses.data, leaf.grad, *[dense(p) for p in softmax.parameters()]])
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert softmax.loss(tg.Tensor(x), targets, "sum").item() == pytest.approx(gradients[0][0].sum(), abs=1e-12)
    mean = gradients[0][0].sum() / (targets != -100).sum()
    assert softmax.loss(tg.Tensor(x), targets).item() == pytest.approx(mean, abs=1e-12)


def dense(p) -> np.ndarray:
    return np.zeros(p.shape) if p.grad is None else np.asarray(p.grad)


def test_frequent_words_cost_the_first_softmax_alone():
    embedding, softmax = both(WAYS["narrower and narrower"])
    softmax.loss(embedding(np.array([0, 1])), np.array([1, 2])).backward()
    assert embedding.tables[0].weight.grad is not None
    assert embedding.tables[1].weight.grad is None and softmax.biases[2].grad is None


@every_way
def test_the_gradient_of_the_loss_is_right_for_every_parameter(way):
    embedding, softmax = both(way)
    ids, targets = np.array([[0, 4, 9], [10, 2, 5]]), np.array([[9, 1, 4], [2, -100, 6]])
    own = list(softmax.parameters())

    def run(*values):
        for p, value in zip(own, values, strict=True):
            p.data, p.grad = value.data, None
        loss = softmax.loss(embedding(ids), targets)
        return of_leaves(loss, own, values)

    gradcheck(run, *[p.data.copy() for p in own])


def of_leaves(loss, parameters, values):
    """The loss as a function of the Tensors given for parameters: its own gradients are handed on to them."""
    loss.backward()
    total = tg.Tensor(loss.data)
    for p, value in zip(parameters, values, strict=True):
        total = total + ((value - value.detach()) * dense(p)).sum()
    return total


@every_way
def test_the_parameters_are_counted_and_begin_as_told(way):
    cutoffs, d_embed, div_val, share = way
    tg.manual_seed(0)
    embedding = AdaptiveEmbedding(V, C, cutoffs, d_embed=d_embed, div_val=div_val, std=0.02, proj_std=1.0)
    softmax = AdaptiveSoftmax(embedding, std=0.02, proj_std=1.0, share_projections=share)
    assert softmax.num_parameters() == count_parameters(V, C, cutoffs, d_embed, div_val, share)
    for name, p in softmax.named_parameters():
        size = np.abs(p.data).max()
        assert size == 0 if "bias" in name else size > 0.3 if "projections" in name else 0 < size < 0.1, name


@every_way
def test_it_runs_on_arrays_that_are_not_numpys(way):
    results, ids = [], np.array([[0, 4, 9], [10, 2, 5]])
    for kind in (np.asarray, StrictArray):
        embedding, softmax = both(way)
        for p in softmax.parameters():
            p.data = kind(p.data)
        with tg.using("reference"):
            x = embedding(kind(ids))
            loss = softmax.loss(x, kind(ids[::-1].copy()))
            loss.backward()
            results.append([x.data, softmax(x).data, loss.data])
    for ours, strict in zip(*results, strict=True):
        assert isinstance(strict, StrictArray)
        np.testing.assert_allclose(to_numpy(strict), ours, rtol=1e-10, atol=1e-12)


X = tg.Tensor(np.ones((2, C)))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: AdaptiveEmbedding(V, C, (7, 3)), ValueError, r"cutoffs that rise, in 1 \.\. 10, got \(7, 3\)"),
        (lambda: AdaptiveEmbedding(V, C, (3, V)), ValueError, r"cutoffs that rise, in 1 \.\. 10, got \(3, 11\)"),
        (lambda: AdaptiveEmbedding(V, C, (0, 3)), ValueError, r"cutoffs that rise, in 1 \.\. 10, got \(0, 3\)"),
        (lambda: AdaptiveEmbedding(V, C, (3, 7), div_val=3), ValueError, r"by 3 \(div_val\) 2 times, got 6"),
        (lambda: both(WAYS["one table"])[0](np.array([V])), IndexError, r"expected ids in 0 \.\. 10"),
        (lambda: both(WAYS["narrower and narrower"])[0](np.array([-1])), IndexError, r"expected ids in 0 \.\. 10"),
        (lambda: both(WAYS["narrower and narrower"])[0](np.array([1.0])), TypeError, "expected integer ids"),
        (lambda: both(WAYS["one table"])[1].loss(X, np.array([1, V])), IndexError, r"targets in 0 \.\. 10 .*-100 to"),
        (
            lambda: both(WAYS["one table"])[1].loss(X, np.array([1])),
            ValueError,
            r"of one shape, got \(2, 6\) and \(1,\)",
        ),
        (lambda: both(WAYS["one table"])[1].loss(X, np.array([-100, -100])), ValueError, "all targets are -100"),
    ],
)
def test_mistakes_are_told_in_a_line(call, error, says):
    with pytest.raises(error, match=says) as told:
        call()
    assert "\n" not in str(told.value)


def test_no_words_give_no_vectors():
    assert both(WAYS["narrower and narrower"])[0](np.zeros((0, 3), int)).shape == (0, 3, C)
