"""Evaluation: the mean over tokens, without dropout, and nothing changed."""

import math

import numpy as np
import pytest

from tinygrad_gpt import array
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.train.evaluate import Score, evaluate


class Counts:
    """Stands in for a model: its loss is the mean of the tokens it is given."""

    training = True

    def __init__(self, block_size):
        self.config = GPTConfig(vocab_size=100, block_size=block_size, n_head=1, n_embd=1)
        self.batches, self.modes = [], []

    def loss(self, x, y):
        self.batches.append(x.shape)
        self.modes.append(self.training)
        return Tensor(x.mean())

    def train(self, mode=True):
        self.training = mode

    def eval(self):
        self.training = False


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
    state = array.random_state()
    tokens = np.random.default_rng(0).integers(0, 7, 50)
    assert evaluate(model, tokens, 3) == evaluate(model, tokens, 3)
    assert array.random_state() == state
    assert all(p.grad is None for p in model.parameters())


def test_too_short_a_text():
    with pytest.raises(UserError, match="block_size"):
        evaluate(Counts(block_size=4), np.arange(4), batch_size=2)


def test_what_a_loss_means():
    score = Score(math.log(65), 100)
    assert score.perplexity == pytest.approx(65)
    assert score.bits_per_byte(tokens=100, text_bytes=200) == pytest.approx(math.log2(65) / 2)
    assert Score(1e4, 1).perplexity == math.inf
