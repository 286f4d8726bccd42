"""Evaluation: the mean over tokens, without dropout, and nothing changed."""

import math

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.nn import Module
from tinygrad_gpt.tasks.perplexity import Score, evaluate, evaluate_sliding, sliding_windows


class Counts(Module):
    """Stands in for a model: its loss is the mean of the tokens it is given."""

    def __init__(self, block_size):
        self.config = GPTConfig(vocab_size=100, block_size=block_size, n_head=1, n_embd=1)
        self.batches, self.modes = [], []

    def loss(self, x, y):
        self.batches.append(x.shape)
        self.modes.append(self.training)
        return Tensor(x.mean())


def test_each_token_counts_the_same_in_a_last_batch_with_fewer_blocks():
    model = Counts(block_size=4)
    score = evaluate(model, np.arange(24), batch_size=2)  # 5 blocks of 4, and 3 tokens that make none
    assert model.batches == [(2, 4), (2, 4), (1, 4)]
    assert score == Score(np.arange(20).mean(), 20)


def test_a_limit_takes_about_that_many_tokens():
    model = Counts(block_size=4)
    assert evaluate(model, np.arange(100), batch_size=2, limit=20).tokens == 16
    assert evaluate(model, np.arange(100), batch_size=2, limit=1).tokens == 8


def test_dropout_is_off_and_comes_back():
    model = Counts(block_size=4)
    evaluate(model, np.arange(24), batch_size=2)
    assert not any(model.modes) and model.training
    model.training = False
    evaluate(model, np.arange(24), batch_size=2)
    assert not model.training


def test_no_random_numbers_are_drawn_and_no_gradients_made():
    model = GPT(GPTConfig(vocab_size=7, block_size=4, n_layer=1, n_head=1, n_embd=4, dropout=0.5))
    state = random_stream.random_state()
    tokens = np.random.default_rng(0).integers(0, 7, 50)
    assert evaluate(model, tokens, 3) == evaluate(model, tokens, 3)
    assert random_stream.random_state() == state
    assert all(p.grad is None for p in model.parameters())


def test_too_short_a_text():
    with pytest.raises(UserError, match="block_size"):
        evaluate(Counts(block_size=4), np.arange(4), batch_size=2)


def test_what_a_loss_means():
    score = Score(math.log(65), 100)
    assert score.perplexity == pytest.approx(65)
    assert score.bits_per_byte(tokens=100, text_bytes=200) == pytest.approx(math.log2(65) / 2)
    assert Score(1e4, 1).perplexity == math.inf


# --- overlapping windows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "block_size", "stride"),
    [(50, 8, 3), (50, 8, 1), (50, 8, 7), (48, 8, 4), (9, 8, 4), (5, 8, 2), (2, 8, 2)],
)
def test_each_token_is_asked_for_once_with_enough_before_it(length, block_size, stride):
    windows = list(sliding_windows(length, block_size, stride))
    asked = [t for w in windows for t in range(w.first, w.end)]
    assert asked == list(range(1, length))
    assert all(w.end - w.begin <= block_size and w.end <= length for w in windows)
    assert all(w.first - w.begin >= block_size - stride for w in windows[1:]), "too little to predict from"
    assert [w.begin for w in windows] == [i * stride for i in range(len(windows))]


@pytest.fixture
def small_gpt():
    random_stream.manual_seed(0)
    return GPT(GPTConfig(vocab_size=7, block_size=8, n_layer=2, n_head=2, n_embd=4, dropout=0.5))


@pytest.mark.parametrize(("length", "stride"), [(50, 3), (47, 7), (9, 4), (6, 4), (2, 1)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_sliding_windows_against_a_loop(small_gpt, length, stride, batch_size):
    small_gpt.token_embedding.weight.data *= 50  # so that context matters
    tokens = np.random.default_rng(1).integers(0, 7, length).astype(np.uint16)
    losses, before = [], 0
    small_gpt.eval()
    for begin in range(0, length, stride):
        end = min(begin + 8, length)
        logits = small_gpt(tokens[None, begin:end].astype(int)).numpy()[0].astype(float)
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        losses += [-log_p[t - 1 - begin, tokens[t]] for t in range(max(before, 1), end)]
        before = end
        if end == length:
            break
    small_gpt.train()
    said = []
    score = evaluate_sliding(small_gpt, tokens, 8, stride, batch_size, lambda *told: said.append(told))
    assert score.tokens == len(losses) == length - 1
    assert score.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert small_gpt.training and said[-1] == (length - 1, length - 1)


def test_more_context_makes_another_loss(small_gpt):
    small_gpt.token_embedding.weight.data *= 50
    tokens = np.random.default_rng(1).integers(0, 7, 60)
    losses = {stride: evaluate_sliding(small_gpt, tokens, 8, stride).loss for stride in (1, 4, 7)}
    assert len({round(loss, 6) for loss in losses.values()}) == 3


@pytest.mark.parametrize("stride", [0, 8, 9])
def test_a_stride_that_cannot_be(small_gpt, stride):
    with pytest.raises(UserError, match=f"at least 1 and less than the block size, which is 8, not {stride}"):
        evaluate_sliding(small_gpt, np.arange(7), 8, stride)


def test_sliding_windows_of_a_text_that_is_too_short(small_gpt):
    with pytest.raises(UserError, match="1 token: nothing follows it"):
        evaluate_sliding(small_gpt, np.zeros(1, int), 8, 4)


def test_blocks_shorter_than_the_model_takes():
    model = Counts(block_size=8)
    said = []
    evaluate(model, np.arange(24), batch_size=2, block_size=4, progress=lambda *done: said.append(done))
    assert model.batches == [(2, 4), (2, 4), (1, 4)] and said == [(8, 23), (16, 23), (20, 23)]
    said.clear()
    evaluate(model, np.arange(24), 2, limit=16, block_size=4, progress=lambda *done: said.append(done))
    assert said == [(8, 16), (16, 16)], "of those that are scored"


def test_perplexity_per_word():
    assert Score(math.log(10), 100).perplexity_per_word(tokens=300, words=150) == pytest.approx(100)
    assert Score(10.0, 100).perplexity_per_word(tokens=1000, words=1) == math.inf
