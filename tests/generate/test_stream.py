"""`generate`: the window past block_size, streaming, seeds and draws, and what is refused."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.generate import generate
from tinygrad_gpt.models import GPT, GPTConfig

V = 13


@pytest.fixture(params=["pre", "post"])
def model(request) -> GPT:
    """A GPT in float64 whose weights are large enough for its predictions to depend on the whole context."""
    model = GPT(GPTConfig(V, block_size=8, n_layer=2, n_head=2, n_embd=12, norm=request.param, dropout=0.2))
    rng = np.random.default_rng(1)
    for p in model.to(np.float64).parameters():
        p.data[...] = rng.normal(0.0, 0.6, p.shape)
    return model.eval()


class Watched:
    """A model that notes how many positions it was asked for in each call."""

    def __init__(self, model):
        self.model, self.config = model, model.config
        self.new_cache, self.modules = model.new_cache, model.modules
        self.asked = []

    def next_logits(self, ids, cache):
        self.asked.append(ids.shape[1])
        return self.model.next_logits(ids, cache)


class Fixed:
    """A model that gives the same logits whatever comes before."""

    config = GPTConfig(V, block_size=8)

    def __init__(self, logits):
        self.logits = np.array([logits], np.float32)

    def modules(self):
        return []

    def new_cache(self, batch_size, capacity):
        return GPT(GPTConfig(V, block_size=8, n_layer=1, n_head=1, n_embd=1)).new_cache(batch_size)

    def next_logits(self, ids, cache):
        return Tensor(self.logits)


def without_cache(model, prompt: list[int], n: int, seed: int) -> list[int]:
    """Generation that runs the whole window through the model for every token."""
    block_size = model.config.block_size
    window, written = prompt[-block_size:], []
    rng = np.random.default_rng(seed)
    for _ in range(n):
        if len(window) > block_size:
            window = window[-(block_size // 2) :]
        weights = np.exp(model(np.array([window])).data[0, -1])
        token = int((np.cumsum(weights / weights.sum()) <= rng.random()).sum())
        written.append(token)
        window = [*window, token]
    return written


# --- the window --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 20])
def test_the_cache_changes_nothing_also_far_past_block_size(model, length):
    prompt = np.random.default_rng(length).integers(0, V, length)
    expected = without_cache(model, prompt.tolist(), 40, seed=2)
    assert list(generate(model, prompt, 40, seed=2)) == expected
    assert len(set(expected)) > 3, "a model that repeats one token would prove nothing"


def test_a_new_token_costs_one_position_and_a_full_cache_half_a_block(model):
    watched = Watched(model)
    list(generate(watched, [1, 2, 3], 18, temperature=0))
    # 3 + 5 fill the block of 8; then 4 of the last tokens begin it again, the newest among them.
    assert watched.asked == [3, 1, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1, 4, 1]


def test_a_long_prompt_is_read_from_its_last_block(model):
    watched = Watched(model)
    prompt = list(range(12))
    written = list(generate(watched, prompt, 3, seed=2))
    assert watched.asked == [8, 4, 1]
    assert written == list(generate(model, prompt[-8:], 3, seed=2))


def test_a_block_of_one_position_works():
    model = GPT(GPTConfig(V, block_size=1, n_layer=1, n_head=1, n_embd=4))
    assert len(list(generate(model, [1, 2], 5, seed=1))) == 5


# --- streaming ---------------------------------------------------------------------------------------------------


def test_tokens_come_one_at_a_time(model):
    watched = Watched(model)
    tokens = generate(watched, [1], 100, seed=1)
    assert watched.asked == []
    assert isinstance(next(tokens), int) and watched.asked == [1]
    next(tokens)
    assert watched.asked == [1, 1]


def test_between_tokens_the_callers_modes_are_as_they_were(model):
    expected = list(generate(model, [1], 8, seed=2))
    model.train()
    tokens = generate(model, [1], 8, seed=2)
    first = next(tokens)
    assert model.training and model.blocks[0].dropout.training
    assert (Tensor(np.ones(1), requires_grad=True) * 2.0).requires_grad
    assert [first, *tokens] == expected, "dropout must be off inside"
    model.eval()
    model.blocks[0].train()  # a part alone, as when only that is trained
    assert list(generate(model, [1], 8, seed=2)) == expected
    assert not model.training and not model.blocks[1].training
    assert model.blocks[0].training and model.blocks[0].dropout.training


def test_it_ends_at_the_stop_token_which_is_not_given_out(model):
    written = list(generate(model, [1, 2], 30, seed=2))
    stop = next(token for token in written[3:] if token not in written[:3])
    assert list(generate(model, [1, 2], 30, seed=2, stop_token=stop)) == written[: written.index(stop)]
    assert list(generate(model, [1, 2], 0)) == []


# --- seeds and draws ---------------------------------------------------------------------------------------------


def test_the_seed_decides(model):
    def write(**settings):
        return list(generate(model, [1, 2], 20, **settings))

    assert write(seed=5) == write(seed=5) != write(seed=6)
    tg.manual_seed(1)
    first, second = write(), write()
    tg.manual_seed(1)
    assert write() == first != second


@pytest.mark.long
def test_tokens_come_as_often_as_their_probabilities_say():
    logits = np.log(np.arange(1.0, V + 1))
    n = 20_000
    counts = np.bincount(list(generate(Fixed(logits), [0], n, seed=3)), minlength=V)
    expected = np.arange(1.0, V + 1) / np.arange(1.0, V + 1).sum()
    assert np.abs(counts / n - expected).max() < 4 * np.sqrt(0.25 / n)
    kept = set(generate(Fixed(logits), [0], 500, seed=3, top_k=2))
    assert kept == {V - 1, V - 2}


def test_a_token_of_probability_zero_is_never_drawn():
    logits = np.full(V, -2000.0)
    logits[[0, 5]] = 0.0
    assert set(generate(Fixed(logits), [0], 500, seed=1)) == {0, 5}


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "settings", "message"),
    [
        (ValueError, dict(prompt_ids=[]), "T >= 1"),
        (ValueError, dict(prompt_ids=[[1, 2]]), r"\(T,\)"),
        (TypeError, dict(prompt_ids=[0.5]), "integer ids"),
        (IndexError, dict(prompt_ids=[1, V]), "0 .. 12 in the prompt, got 13"),
        (IndexError, dict(prompt_ids=[-1]), "got -1"),
        (ValueError, dict(max_new_tokens=-1), "max_new_tokens"),
        (ValueError, dict(temperature=-0.1), "temperature"),
        (ValueError, dict(temperature=np.inf), "temperature"),
        (ValueError, dict(temperature=np.nan), "temperature"),
        (ValueError, dict(top_k=0), "top_k"),
        (ValueError, dict(top_p=0.0), "top_p"),
        (ValueError, dict(top_p=1.1), "top_p"),
    ],
)
def test_values_that_cannot_be_are_refused_before_the_first_token(error, settings, message):
    with pytest.raises(error, match=message):
        generate(**(dict(model=Fixed(np.zeros(V)), prompt_ids=[1], max_new_tokens=5) | settings))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_an_error_never_a_token(temperature):
    with pytest.raises(ValueError, match="not finite"):
        list(generate(Fixed([np.nan] * V), [1], 5, temperature=temperature))
