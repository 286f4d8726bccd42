"""`generate` of encoder-decoders: against plain loops that keep no cache, and against all texts there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generate.random_model import random_translator
from tinygrad_gpt import no_grad
from tinygrad_gpt.generate.beam import length_divisor

SOURCES = np.array([[3, 4, 5, 1, 0, 0], [7, 8, 9, 10, 11, 1], [12, 1, 0, 0, 0, 0], [5, 6, 5, 1, 0, 0]])
MASK = (SOURCES != 0).astype(np.int64)
SMALL = np.array([[3, 4, 1, 0], [2, 4, 3, 1], [2, 1, 0, 0]])  # of a vocabulary of 5


def log_probabilities(model, source, text: list[int]) -> np.ndarray:
    """(V,) of the token after the text, written so far after the start; padding is impossible."""
    with no_grad():
        logits = model(source[source != 0][np.newaxis], np.array([[0, *text]])).data[0, -1]
    logits[0] = -np.inf
    return logits - np.log(np.exp(logits).sum())


def greedy(model, source, new: int) -> list[int]:
    text = []
    while len(text) < new and 1 not in text:
        text.append(1 if len(text) == new - 1 else int(log_probabilities(model, source, text).argmax()))
    return text


def filled(texts: list[list[int]]) -> list[list[int]]:
    """Texts as `generate` returns them: after the start, filled up with padding."""
    longest = max(map(len, texts))
    return [[0, *text, *[0] * (longest - len(text))] for text in texts]


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_greedy_is_the_likeliest_token_each_time(norm, seed):
    model = random_translator(norm, seed=seed)
    expected = filled([greedy(model, source, 12) for source in SOURCES])
    assert model.generate(SOURCES, MASK, 12).tolist() == expected
    assert model.generate(SOURCES, max_length=13).tolist() == expected, "padding is guessed, the start counts"


def test_dropout_is_off_and_modes_stay():
    model = random_translator().train()
    expected = random_translator().generate(SOURCES, MASK, 12)
    assert (model.generate(SOURCES, MASK, 12) == expected).all() and model.training
    assert all(p.grad is None for p in model.parameters())


def all_texts(new: int) -> list[list[int]]:
    """Every text of tokens 1 to 4 that ends with its only 1, after `new` tokens at most."""
    longest = itertools.chain(*[itertools.product([2, 3, 4], repeat=n) for n in range(new)])
    return [[*text, 1] for text in longest]


def log_probability(model, source, text: list[int], new: int) -> float:
    """An end in the last place is certain."""
    chosen = text[: new - 1]
    return sum(log_probabilities(model, source, text[:i])[token] for i, token in enumerate(chosen))


@pytest.mark.long
@pytest.mark.parametrize("penalty", ["length", "gnmt"])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0, -1.0])
def test_with_enough_beams_the_best_of_all_texts_is_found(penalty, length_penalty):
    model, new = random_translator(vocab_size=5, seed=0, scale=0.6), 4
    how = dict(num_beams=125, penalty=penalty, length_penalty=length_penalty, early_stopping="never")
    best = []
    for source in SMALL:

        def score(text, source=source):
            length = len(text) if penalty == "length" else (5 + len(text)) / 6
            return log_probability(model, source, text, new) / length**length_penalty

        best.append(max(all_texts(new), key=score))
    assert model.generate(SMALL, None, new, **how).tolist() == filled(best)


def test_the_two_penalties_by_their_formulas():
    assert length_divisor(7, "length", 2.0) == 49.0
    assert length_divisor(7, "gnmt", 2.0) == 4.0  # ((5 + 7) / 6)²
    assert length_divisor(1, "length", 0.6) == length_divisor(1, "gnmt", 0.6) == length_divisor(9, "gnmt", 0.0) == 1.0


@pytest.mark.long
def test_the_two_penalties_choose_differently():
    found = {}
    for penalty, alpha in itertools.product(["length", "gnmt"], [0.0, 1.0]):
        texts = []
        for seed in range(6):
            model = random_translator(vocab_size=5, seed=seed, scale=0.6)
            how = dict(num_beams=4, penalty=penalty, length_penalty=alpha, early_stopping="never")
            texts.append(model.generate(SMALL, None, 9, **how).tolist())
        found[penalty, alpha] = texts
    assert found["length", 0.0] == found["gnmt", 0.0], "without α neither divides"
    assert found["length", 1.0] != found["gnmt", 1.0] != found["gnmt", 0.0]


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 3),
    n=st.integers(1, 5),
    order=st.permutations(range(4)),
    early_stopping=st.sampled_from([True, False, "never"]),
    penalty=st.sampled_from(["length", "gnmt"]),
)
def test_a_sentence_is_translated_alike_alone_and_in_any_batch(seed, n, order, early_stopping, penalty):
    model = random_translator(seed=seed)
    how = dict(max_new_tokens=10, num_beams=n, early_stopping=early_stopping, penalty=penalty)
    order = [*order, order[0]]  # one of them twice
    together = model.generate(SOURCES[order], MASK[order], **how)
    for row, text in zip(order, together.tolist(), strict=True):
        alone = model.generate(SOURCES[row : row + 1, : MASK[row].sum()], None, **how)[0].tolist()
        assert text == alone + [0] * (len(text) - len(alone))


def test_padding_may_stand_on_the_left_too():
    model = random_translator()
    left = np.array([[0] * (row == 0).sum() + row[row != 0].tolist() for row in SOURCES])
    written = model.generate(left, (left != 0).astype(int), 5)
    assert written.shape == (4, 6)  # (its positions are others, and so may the text be)


def test_what_is_said_of_special_tokens_counts():
    model = random_translator()
    free = model.generate(SOURCES, MASK, 10, eos_token_id=())
    assert free.shape[1] == 11 and (free[:, 1:] != 0).all(), "no end, and so no padding"
    ends = free[:, 4].tolist()
    ended = model.generate(SOURCES, MASK, 10, eos_token_id=ends, pad_token_id=7, decoder_start_token_id=0)
    for text, whole in zip(ended.tolist(), free.tolist(), strict=True):
        stop = next(i for i in range(1, 11) if whole[i] in ends)
        assert text == whole[: stop + 1] + [7] * (len(text) - stop - 1)
    assert set(model.generate(SOURCES, MASK, 4, eos_token_id=ends, forced_eos_token_id=9)[:, -1]) <= {9, 0, *ends}
    never = model.generate(SOURCES, MASK, 10, suppress_tokens=range(3, 13))
    assert set(never.ravel().tolist()) <= {0, 1, 2}
    unended = model.generate(SOURCES, MASK, 10, suppress_tokens=[0, 1], forced_eos_token_id=())
    assert unended.shape == (4, 11) and not np.isin(unended[:, 1:], (0, 1)).any(), "an end may be suppressed too"
    assert (model.generate(SOURCES, MASK, 0) == 0).all() and model.generate(SOURCES, MASK, 0).shape == (4, 1)


@pytest.mark.parametrize("n", [1, 3])
def test_a_forced_end_stands_in_the_last_place_and_not_before(n):
    model = random_translator(seed=0)
    forced = model.generate(SOURCES, MASK, 6, num_beams=n, eos_token_id=1)
    free = model.generate(SOURCES, MASK, 6, num_beams=n, eos_token_id=1, forced_eos_token_id=())
    assert (forced == 1).sum(axis=1).tolist() == [1] * 4
    assert (free[:, -1] > 1).any(), "some are cut short where none is forced"


def test_draws_are_by_row_and_seed():
    model = random_translator()
    how = dict(max_new_tokens=9, do_sample=True, temperature=1.2)
    first, again = (model.generate(SOURCES, MASK, seed=5, **how) for _ in range(2))
    assert (first == again).all() and (first != model.generate(SOURCES, MASK, seed=6, **how)[:, : first.shape[1]]).any()
    assert (model.generate(SOURCES[:2], MASK[:2], seed=5, **how) == first[:2]).all()
    taken = model.generate(SOURCES, MASK, 9, do_sample=True, temperature=0)
    assert (taken == model.generate(SOURCES, MASK, 9)).all()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (dict(input_ids=[[3, 99]]), IndexError, r"ids in 0 \.\. 12 in the prompt, got 99"),
        (dict(input_ids=[3, 4]), ValueError, r"input_ids of shape \(B, Ts\)"),
        (dict(input_ids=[[0.5]]), TypeError, "integer ids"),
        (dict(attention_mask=MASK[:, :2]), ValueError, r"attention_mask of shape \(4, 6\), got \(4, 2\)"),
        (dict(attention_mask=MASK * 2), ValueError, "1 .a token. and 0 .padding. only"),
        (dict(attention_mask=MASK * [[1], [0], [1], [1]]), ValueError, "row 1 is all padding"),
        (dict(max_new_tokens=41), ValueError, "at most 40 new tokens .max_position_embeddings., got 41"),
        (dict(max_new_tokens=3, max_length=4), ValueError, "got both"),
        (dict(max_new_tokens=-1), ValueError, "max_new_tokens"),
        (dict(input_ids=np.full((1, 41), 3), attention_mask=None), ValueError, "at most 40 positions"),
        (dict(eos_token_id=13), ValueError, "eos_token_id"),
        (dict(pad_token_id=[0, 3]), TypeError, r"expected an integer as pad_token_id, got \[0, 3\]"),
        (dict(decoder_start_token_id=[0, 3]), TypeError, "expected an integer as decoder_start_token_id"),
        (dict(pad_token_id=13), ValueError, "pad_token_id"),
        (dict(decoder_start_token_id=13), ValueError, "decoder_start_token_id"),
        (dict(forced_eos_token_id=-1), ValueError, "forced_eos_token_id"),
        (dict(suppress_tokens=[1.5]), TypeError, "suppress_tokens"),
        (dict(penalty="google"), ValueError, "expected penalty length or gnmt, got 'google'"),
        (dict(num_beams=2, do_sample=True), ValueError, "not both"),
        (dict(early_stopping="often"), ValueError, "early_stopping True, False or 'never'"),
        (dict(length_penalty="long"), TypeError, "length_penalty"),
    ],
)
def test_what_cannot_be_is_named(given, error, said):
    with pytest.raises(error, match=said) as raised:
        random_translator().generate(**(dict(input_ids=SOURCES, attention_mask=MASK) | given))
    assert "\n" not in str(raised.value)


def test_damaged_weights_are_named():
    model = random_translator()
    model.head.bias.data[3] = np.nan
    with pytest.raises(ValueError, match="logits are not finite"):
        model.generate(SOURCES, MASK)
