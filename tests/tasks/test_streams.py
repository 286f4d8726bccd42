"""Streams: what a model remembers is its own stream's past, all of it, and nothing else."""

import math
from itertools import islice

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.tokens import TokenSet
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.models.transformer_xl import TransformerXL, TransformerXLConfig
from tinygrad_gpt.tasks.perplexity import evaluate, evaluate_streams, remembering, segment_losses
from tinygrad_gpt.tasks.streams import StreamConfig, Streams

V, ROWS, WINDOW = 7, 3, 5
TOKENS = np.random.default_rng(0).integers(0, V, 200).astype(np.uint16)
SHAPE = dict(d_model=8, n_layer=2, n_head=2, mem_len=8, init_std=0.5)  # wide, so that the memory matters


class Letters(CharTokenizer):
    def __init__(self):
        super().__init__("abcdefg")


def new_model(dropout=0.0, **shape):
    random_stream.manual_seed(1)
    return TransformerXL(TransformerXLConfig(V, **SHAPE | {"dropout": dropout} | shape))


def new_task(accumulate=1, tokens=TOKENS, **settings):
    config = StreamConfig(**{"corpus": "letters", "sample_tokens": 6} | settings)
    texts = TokenSet(tokens, TOKENS[:83], len(tokens), 83)
    return Streams(config, texts, Letters(), WINDOW, ROWS // accumulate, accumulate)


def losses_of(task, model, steps, parts=1):
    """The losses of these steps, each read as the trainer reads it."""
    losses = []
    for step in steps:
        cut = zip(*(np.array_split(a, parts) for a in task.batch(step)), strict=True)
        of_parts = [task.loss(model, *arrays).total.item() for arrays in cut]
        losses.append(sum(of_parts) / parts)
        task.after_step()
    return losses


def epoch(task):
    """How many steps an epoch has."""
    return next(step for step in range(1, 100) if task.batch(step)[3].all())


def arrays_in(task):
    return {name: np.array(a) for name, a in task.state().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# --- training --------------------------------------------------------------------------------------------------------


def test_a_stream_in_segments_is_one_long_text():
    """X-2: with a memory that holds all before, the losses of the segments are those of one reading."""
    task, model = new_task(), new_model(mem_len=100)
    steps = range(epoch(task))
    whole = [np.concatenate([task.batch(step)[i] for step in steps], axis=1) for i in (0, 1)]  # (B, all)
    assert np.mean(losses_of(task, model, steps)) == pytest.approx(model.loss(*whole).item(), rel=1e-6)
    assert np.mean(losses_of(task, new_model(mem_len=0), steps)) != pytest.approx(model.loss(*whole).item(), rel=1e-3)


def test_the_memory_is_that_of_the_row_and_rows_stay_in_their_streams():
    task, model = new_task(), new_model()
    losses_of(task, model, range(3))
    x, y, *_ = task.batch(3)
    memory = None
    for step in range(3):
        memory = model.read(task.batch(step)[0], memory).memory
    assert [layer.shape for layer in memory] == [(ROWS, 8, 8)] * 2
    np.testing.assert_array_equal(task.state()["memory.1"], memory[1])
    for row in range(ROWS):  # each alone, as a batch that was cut into rows
        arrays = [a[row : row + 1] for a in task.batch(3)]
        own = [layer[row : row + 1] for layer in memory]
        expected = model.loss(x[row : row + 1], y[row : row + 1], own).item()
        assert task.loss(model, *arrays).total.item() == pytest.approx(expected, rel=1e-6)


def test_parts_of_a_batch_find_the_memory_of_their_rows():
    whole, parts = new_task(), new_task(accumulate=3)
    assert_same(dict(enumerate(whole.batch(4))), dict(enumerate(parts.batch(4))))
    a, b = losses_of(whole, new_model(), range(5)), losses_of(parts, new_model(), range(5), parts=3)
    assert a == pytest.approx(b, rel=1e-6)
    for name, layer in whole.state().items():
        np.testing.assert_allclose(parts.state()[name], layer, rtol=1e-5, atol=1e-6)


def test_no_gradient_crosses_a_segment():
    """X-7: the memory is an array, and reading changes no array that was remembered."""
    task, model = new_task(), new_model()
    losses_of(task, model, range(2))
    before = arrays_in(task)
    kept = list(task.state().values())
    assert all(type(a) is np.ndarray for a in kept)
    task.loss(model, *task.batch(2)).total.backward()
    task.after_step()
    assert_same(dict(zip(before, kept, strict=True)), before)
    x, y, *_ = task.batch(2)
    again = new_model()
    again.loss(x, y, list(before.values())).backward()
    for (name, p), q in zip(model.named_parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad, err_msg=name)


def test_a_step_that_is_read_again_is_the_same_step():
    """As it is where a loss was not finite, to find out why."""
    task, model = new_task(), new_model()
    losses_of(task, model, range(2))
    first = task.loss(model, *task.batch(2)).total.item()
    assert task.loss(model, *task.batch(2)).total.item() == first
    task.after_step()
    assert task.loss(model, *task.batch(2)).total.item() != first


def test_an_epoch_begins_with_nothing():
    """X-8."""
    task, model = new_task(), new_model()
    steps = epoch(task)
    assert steps == 13
    losses = losses_of(task, model, range(steps + 2))
    fresh = new_task()
    assert losses_of(fresh, model, range(steps, steps + 2)) == losses[steps:]


@pytest.mark.parametrize("memory", [0, 3, 5, 12])
def test_it_grows_to_its_length(memory):
    task, model = new_task(), new_model(mem_len=memory)
    lengths = []
    for step in range(4):
        losses_of(task, model, [step])
        lengths.append(task.state()["memory.0"].shape[1])
    assert lengths == [min(memory, WINDOW * (step + 1)) for step in range(4)]


def test_looking_leaves_it_as_it_was():
    """X-8: an evaluation has a memory of its own, a health check and a sample none."""
    task, model = new_task(), new_model(dropout=0.1)
    losses_of(task, model, range(2))
    before = arrays_in(task)
    task.evaluate(model, last=True)
    snapshot(model, task)
    "".join(task.sample(model))
    task.after_step()
    assert_same(arrays_in(task), before)
    assert model.mem_len == 8 and model.training


def test_its_state_is_the_memory():
    task, model = new_task(), new_model()
    assert task.state() == {}
    losses_of(task, model, range(3))
    other = new_task()
    other.load_state(arrays_in(task), model, 3)
    assert losses_of(other, model, range(3, 16)) == losses_of(task, model, range(3, 16))


def test_a_state_of_another_model_or_step():
    """Each wrong in one way: rows, channels, layers, dtype, more than is remembered, and less than was read."""
    task, model = new_task(), new_model()
    task.load_state({}, model, 0)
    losses_of(task, model, range(3))
    kept = arrays_in(task)
    more = {name: np.concatenate([a, a], axis=1) for name, a in kept.items()}
    right = r"expected float32 of shape \(3, 8, 8\) as memory.0 \(B, M, C\) after step 3, got "
    for wrong, step, says in (
        ({name: a[:2] for name, a in kept.items()}, 3, right + r"float32 of shape \(2, 8, 8\)"),
        ({name: a[..., :6] for name, a in kept.items()}, 3, right + r"float32 of shape \(3, 8, 6\)"),
        ({name: a[0] for name, a in kept.items()}, 3, right + r"float32 of shape \(8, 8\)"),
        ({name: a.astype(float) for name, a in kept.items()}, 3, right + "float64 of shape"),
        (more, 3, right + r"float32 of shape \(3, 16, 8\)"),
        ({name: a[:, 1:] for name, a in kept.items()}, 3, right + r"float32 of shape \(3, 7, 8\)"),
        (kept, 1, r"expected float32 of shape \(3, 5, 8\) as memory.0 .* after step 1, got .*\(3, 8, 8\)"),
        (kept, 14, r"expected float32 of shape \(3, 5, 8\) as memory.0 .* after step 14, got"),  # of a new epoch
        ({"memory.1": kept["memory.1"]}, 3, right + "nothing"),
        ({}, 3, right + "nothing"),
        (kept | {"memory.2": kept["memory.1"]}, 3, "expected nothing as memory.2 .* after step 3, got float32"),
        (kept, 0, "expected nothing as memory.0 .* after step 0, got float32"),
    ):
        with pytest.raises(ValueError, match=says):
            new_task().load_state(wrong, model, step)


def test_a_text_too_short_for_its_streams():
    with pytest.raises(UserError, match="has 19 tokens: too few for 3 streams of it with a window of 5 each"):
        new_task(tokens=TOKENS[:19])
    new_task(tokens=TOKENS[:20])
    says = "the validation text has 5 tokens, but window 5 needs at least 6: .* or a smaller window$"
    with pytest.raises(UserError, match=says):
        Streams(StreamConfig(), TokenSet(TOKENS, TOKENS[:5], 200, 5), Letters(), WINDOW, ROWS)
    enough, model = Streams(StreamConfig(), TokenSet(TOKENS, TOKENS[:6], 200, 6), Letters(), WINDOW, ROWS), new_model()
    assert enough.evaluate(model)["val_loss"] > 0 and snapshot(model, enough)


# --- evaluation ------------------------------------------------------------------------------------------------------


def test_one_stream_is_one_long_text():
    model = new_model(mem_len=100)
    whole = model.loss(TOKENS[None, :82].astype(int), TOKENS[None, 1:83].astype(int)).item()
    for window in (3, 5, 82):  # with a last segment of 1 or 2 tokens, and as one
        score = evaluate_streams(model, TOKENS[:83], 1, window)
        assert score.tokens == 82 and score.loss == pytest.approx(whole, rel=1e-6)


def test_no_memory_is_neighbouring_blocks():
    model = new_model()
    with remembering(model, 0):
        assert evaluate_streams(model, TOKENS[:81], 1, 5).loss == pytest.approx(
            evaluate(model, TOKENS[:81], 4, block_size=5).loss, rel=1e-6
        )
    assert model.mem_len == 8
    assert evaluate_streams(model, TOKENS[:81], 1, 5).loss != pytest.approx(
        evaluate(model, TOKENS[:81], 4, block_size=5).loss, rel=1e-4
    )


def test_several_streams_are_read_side_by_side():
    model = new_model()
    losses = list(segment_losses(model, TOKENS[:64], 3, 5))
    assert [part.shape for part in losses] == [(3, 5)] * 4 + [(3, 1)]
    for row in range(3):
        alone = evaluate_streams(model, TOKENS[21 * row : 21 * row + 22], 1, 5)
        assert np.concatenate(losses, axis=1)[row].mean() == pytest.approx(alone.loss, rel=1e-6)


def test_a_limit_reads_the_beginning_of_each_stream():
    model = new_model()
    some = np.concatenate(list(segment_losses(model, TOKENS[:64], 3, 5, limit=24)), axis=1)
    assert some.shape == (3, 8)
    whole = np.concatenate(list(segment_losses(model, TOKENS[:64], 3, 5)), axis=1)
    np.testing.assert_allclose(some, whole[:, :8], rtol=1e-5)
    told = []
    evaluate_streams(model, TOKENS[:64], 3, 5, 24, lambda done, of: told.append((done, of)))
    assert told == [(15, 24), (24, 24)]


def test_a_short_text_has_fewer_streams():
    model = new_model()
    assert [part.shape for part in segment_losses(model, TOKENS[:9], 3, 5)] == [(1, 5), (1, 3)]
    with pytest.raises(UserError, match=r"^the text has 1 token: nothing follows it: use a longer text$"):
        evaluate_streams(model, TOKENS[:1], 3, 5)


def test_how_much_is_remembered_is_put_back():
    model = new_model(clamp_len=6)
    with pytest.raises(ZeroDivisionError), remembering(model, 40, 12):
        assert (model.mem_len, model.clamp_len) == (40, 12)
        raise ZeroDivisionError
    assert (model.mem_len, model.clamp_len) == (8, 6)
    losses = segment_losses(model, TOKENS, 1, 5)
    list(islice(losses, 2))  # and not to the end
    assert model.training


def test_an_evaluation_in_bits_per_character_says_how_it_reads():
    model = new_model()
    scores = new_task().evaluate(model, last=True)
    assert list(scores) == ["val_loss", "bits_per_character"]
    assert scores["bits_per_character"] == pytest.approx(scores["val_loss"] / math.log(2))
    assert new_task().facts(model)["evaluated"] == {"window": 5, "memory": 8, "clamp": -1}
    other = new_task(eval_window=3, eval_memory=20)
    assert other.facts(model)["evaluated"] == {"window": 3, "memory": 20, "clamp": -1}
    with remembering(model, 20):
        assert other.evaluate(model, last=True)["val_loss"] == evaluate_streams(model, TOKENS[:83], 3, 3).loss
    assert other.evaluate(model)["val_loss"] != scores["val_loss"]


def test_what_it_says():
    assert new_task().data() == "200 tokens of letters (83 to validate) in 3 streams of 65"
    assert new_task().settings()["window"] == 64, "the setting; the trainer's window is its own"
