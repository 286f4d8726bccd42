"""The task of XLNet's pre-training: what its loss looks at, how it is evaluated, and what it tells."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data import open_corpus
from tinygrad_gpt.data.permutations import Batch
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.permutation_lm import PermutationLM, PermutationLMConfig

LENGTH = 24
TEXT = "".join(
    f"the {animal} number {n} sees the {colour} sea.\n"
    for animal in ("fox", "dog", "cat", "owl", "hen", "bee", "cow", "pig")
    for n, colour in enumerate(["red", "blue"] * 6)
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "animals.txt"
    path.write_text(TEXT, encoding="utf-8")
    return open_corpus(path)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return XLNetTokenizer.train(corpus, 60)


@pytest.fixture
def task(corpus, tokenizer):
    def make(rows=6, accumulate=1, seed=1, **given):
        config = PermutationLMConfig(**{"block_size": LENGTH, "target_share": 0.25} | given)
        return PermutationLM(config, corpus, tokenizer, rows, accumulate, seed)

    return make


@pytest.fixture
def model(tokenizer):
    random_stream.manual_seed(3)
    shape = dict(d_model=16, n_layer=2, n_head=2, d_inner=32, dropout=0.0, initializer_range=0.3)
    return XLNetLMHeadModel(XLNetConfig(tokenizer.vocab_size, **shape))


def by_hand(model, batch):
    """The losses of all targets (B, N), from transformers' arguments: a map of targets, and who may not see whom."""
    mapping = np.eye(LENGTH)[batch.targets]  # (B, N, T)
    with model.evaluating(), no_grad():
        out = model(
            batch.input_ids, perm_mask=~batch.may_see, target_mapping=mapping, token_type_ids=batch.token_type_ids
        )
        log_p = F.log_softmax(out.logits).data
    return -np.take_along_axis(log_p, batch.labels[..., np.newaxis], axis=-1)[..., 0]


def test_the_loss_is_the_mean_over_the_targets_of_the_query_stream(task, model):
    batch = task().batch(0)
    assert batch.labels.shape == (6, 6)
    loss, parts, _ = task().loss(model, *batch)
    assert loss.item() == pytest.approx(by_hand(model, batch).mean(), rel=1e-5) and not parts


def test_perm_mask_is_not_transposed(task, model):
    """Rows may see columns; the other way round trains as well, and is another model."""
    batch = task().batch(0)
    transposed = batch._replace(may_see=np.swapaxes(batch.may_see, 1, 2))
    assert by_hand(model, transposed).mean() != pytest.approx(by_hand(model, batch).mean(), rel=1e-3)


def test_no_answer_depends_on_its_own_token_nor_on_those_told_later(task, model):
    """Another token at the place of a target changes only the answers after it in the order."""
    arrays = task(rows=4).batch(0)
    batch, changed = Batch(*arrays), arrays[0].copy()
    told = batch.targets[:, 2]
    changed[np.arange(4), told] = (changed[np.arange(4), told] + 1) % 9 + 9
    before, after = (
        task().answers(model, *batch._replace(input_ids=ids))[0].data for ids in (batch.input_ids, changed)
    )
    moved = (before != after).any(axis=-1)  # (B, N)
    sees = np.take_along_axis(batch.may_see, batch.targets[..., np.newaxis], axis=1)  # (B, N, T)
    assert not moved[:, 2].any()
    np.testing.assert_array_equal(moved, sees[np.arange(4), :, told])
    assert moved.any()


def test_batches_depend_on_seed_and_step_alone(task):
    first, again = task().batch(5), task()
    again.batch(0)
    for a, b in zip(first, again.batch(5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (task().batch(6)[0] != first[0]).any() and (task(seed=2).batch(5)[0] != first[0]).any()


def test_parts_of_a_step_are_the_whole_in_pieces(task, model):
    whole, parts = task(rows=6).batch(3), task(rows=2, accumulate=3).batch(3)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    losses = [task().loss(model, *(a[i : i + 2] for a in whole)).total.item() for i in (0, 2, 4)]
    assert np.mean(losses) == pytest.approx(task().loss(model, *whole).total.item(), rel=1e-6)


def test_an_evaluation_reads_the_same_sequences_each_time_whatever_the_batches(task, model):
    one, other = task(rows=6), task(rows=4, seed=9)
    assert one.held_out_sequences == len(one.held_out.tokens) // LENGTH >= 3
    last = one.evaluate(model, last=True)
    assert list(last) == list(one.metrics) == ["val_loss", "accuracy"]
    assert other.evaluate(model, last=True) == pytest.approx(last, rel=1e-6)
    batch = one._held_out_batch(0, one.held_out_sequences)
    assert len(batch.labels) == one.held_out_sequences
    assert last["val_loss"] == pytest.approx(by_hand(model, batch).mean(), rel=1e-5)
    logits, labels = one.answers(model, *batch)
    assert last["accuracy"] == pytest.approx(np.mean(logits.data.argmax(-1) == labels))
    some = task(rows=6, eval_tokens=2 * LENGTH)
    two = by_hand(model, some._held_out_batch(0, 2))
    assert some.evaluate(model)["val_loss"] == pytest.approx(two.mean(), rel=1e-5)


def test_dropout_is_off_in_an_evaluation(task, tokenizer):
    random_stream.manual_seed(3)
    model = XLNetLMHeadModel(XLNetConfig(tokenizer.vocab_size, d_model=16, n_layer=1, n_head=2, d_inner=8, dropout=0.5))
    model.train()
    assert task().evaluate(model) == task().evaluate(model) and model.training


def test_a_guess_counts_tokens(task, model):
    step = task()
    facts = step.facts(model)
    assert facts == {"choices": model.config.vocab_size} | text_facts(step.train.tokens)
    assert step.guesses() == {"val_loss": facts["unigram_entropy"], "accuracy": facts["commonest_share"]}
    assert 0 < facts["commonest_share"] < 1 < facts["unigram_entropy"] < np.log(facts["choices"])


def test_a_sample_shows_gaps_and_what_is_put_there(task, model, tokenizer):
    said = "".join(task().sample(model))
    text, gaps, empty, *_ = said.split("\n")
    assert text.count("___") == 6 and gaps.startswith("  gaps: ") and not empty
    assert said == "".join(task().sample(model))
    batch = task()._held_out_batch(0, 1)
    for label in batch.labels[0]:
        assert tokenizer.decode([label]) in gaps


def test_a_health_check_looks_at_it(task, model):
    step = task()
    step.loss(model, *step.batch(0)).total.backward()
    seen = snapshot(model, step)
    assert 0 < seen["prediction_share"] <= 1 and not seen["double_softmax"] and "sees_future" not in seen


def test_what_it_says_of_its_data(task):
    said = task().data()
    assert said.endswith(f"tokens of sentences ({len(task().held_out.tokens)} to validate), 6 of 24 to predict")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"block_size": 9}, "block_size should be at least 10, not 9"),
        ({"target_share": 0.5}, r"target_share should be less than 0\.5, not 0\.5"),
        ({"block_size": 200}, r"the validation text has \d+ tokens, and a sequence of 200 needs 197"),
    ],
)
def test_settings_that_cannot_be(task, given, says):
    with pytest.raises(UserError, match=says):
        task(**given)


@pytest.mark.parametrize("length", [10, 11, 12, 13, 64])
def test_every_length_and_share_leaves_context(task, length):
    """Of an odd length, too."""
    for share in (0.01, 0.49):
        batch = task(block_size=length, target_share=share).batch(0)
        assert batch.may_see.any(axis=-1).all() and batch.input_ids.shape == (6, length)
