"""How an XLNet writes: the place after the text, windows and memory, prompts of different lengths."""

import numpy as np
import pytest

from tests.models.small_xlnet import IDS, B, T, V, xlnet
from tinygrad_gpt.generate import generate, generate_batch, pad_left
from tinygrad_gpt.modes import no_grad

LONG = np.random.default_rng(7).integers(0, V, (2, 23))


def asked(model, ids, memory=None) -> np.ndarray:
    """Logits (B, V) of the token after ids, told with a dummy token there that nobody sees, as transformers does it."""
    b, t = ids.shape
    with_dummy = np.concatenate([ids, np.zeros((b, 1), int)], axis=1)
    mask = np.ones((b, t + 1, t + 1), bool)
    mask[:, :, -1] = False
    query = model.read(with_dummy, memory=memory, mask=mask, targets=np.full((b, 1), t)).query
    return model.head(query[:, 0]).numpy()


def fed(model, ids, sizes) -> np.ndarray:
    """The same, of texts that are read in pieces of these sizes, with a cache."""
    cache, begin = model.new_cache(len(ids)), 0
    with no_grad():
        for size in sizes:
            logits = model.next_logits(ids[:, begin : begin + size], cache)
            begin += size
    return logits.numpy()


@pytest.mark.parametrize("kind", ["bi", "uni"])
def test_the_place_after_the_text_needs_no_dummy_token(kind):
    """L-18."""
    model = xlnet(attn_type=kind)
    for t in (1, 4, T):
        np.testing.assert_allclose(model.next_logits(IDS[:, :t]).numpy(), asked(model, IDS[:, :t]), atol=1e-12)
    memory = model.read(IDS).memory
    found = model.read(IDS[:, ::-1], memory=memory, targets=np.full((B, 1), T)).query
    np.testing.assert_allclose(model.head(found[:, 0]).numpy(), asked(model, IDS[:, ::-1], memory), atol=1e-12)


@pytest.mark.parametrize("kind", ["bi", "uni"])
@pytest.mark.parametrize("sizes", [[23], [20, 1, 1, 1], [1] * 23, [5, 9, 9]])
def test_a_cache_changes_nothing(kind, sizes):
    """L-10: of "uni" the memory is exact; of "bi" the text is read again."""
    model = xlnet(attn_type=kind)
    np.testing.assert_allclose(fed(model, LONG, sizes), asked(model, LONG), atol=1e-11)


@pytest.mark.parametrize("sizes", [[23], [20, 1, 1, 1], [1] * 23, [5, 9, 9]])
def test_a_window_that_has_grown_to_mem_len_becomes_the_memory(sizes):
    """However the text is fed, its first mem_len tokens are one segment, the next ones another."""
    m, model = 5, xlnet(mem_len=5)
    memory = None
    for begin in range(0, 20, m):
        memory = model.read(LONG[:, begin : begin + m], memory=memory).memory
    np.testing.assert_allclose(fed(model, LONG, sizes), asked(model, LONG[:, 20:], memory), atol=1e-11)
    cache = model.new_cache(2)
    model.next_logits(LONG[:, :5], cache)
    assert cache.window.shape == (2, 5) and cache.memory is None, "a full window is left when the next token comes"
    model.next_logits(LONG[:, 5:6], cache)
    assert cache.window.shape == (2, 1) and cache.memory[0].shape[1] == 5


@pytest.mark.parametrize("sizes", [[1] * 23, [8] + [1] * 15])
def test_uni_remembers_mem_len_tokens(sizes):
    """Before a piece: its own tokens see each other, as in `read`."""
    model, memory, begin = xlnet(attn_type="uni", mem_len=6), None, 0
    for size in sizes[:-1]:
        memory = model.read(LONG[:, begin : begin + size], memory=memory).memory
        begin += size
    np.testing.assert_allclose(fed(model, LONG, sizes), asked(model, LONG[:, begin:], memory), atol=1e-11)


def test_reuse_len_is_not_for_writing():
    np.testing.assert_array_equal(
        fed(xlnet(attn_type="uni", reuse_len=2), LONG, [20, 1, 1, 1]), fed(xlnet(attn_type="uni"), LONG, [20, 1, 1, 1])
    )


PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5, 3, 5]]


@pytest.mark.parametrize("settings", [dict(), dict(mem_len=4), dict(attn_type="uni"), dict(attn_type="uni", mem_len=3)])
@pytest.mark.parametrize("how", [dict(), dict(do_sample=True, seed=3), dict(num_beams=3)])
def test_padding_on_the_left_changes_nothing_that_is_written(settings, how):
    """L-18: the attention_mask counts, in the memory too. (Only the first row starts from the seed itself. With "bi"
    and a memory a padded prompt's windows end elsewhere, so that only the longest row is the same.)"""
    model = xlnet(**settings)
    ids, mask = pad_left(PROMPTS, 0)
    together = model.generate(ids, mask, max_new_tokens=9, **how)
    rows = range(len(PROMPTS)) if not how.get("do_sample") else [0]
    for row in rows:
        if settings == dict(mem_len=4) and len(PROMPTS[row]) < ids.shape[1]:
            continue
        alone = generate_batch(model, [PROMPTS[row]], max_new_tokens=9, **how)
        assert together[row, ids.shape[1] :].tolist() == alone[0, len(PROMPTS[row]) :].tolist()


def test_padded_prompts_have_the_logits_of_those_without():
    for kind in ("bi", "uni"):
        model = xlnet(attn_type=kind)
        ids, mask = pad_left(PROMPTS, 0)
        cache = model.new_cache(3)
        for step in range(3):
            found = model.next_logits(ids, cache, attention_mask=mask, position_ids=None).numpy()
            for row, prompt in enumerate(PROMPTS):
                alone = asked(model, np.array([[*prompt, *[7] * step]]))
                np.testing.assert_allclose(found[row], alone[0], atol=1e-11)
            ids, mask = np.full((3, 1), 7), np.concatenate([mask, np.ones((3, 1), int)], axis=1)


def test_a_long_text_is_written_token_by_token():
    model = xlnet(mem_len=4)
    tokens = list(generate(model, [3, 1, 4], 20, seed=5))
    assert len(tokens) == 20 and len(set(tokens)) > 3
    assert tokens == model.generate([[3, 1, 4]], max_new_tokens=20, do_sample=True, seed=5)[0, 3:].tolist()


def test_a_cache_forgets_and_selects():
    for settings in (dict(mem_len=3), dict(attn_type="uni")):
        model = xlnet(**settings)
        cache = model.new_cache(3)
        model.next_logits(IDS, cache)
        cache.select(np.array([2, 0, 0, 1]))
        found = model.next_logits(np.full((4, 1), 5), cache).numpy()
        other = model.new_cache(4)
        model.next_logits(IDS[[2, 0, 0, 1]], other)
        np.testing.assert_allclose(found, model.next_logits(np.full((4, 1), 5), other).numpy(), atol=1e-12)
        cache.clear()
        np.testing.assert_allclose(
            model.next_logits(IDS[:1].repeat(4, 0), cache).numpy()[0], fed(model, IDS[:1], [T])[0]
        )
        with pytest.raises(ValueError, match="expected ids of 4 texts, as the cache, got 3"):
            model.next_logits(IDS, cache)
