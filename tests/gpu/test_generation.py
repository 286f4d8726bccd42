"""Generation on the GPU writes the CPU's tokens: one by one, in batches, in beams, drawn or not."""

import numpy as np
import pytest

from tests.generate.random_model import random_model
from tests.gpu.on_gpu import to_gpu
from tinygrad_gpt import array
from tinygrad_gpt.generate import generate, pad_left

PROMPT = [3, 1, 4, 1, 5]
PROMPTS, MASK = pad_left([[3, 1, 4], [1], [5, 9, 2, 6, 5]], pad_id=0)


@pytest.fixture(params=["pre", "post"])
def models(request):
    """(one on the GPU, the same on the CPU)"""
    return random_model(request.param).to("cuda"), random_model(request.param)


def both(models, write):
    on_gpu, on_cpu = (write(model) for model in models)
    np.testing.assert_array_equal(on_gpu, on_cpu)
    assert isinstance(on_gpu, np.ndarray | list)
    return on_gpu


@pytest.mark.parametrize("tokens", [20, 70])  # the second goes past the model's positions
def test_one_token_after_the_other(models, tokens):
    written = both(models, lambda model: list(generate(model, PROMPT, tokens, temperature=0)))
    assert len(written) == tokens and len(set(written)) > 1


def test_the_cache_changes_nothing(models):
    model = models[0]
    text = list(PROMPT)
    for token in generate(model, PROMPT, 20, temperature=0):
        logits = array.to_numpy(model.next_logits(np.array([text])).data)
        assert token == logits.argmax()
        text.append(token)


@pytest.mark.parametrize("how", [{}, {"top_k": 4}, {"top_p": 0.8, "temperature": 1.3}], ids=str)
def test_draws_with_one_seed(models, how):
    drawn = both(models, lambda model: list(generate(model, PROMPT, 30, seed=7, **how)))
    assert drawn != both(models, lambda model: list(generate(model, PROMPT, 30, seed=8, **how)))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"do_sample": True, "seed": 3},
        {"eos_token_id": 7, "pad_token_id": 0},
        {"num_beams": 3},
        {"num_beams": 4, "eos_token_id": [7, 2], "length_penalty": 0.5},
        {"num_beams": 2, "eos_token_id": 7, "early_stopping": True},
    ],
    ids=str,
)
def test_batches(models, how):
    both(models, lambda model: model.generate(PROMPTS, MASK, max_new_tokens=20, **how))
    both(models, lambda model: model.generate(PROMPTS[:, -1:], max_new_tokens=10, **how))


def test_prompts_from_the_gpu(models):
    right = both(models, lambda model: model.generate(PROMPTS, MASK, max_new_tokens=5))
    np.testing.assert_array_equal(models[0].generate(to_gpu(PROMPTS), to_gpu(MASK), max_new_tokens=5), right)
