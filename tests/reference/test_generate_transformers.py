"""`generate` writes the tokens that transformers writes: greedy and with beams, prompts padded on the left, ends set.

Both compute in float64, so that no two tokens are so near to each other that rounding decides. (transformers adds up
beams' scores in float32; the weights are such that this is exact enough.)

GPT-1 in transformers keeps no keys and values, but runs the whole text again for each token; positions and mask are
those of GPT-2. So the cache here is compared with doing without one.
"""

import numpy as np
import pytest

from tinygrad_gpt.generate import pad_left
from tinygrad_gpt.models import CausalLM

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.their_models import FAMILIES, their_model  # noqa: E402 (which imports both)

pytestmark = pytest.mark.reference

V, NEW = 31, 64
CASES = [
    ("gpt2", dict(tie_word_embeddings=False)),
    ("gpt2", dict(n_inner=7, activation_function="relu", scale_attn_by_inverse_layer_idx=True)),
    ("openai-gpt", dict(tie_word_embeddings=False)),
]
families = pytest.mark.parametrize("family", FAMILIES)
cases = pytest.mark.parametrize(("family", "settings"), CASES, ids=["gpt2 untied", "gpt2 tied", "openai-gpt"])
# `ends`: how many end tokens, of those that the model writes now and then
HOWS = [
    dict(ends=0),
    dict(ends=1, pad_token_id=7),
    dict(ends=3),
    dict(ends=0, num_beams=4),
    dict(ends=1, num_beams=4, pad_token_id=7),
    dict(ends=3, num_beams=4, length_penalty=0.3),
    dict(ends=1, num_beams=3, early_stopping=True),
    dict(ends=1, num_beams=3, early_stopping="never", length_penalty=2.0),
    dict(ends=2, num_beams=2, early_stopping="never", length_penalty=-0.5),
]


def both(tmp_path, family: str, settings: dict) -> tuple:
    """The same model here and there, in float64; small biases, since those of the last norm favour the same tokens."""
    theirs = their_model(family, dict(vocab_size=V, n_positions=90) | settings)
    for name, p in theirs.named_parameters():
        if name.endswith("bias"):
            p.data *= 0.1
    theirs.save_pretrained(tmp_path)
    return CausalLM.from_pretrained(tmp_path, dtype=np.float64), theirs


def now_and_then(ours, ids, mask) -> list[int]:
    """Tokens that are written after the prompts, not too rarely and not all the time."""
    written = ours.generate(ids, mask, NEW)[:, ids.shape[1] :]
    tokens, counts = np.unique(written, return_counts=True)
    assert len(tokens) >= 5, "a model that repeats itself would prove nothing"
    return tokens[np.argsort(counts, kind="stable")][len(tokens) // 2 - 1 :].tolist()


def prompts(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return pad_left([rng.integers(1, V - 1, n).tolist() for n in (3, 17, 1, 9)], 0)


def assert_same_tokens(ours, theirs, ids, mask) -> None:
    ends = now_and_then(ours, ids, mask)
    lengths = set()
    for how in HOWS:
        how = dict(how, eos_token_id=ends[: how["ends"]] or None, max_new_tokens=NEW)
        del how["ends"]
        written = ours.generate(ids, attention_mask=mask, **how)
        tensors = torch.from_numpy(ids), torch.from_numpy(mask)
        expected = theirs.generate(tensors[0], attention_mask=tensors[1], do_sample=False, **how)
        assert written.tolist() == expected.tolist(), how
        lengths.add(written.shape[1])
    assert len(lengths) > 1, "no text ended early"


@cases
def test_a_batch_of_prompts_of_different_lengths(tmp_path, family, settings):
    assert_same_tokens(*both(tmp_path, family, settings), *prompts())


@families
def test_one_prompt(tmp_path, family):
    ids, mask = prompts()
    assert_same_tokens(*both(tmp_path, family, dict(tie_word_embeddings=False)), ids[1:2], mask[1:2])


@families
def test_padding_is_guessed_from_the_padding_token_as_there(tmp_path, family):
    ours, theirs = both(tmp_path, family, {})
    ids, mask = prompts()
    ids = np.where(mask == 1, ids, 30)
    for how in (dict(pad_token_id=30), dict(pad_token_id=30, eos_token_id=5)):
        expected = theirs.generate(torch.from_numpy(ids), max_new_tokens=9, do_sample=False, **how)
        assert ours.generate(ids, max_new_tokens=9, **how).tolist() == expected.tolist()


@families
def test_the_score_of_a_text_is_its_log_probability_by_its_length(tmp_path, family):
    ours, theirs = both(tmp_path, family, {})
    ids, mask = prompts()
    tensors = dict(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
    how = dict(max_new_tokens=9, num_beams=4)
    result = theirs.generate(**tensors, **how, do_sample=False, output_scores=True, return_dict_in_generate=True)
    texts = ours.generate(ids, mask, **how)
    assert texts.tolist() == result.sequences.tolist()
    log_p = ours.log_prob(texts, np.pad(mask, ((0, 0), (0, 9)), constant_values=1)) - ours.log_prob(ids, mask)
    np.testing.assert_allclose(log_p / 9, result.sequences_scores.numpy(), rtol=1e-5)
