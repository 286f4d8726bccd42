"""MarianMTModel.generate writes the tokens that transformers writes: greedy and with beams, for sources of unequal
lengths, ends set, ends forced, padding forbidden or not.

Both compute in float64, so that no two tokens are so near to each other that rounding decides. (transformers adds up
beams' scores in float32; the weights are such that this is exact enough.)
"""

import itertools

import numpy as np
import pytest

from tinygrad_gpt.models import MarianMTModel

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.their_models import MARIAN_SHAPE, their_marian  # noqa: E402 (which imports both)

pytestmark = pytest.mark.reference

V, PAD = MARIAN_SHAPE["vocab_size"], MARIAN_SHAPE["pad_token_id"]
NEW = 64
LENGTHS = (3, 17, 1, 9, 6)
AS_PUBLISHED = dict(suppress_tokens=[PAD], renormalize_logits=True)  # what our defaults mean there


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple:
    """The same model here and there. Attention is sharp, and the bias on the logits takes away what they have in
    common at all places, since else a random model repeats one token for ever."""
    theirs = their_marian(dict(max_position_embeddings=NEW, activation_function="swish"))
    ids, mask = sources()
    last = f"model.decoder.layers.{theirs.config.decoder_layers - 1}.final_layer_norm.weight"
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            by = {"model.shared.weight": 0.6, last: 2.0}.get(name, 0.1 if name.endswith("bias") else 1.0)
            p.mul_(4.0 if p.ndim == 2 and ("q_proj" in name or "k_proj" in name) else by)
        theirs.final_logits_bias.zero_()
        target = torch.from_numpy(np.random.default_rng(0).integers(0, PAD, (len(ids), NEW)))
        logits = theirs(torch.from_numpy(ids), torch.from_numpy(mask), decoder_input_ids=target).logits
        theirs.final_logits_bias -= logits.mean((0, 1))
    folder = tmp_path_factory.mktemp("marian")
    theirs.save_pretrained(folder)
    return MarianMTModel.from_pretrained(folder, dtype=np.float64), theirs


def sources(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, np.newaxis]).astype(np.int64)
    return np.where(mask == 1, rng.integers(1, PAD, mask.shape), PAD), mask


def now_and_then(ours) -> list[int]:
    """Tokens that are written, not too rarely and not all the time."""
    written = ours.generate(*sources(), NEW, eos_token_id=())[:, 1:]
    tokens, counts = np.unique(written, return_counts=True)
    assert len(tokens) >= 8, "a model that repeats itself would prove nothing"
    return tokens[np.argsort(counts, kind="stable")][len(tokens) // 2 :].tolist()


def assert_same_tokens(ours, theirs, how: dict, for_theirs: dict | None = None, ids=None, mask=None) -> np.ndarray:
    ids, mask = sources() if ids is None else (ids, mask)
    written = ours.generate(ids, mask, **how)
    mask = None if mask is None else torch.from_numpy(mask)
    for_theirs = how | (AS_PUBLISHED if for_theirs is None else for_theirs)
    expected = theirs.generate(torch.from_numpy(ids), attention_mask=mask, do_sample=False, **for_theirs)
    assert written.tolist() == expected.tolist(), how
    return written


@pytest.mark.parametrize("count", [1, 3])
def test_greedy(both, count):
    ends = now_and_then(both[0])[:count]
    how = dict(max_new_tokens=NEW, eos_token_id=ends, forced_eos_token_id=ends[0])
    written = assert_same_tokens(*both, how)
    assert len({tuple(row).index(PAD, 1) if PAD in row[1:] else NEW for row in written.tolist()}) > 1, (
        "all end together"
    )


PENALTIES = itertools.product([0.0, 0.6, 1.0, 2.0], [True, False, "never"])


@pytest.mark.parametrize(
    ("n", "length_penalty", "early_stopping"), [(n, *how) for n, how in zip(itertools.cycle([2, 4, 5]), PENALTIES)]
)
def test_beams(both, n, length_penalty, early_stopping):
    ends = now_and_then(both[0])
    ends = ends[: 1 + n % 2]
    how = dict(num_beams=n, length_penalty=length_penalty, early_stopping=early_stopping)
    assert_same_tokens(*both, how | dict(max_new_tokens=NEW, eos_token_id=ends, forced_eos_token_id=ends[0]))


def test_with_nothing_said_the_tokens_are_those_of_the_files(both):
    written = assert_same_tokens(*both, {})
    assert written.shape[1] == 21 and (written[:, 0] == PAD).all(), "as many new tokens as there, after the start"
    assert_same_tokens(*both, dict(num_beams=3))


@pytest.mark.parametrize("n", [1, 4])
def test_max_length_counts_the_start(both, n):
    written = assert_same_tokens(*both, dict(max_length=9, num_beams=n))
    assert written.shape[1] == 9


@pytest.mark.parametrize("n", [1, 4])
def test_no_end_is_forced_and_padding_may_come_if_one_says_so(both, n, monkeypatch):
    how = dict(max_new_tokens=12, num_beams=n)
    ours, theirs = both
    forced = ours.generate(*sources(), **how)
    free = ours.generate(*sources(), **how, forced_eos_token_id=(), suppress_tokens=())
    assert forced.tolist() != free.tolist()
    monkeypatch.setattr(theirs.generation_config, "forced_eos_token_id", None)
    tensors = [torch.from_numpy(x) for x in sources()]
    expected = theirs.generate(tensors[0], attention_mask=tensors[1], **how)
    assert free.tolist() == expected.tolist()


def test_padding_is_impossible_before_the_softmax(both):
    """T-3: where padding is likely, beams differ from those of a search that only passes it over."""
    ours, theirs = both
    kept = ours.final_logits_bias.data.copy()
    try:
        ours.final_logits_bias.data[0, PAD] += 12.0
        theirs.final_logits_bias[0, PAD] += 12.0
        how = dict(num_beams=4, max_new_tokens=24)
        written = assert_same_tokens(*both, how)
        after = theirs.generate(
            *[torch.from_numpy(x) for x in sources()[:1]],
            attention_mask=torch.from_numpy(sources()[1]),
            suppress_tokens=[PAD],
            **how,
        )
        assert written.tolist() != after.tolist()
    finally:
        theirs.final_logits_bias[0, PAD] -= 12.0
        ours.final_logits_bias.data[...] = kept


def test_padding_is_guessed_unless_its_token_is_an_end(both):
    """transformers guesses it for decoders alone, and otherwise reads padding as if it were text."""
    ids, mask = sources()
    with_mask = assert_same_tokens(*both, dict(max_new_tokens=9))
    assert both[0].generate(ids, max_new_tokens=9).tolist() == with_mask.tolist()
    assert both[0].generate(ids, np.ones_like(mask), max_new_tokens=9).tolist() != with_mask.tolist()
    assert_same_tokens(*both, dict(max_new_tokens=9, eos_token_id=[5, PAD], forced_eos_token_id=5), ids=ids, mask=None)


def test_another_start(both):
    assert_same_tokens(*both, dict(max_new_tokens=9, decoder_start_token_id=3, num_beams=2))
