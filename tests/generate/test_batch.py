"""A batch of prompts: each is written on as if it were alone; ends, padding, draws, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_gpt as tg
from tests.generate.random_model import random_model
from tests.strict_array import StrictArray
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.generate import generate, generate_batch, pad_left, token_probabilities

V = 13
PROMPTS = [[3, 1, 4], [1, 5, 9, 2, 6, 5, 3], [5], [8, 9]]


@pytest.fixture(params=["pre", "post"])
def model(request):
    return random_model(request.param)


def without_cache(model, prompt: list[int], n: int, ends=()) -> list[int]:
    """Greedy generation of one prompt that runs the whole text through the model for every token."""
    text = list(prompt)
    for _ in range(n):
        text.append(int(model(np.array([text])).logits.data[0, -1].argmax()))
        if text[-1] in ends:
            break
    return text[len(prompt) :]


def padded(texts: list[list[int]], pad: int) -> list[list[int]]:
    return [text + [pad] * (max(map(len, texts)) - len(text)) for text in texts]


# --- each as if alone --------------------------------------------------------------------------------------------


def test_each_prompt_of_a_batch_is_written_on_as_if_it_were_alone(model):
    ids, mask = pad_left(PROMPTS, 0)
    written = model.generate(ids, attention_mask=mask, max_new_tokens=30)
    assert written.dtype == np.int64 and written.shape == (4, 7 + 30)
    assert (written[:, :7] == ids).all()
    expected = [without_cache(model, prompt, 30) for prompt in PROMPTS]
    assert written[:, 7:].tolist() == expected
    assert len({token for text in expected for token in text}) > 4, "a model that repeats itself would prove nothing"


def test_what_stands_under_the_mask_changes_nothing(model):
    ids, mask = pad_left(PROMPTS, 0)
    others = np.where(mask == 1, ids, np.random.default_rng(1).integers(0, V, ids.shape))
    for how in (dict(), dict(num_beams=3), dict(do_sample=True, seed=1)):
        first = model.generate(ids, mask, **how)[:, 7:]
        assert (model.generate(others, mask == 1, **how)[:, 7:] == first).all()
        wide = [np.pad(x, ((0, 0), (60, 0))) for x in (ids, mask)]  # more than there are positions
        assert (model.generate(*wide, **how)[:, 67:] == first).all()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=9), min_size=1, max_size=5),
    st.lists(st.integers(0, V - 1), max_size=3),
    st.integers(1, 12),
)
def test_texts_end_at_an_end_token_and_the_batch_with_the_last_of_them(prompts, ends, n):
    model = random_model()
    ids, mask = pad_left(prompts, 0)
    written = model.generate(ids, mask, n, eos_token_id=ends, pad_token_id=11)[:, ids.shape[1] :]
    assert written.tolist() == padded([without_cache(model, prompt, n, ends) for prompt in prompts], 11)


@pytest.mark.long
def test_padding_after_the_end_is_the_first_end_token_unless_it_is_given(model):
    ids, mask = pad_left(PROMPTS, 0)
    texts = {end: [without_cache(model, prompt, 20, [end]) for prompt in PROMPTS] for end in range(V)}
    end = next(end for end in range(V) if len({len(text) for text in texts[end]}) > 1)
    assert model.generate(ids, mask, 20, eos_token_id=end)[:, 7:].tolist() == padded(texts[end], end)
    written = model.generate(ids, mask, 20, eos_token_id=end, pad_token_id=0)
    assert written[:, 7:].tolist() == padded(texts[end], 0)
    never = next(token for token in range(V) if not any(token in text for text in texts[end]))
    written = model.generate(ids, mask, 20, eos_token_id=[never, end])
    assert written[:, 7:].tolist() == padded(texts[end], never), "the first of several"


def test_a_text_that_has_ended_costs_nothing_more(model, monkeypatch):
    ids, mask = pad_left(PROMPTS, 0)
    end = without_cache(model, PROMPTS[1], 1)[0]
    asked = []
    next_logits = model.next_logits
    monkeypatch.setattr(model, "next_logits", lambda ids, *a, **k: asked.append(ids.shape) or next_logits(ids, *a, **k))
    lengths = [len(without_cache(model, prompt, 9, [end])) for prompt in PROMPTS]
    written = model.generate(ids, mask, 9, eos_token_id=end)
    assert lengths[1] == 1 and written.shape[1] == 7 + max(lengths)
    assert asked == [(4, 7)] + [(sum(n > t for n in lengths), 1) for t in range(1, max(lengths))]


def test_a_padded_prompt_gets_the_padding_token_as_its_mask(model):
    ids, mask = pad_left(PROMPTS, 12)
    with_mask = model.generate(ids, mask, pad_token_id=12)
    assert (model.generate(ids, pad_token_id=12) == with_mask).all()
    assert (model.generate(ids) != with_mask).any() and (model.generate(ids, eos_token_id=12) != with_mask).any()


def test_it_takes_lists_tensors_and_any_integers(model):
    expected = model.generate(np.array([[1, 2, 3]]))
    for ids in ([[1, 2, 3]], Tensor(np.array([[1, 2, 3]])), np.array([[1, 2, 3]], np.uint8)):
        written = model.generate(ids, [[1, 1, 1]])
        assert (written == expected).all() and written.dtype == np.int64
    assert model.generate([[1, 2, 3]], max_new_tokens=0).tolist() == [[1, 2, 3]]


# --- how many ----------------------------------------------------------------------------------------------------


def test_all_positions_can_be_used_and_not_one_more(model):
    ids, mask = pad_left([[1] * 4, [2] * 10], 0)
    assert model.generate(ids, mask, 31).shape == (2, 41), "40 are read, and the last token is only written"
    with pytest.raises(ValueError, match=r"at most 40 positions \(block_size\), got 41 for a prompt of 10 and 32"):
        model.generate(ids, mask, 32)
    with pytest.raises(ValueError, match="at most 40 positions"):
        model.generate(ids, mask, 32, num_beams=2)


# --- draws -------------------------------------------------------------------------------------------------------


def test_a_row_draws_the_same_whatever_stands_beside_it(model):
    ids, mask = pad_left(PROMPTS, 0)
    how = dict(do_sample=True, temperature=0.9, top_k=9, top_p=0.95)
    written = model.generate(ids, mask, 20, **how, seed=5)[:, 7:]
    assert (model.generate(ids, mask, 20, **how, seed=5)[:, 7:] == written).all()
    assert (model.generate(ids, mask, 20, **how, seed=6)[:, 7:] != written).any()
    assert (model.generate(ids[:2], mask[:2], 20, **how, seed=5)[:, 7:] == written[:2]).all()
    streamed = list(generate(model, PROMPTS[0], 20, temperature=0.9, top_k=9, top_p=0.95, seed=5))
    assert written[0].tolist() == streamed, "row 0 draws as one sequence does"
    same = model.generate([PROMPTS[0]] * 3, max_new_tokens=20, **how, seed=5)
    assert len({tuple(row) for row in same.tolist()}) == 3, "each row draws for itself"


def test_without_a_seed_the_packages_stream_decides(model):
    tg.manual_seed(1)
    first, second = (model.generate([[1, 2]], do_sample=True).tolist() for _ in range(2))
    tg.manual_seed(1)
    assert model.generate([[1, 2]], do_sample=True).tolist() == first != second


@pytest.mark.long
@pytest.mark.parametrize("how", [dict(), dict(top_k=3), dict(top_p=0.6), dict(temperature=2.0, top_k=6, top_p=0.9)])
def test_tokens_come_as_often_as_their_probabilities_say(how):
    """Pearson's chi-square of two tokens in a row, drawn by many rows at once."""
    model = random_model(vocab_size=7, scale=0.3)  # so that several tokens are likely
    n = 6000
    drawn = model.generate([[1, 2]] * n, max_new_tokens=2, do_sample=True, seed=3, **how)[:, 2:]
    first = token_probabilities(model.next_logits([[1, 2]]).data[0], **how)
    second = [token_probabilities(model.next_logits([[1, 2, a]]).data[0], **how) for a in range(7)]
    expected = (n * first[:, np.newaxis] * second).ravel()
    counts = np.bincount(drawn[:, 0] * 7 + drawn[:, 1], minlength=49)
    assert (counts[expected == 0] == 0).all()
    often = expected > 5
    assert often.sum() >= 4
    chi_square = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert chi_square < often.sum() + 5 * np.sqrt(2 * often.sum()), "5 standard deviations above its mean"


# --- modes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [dict(), dict(do_sample=True, seed=1), dict(num_beams=3)])
def test_dropout_is_off_inside_and_all_modes_are_as_before(model, how, monkeypatch):
    expected = model.generate(PROMPTS[:1], **how)
    model.train()
    model.blocks[0].eval()
    assert (model.generate(PROMPTS[:1], **how) == expected).all()
    assert model.training and model.blocks[1].dropout.training and not model.blocks[0].dropout.training

    def interrupted(*args, **settings):
        assert not model.dropout.training
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "next_logits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.generate(PROMPTS[:1], **how)
    assert model.training and not model.blocks[0].training
    assert (Tensor(np.ones(1), requires_grad=True) * 2.0).requires_grad


def test_a_model_elsewhere_writes_the_same(model):
    """Its weights are arrays that refuse to become NumPy's by themselves."""
    ids, mask = pad_left(PROMPTS, 0)
    hows = (dict(), dict(num_beams=3, eos_token_id=4), dict(do_sample=True, seed=1))
    expected = [model.generate(ids, mask, 6, **how) for how in hows]
    for p in model.parameters():
        p.data = StrictArray(p.data)
    for how, written in zip(hows, expected, strict=True):
        assert (model.generate(ids, mask, 6, **how) == written).all()


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(max_new_tokens=-1), "max_new_tokens"),
        (dict(temperature=-1.0), "temperature"),
        (dict(top_k=0), "top_k"),
        (dict(top_p=1.5), "top_p"),
        (dict(num_beams=0), "num_beams"),
        (dict(num_beams=2, early_stopping="always"), "early_stopping"),
        (dict(num_beams=2, do_sample=True), "not both"),
        (dict(attention_mask=[[1, 0]]), "pad_left"),
    ],
)
def test_values_that_cannot_be_are_refused(how, message):
    with pytest.raises(ValueError, match=message):
        generate_batch(random_model(), **(dict(input_ids=[[1, 2]]) | how))


@pytest.mark.parametrize("how", [dict(), dict(num_beams=2), dict(do_sample=True)])
def test_logits_that_are_not_finite_are_an_error_never_a_token(how):
    model = random_model()
    model.head.weight.data[...] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        model.generate([[1, 2]], **how)
