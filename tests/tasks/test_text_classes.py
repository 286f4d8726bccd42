"""Classes as a task, with a GPT: what each step reads, what it costs, how it is measured; and the model before it."""

import math

import numpy as np
import pytest

from tests.tasks.conftest import LETTERS
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPTConfig
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig, scores_of
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.tasks.text_classes import TextClasses

SHAPE = GPTConfig(len(LETTERS), block_size=16)


@pytest.fixture
def make(data, tokenizer):
    """A task with batches of 8; `make(lm_weight=0)` changes some settings."""

    def make(lm_weight=0.5, **given):
        family = GPT1Family(tokenizer, SHAPE)
        return TextClasses(FineTuneConfig(lm_weight=lm_weight), data, family, **(dict(rows=8) | given))

    return make


def new_classifier(body, pretrained=True, dropout=0.1):
    return GPT1Family(CharTokenizer(LETTERS), body.config, dropout).first_model(body, "classes", 2, pretrained, seed=1)


@pytest.fixture
def task(make):
    return make()


def orders(task, epoch):
    """The numbers of the texts that each step of an epoch reads."""
    return task._shuffled(epoch)


def test_every_text_is_read_once_an_epoch_in_another_order(task):
    read = [np.concatenate(orders(task, epoch)).tolist() for epoch in (1, 2)]
    assert all(sorted(order) == list(range(90)) for order in read) and read[0] != read[1]
    assert task.steps_per_epoch == 12 == len(orders(task, 1))


def test_a_step_follows_from_the_seed_and_its_number(make):
    forwards, other = make(), make(seed=2)
    steps = [forwards.batch(step) for step in range(30)]
    again = make()
    for step in reversed(range(30)):
        for a, b in zip(again.batch(step), steps[step], strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(other.batch(step)[2], steps[step][2]) for step in range(12))


def test_batches_are_of_like_length(task):
    lengths = np.array([len(sequence) for sequence in task.sequences])

    def padded(batches) -> int:
        return sum(len(which) * lengths[which].max() for which in batches)

    by_chance = np.split(np.random.default_rng(0).permutation(90), range(8, 90, 8))
    assert lengths.sum() <= padded(orders(task, 1)) < 0.85 * padded(by_chance)


@pytest.mark.parametrize("lm_weight", [0.0, 0.5, 2.0])
def test_the_loss_is_the_weighted_sum_of_its_parts(make, body, lm_weight):
    task, model = make(lm_weight=lm_weight), new_classifier(body, dropout=0.0)
    total, parts, _ = task.loss(model.eval(), *task.batch(0))
    assert set(parts) == ({"task", "lm"} if lm_weight else {"task"})
    language = lm_weight * parts["lm"].item() if lm_weight else 0
    assert total.item() == pytest.approx(parts["task"].item() + language, rel=1e-6)


def test_the_loss_to_judge_by_is_that_of_the_answers(task, body):
    from tinygrad_gpt import functional as F

    model = new_classifier(body, dropout=0.0).eval()
    arrays = task.probe()
    logits, targets = task.answers(model, *arrays)
    first_part = next(iter(task.loss(model, *arrays).parts.values()))
    assert F.cross_entropy(logits, targets).item() == pytest.approx(first_part.item(), rel=1e-6)


def test_scores_are_those_of_the_dev_texts(task, body, data):
    model = new_classifier(body)
    found = task.evaluate(model)
    assert list(found) == list(task.metrics) and next(iter(task.metrics)) == "matthews"
    scores = np.array(scores_of(task.family, model, task.dev_sequences), dtype=np.float64)
    right = scores[np.arange(10), data.dev.labels]
    assert found["accuracy"] == np.mean(scores.argmax(axis=1) == data.dev.labels)
    loss = np.mean(np.log(np.exp(scores).sum(axis=1)) - right)
    assert found["val_loss"] == pytest.approx(loss, rel=1e-5)
    assert model.training, "evaluation leaves the model in training"


def test_a_sample_shows_texts_with_their_classes(task, body):
    lines = "".join(task.sample(new_classifier(body))).splitlines()
    assert len(lines) == 5
    for line, text in zip(lines, task.labelled.dev.texts, strict=False):
        given, right, shown = line.split("\t")
        assert given in ("yes", "no") and right in ("yes", "no") and shown == text


def test_facts_are_about_the_classes_and_name_their_part_of_a_sum(make, body):
    model = new_classifier(body)
    facts = make(lm_weight=0).facts(model)
    share = 60 / 90
    assert facts["choices"] == 2 and facts["commonest_share"] == pytest.approx(share, abs=0.05)
    p = facts["commonest_share"]
    assert facts["unigram_entropy"] == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p))
    beside = make(lm_weight=0.5)
    assert beside.facts(model) == facts | {"part": "task"}
    assert "task" in beside.loss(model, *beside.batch(0)).parts


def test_texts_that_the_tokenizer_does_not_know(data):
    with pytest.raises(UserError, match="character"):
        TextClasses(FineTuneConfig(), data, GPT1Family(CharTokenizer("bcdefgh"), SHAPE))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "review\tsentiment\na b\tx\nb c\ty\nc d\tx\nd e\ty\n",
            "only one training text has the class sentiment: 'review'",
        ),
        ("a b\tx\nb c\ty\nc d\tx\nd e\ty\n", ""),
        ("a b\tx\nb c\ty\n", ""),
    ],
)
def test_a_class_of_a_single_text_may_be_a_heading(tmp_path, lines, said):
    from tinygrad_gpt.data.labelled import open_task

    for part in ("train", "validation"):
        rows = lines if part == "train" else "a c\tx\nd b\ty\n"
        (tmp_path / f"{part}.tsv").write_text(rows, encoding="utf-8")
    tokenizer = CharTokenizer("abcdefghijklmnopqrstuvwxyz ")
    family = GPT1Family(tokenizer, GPTConfig(27, block_size=16))
    assert TextClasses(FineTuneConfig(), open_task(tmp_path), family).remark() == said
    (tmp_path / "validation.tsv").write_text("a c\tx\nd b\tx\n", encoding="utf-8")
    assert (
        "all 2 texts to test on have the class x" in TextClasses(FineTuneConfig(), open_task(tmp_path), family).remark()
    )


# --- the model ---------------------------------------------------------------------------------------------------


def test_the_pre_trained_model_stays_as_it_was(body):
    before = {name: a.copy() for name, a in body.state_dict().items()}
    model = new_classifier(body)
    model.body.token_embedding.weight.data += 1
    assert all((a == before[name]).all() for name, a in body.state_dict().items())


def test_not_pretrained_is_new_weights(body):
    body.token_embedding.weight.data += 5
    with_, without = (new_classifier(body, pretrained) for pretrained in (True, False))
    assert with_.body.token_embedding.weight.data[0].mean() > 4
    assert abs(without.body.token_embedding.weight.data.mean()) < 0.1


def test_long_texts_are_cut_and_no_room_is_an_error(tokenizer):
    for family in (
        GPT1Family(tokenizer, GPTConfig(len(LETTERS), block_size=4)),
        GPT1Family(tokenizer, SHAPE, max_length=4),
    ):
        assert [family.length(family.text(text)) for text in ("abcdefgh", "a")] == [4, 3]
    with pytest.raises(UserError, match="block_size is 2"):
        GPT1Family(tokenizer, GPTConfig(len(LETTERS), block_size=2))
