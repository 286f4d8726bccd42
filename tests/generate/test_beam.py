"""Beam search against plain searches: through all texts, and beam by beam in lists."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generate.random_model import random_model
from tinygrad_gpt.generate import pad_left

PROMPTS = [[3, 1, 4], [1, 0, 2, 4, 3, 3, 3], [2], [4, 1]]


def log_probabilities(model, text: list[int]) -> np.ndarray:
    """(V,) of the token after the text."""
    logits = model(np.array([text])).logits.data[0, -1]
    return logits - np.log(np.exp(logits).sum())


def score(model, prompt: list[int], text: tuple, length_penalty: float) -> float:
    total = sum(log_probabilities(model, [*prompt, *text[:i]])[token] for i, token in enumerate(text))
    return total / len(text) ** length_penalty


def all_texts(vocab_size: int, length: int, ends) -> list[tuple]:
    """Every text of `length` tokens, and every shorter one that ends with an end token, none going on after one."""
    texts = set()
    for text in itertools.product(range(vocab_size), repeat=length):
        end = next((i + 1 for i, token in enumerate(text) if token in ends), length)
        texts.add(text[:end])
    return sorted(texts)


@pytest.mark.long
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("ends", [[], [1], [1, 3]])
def test_with_enough_beams_the_best_of_all_texts_is_found(ends, length_penalty):
    model = random_model(vocab_size=5)
    texts = all_texts(5, 3, ends)
    ids, mask = pad_left(PROMPTS, 0)
    how = dict(num_beams=125, length_penalty=length_penalty, early_stopping="never", eos_token_id=ends, pad_token_id=0)
    written = model.generate(ids, mask, 3, **how)[:, 7:]
    best = [max(texts, key=lambda text: score(model, p, text, length_penalty)) for p in PROMPTS]
    assert written.tolist() == [[*text] + [0] * (max(map(len, best)) - len(text)) for text in best]


def plain_beam_search(model, prompt, new, n, length_penalty, early_stopping, ends) -> list[int]:
    """The search as beam.py describes it, for one prompt, in lists."""
    beams, finished = [(0.0, [])], []  # (sum, text), (score, text)
    for length in range(1, new + 1):
        candidates = []
        for total, text in beams:
            log_p = log_probabilities(model, prompt + text)
            candidates += [(total + log_p[token], [*text, token]) for token in range(len(log_p))]
        candidates = sorted(candidates, reverse=True)[: max(2, 1 + len(ends)) * n]
        has_ended = [text[-1] in ends or length == new for _, text in candidates]
        finished += [(s / length**length_penalty, t) for (s, t), e in zip(candidates[:n], has_ended, strict=False) if e]
        finished = sorted(finished, reverse=True)[:n]
        beams = [beam for beam, e in zip(candidates, has_ended, strict=True) if not e][:n]
        if len(finished) == n and beams:
            hoped_for = new if early_stopping == "never" and length_penalty > 0 else length
            if early_stopping is True or beams[0][0] / hoped_for**length_penalty <= finished[-1][0]:
                break
        if not beams:
            break
    return [int(token) for token in finished[0][1]]


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 5),
    n=st.integers(1, 6),
    new=st.integers(1, 9),
    ends=st.lists(st.integers(0, 4), max_size=3, unique=True),
    length_penalty=st.sampled_from([-1.0, 0.0, 0.6, 1.0, 2.0]),
    early_stopping=st.sampled_from([True, False, "never"]),
)
def test_a_batch_finds_what_a_plain_search_finds_for_each_prompt(seed, n, new, ends, length_penalty, early_stopping):
    model = random_model(vocab_size=5, seed=seed, scale=0.4)
    ids, mask = pad_left(PROMPTS, 0)
    how = dict(length_penalty=length_penalty, early_stopping=early_stopping)
    written = model.generate(ids, mask, new, num_beams=n, eos_token_id=ends, pad_token_id=0, **how)[:, 7:]
    if n == 1:
        expected = [greedy(model, prompt, new, ends) for prompt in PROMPTS]
    else:
        expected = [plain_beam_search(model, prompt, new, n, **how, ends=ends) for prompt in PROMPTS]
    assert written.tolist() == [text + [0] * (max(map(len, expected)) - len(text)) for text in expected]


def test_when_a_search_is_done_makes_a_difference():
    model = random_model(vocab_size=5, seed=0, scale=0.4)
    ids, mask = pad_left(PROMPTS, 0)
    found = []
    for early_stopping in (True, False, "never"):
        how = dict(length_penalty=2.0, early_stopping=early_stopping)
        written = model.generate(ids, mask, 9, num_beams=2, eos_token_id=0, pad_token_id=0, **how)[:, 7:].tolist()
        expected = [plain_beam_search(model, prompt, 9, 2, **how, ends=[0]) for prompt in PROMPTS]
        assert written == [text + [0] * (len(written[0]) - len(text)) for text in expected]
        found.append(written)
    assert found[0] != found[1] != found[2] != found[0]


def greedy(model, prompt, new, ends) -> list[int]:
    text = []
    while len(text) < new and not (text and text[-1] in ends):
        text.append(int(log_probabilities(model, prompt + text).argmax()))
    return text


def test_beams_find_a_likelier_text_than_greed():
    model = random_model(vocab_size=5)
    how = dict(max_new_tokens=12)
    taken, searched = (model.generate([PROMPTS[0]], num_beams=n, **how) for n in (1, 6))
    assert model.log_prob(searched)[0] > model.log_prob(taken)[0]
