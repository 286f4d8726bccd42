"""A translator's illnesses, each in a small real run that has it; and none in the same run without the fault."""

import io

import numpy as np
import pytest

from tests.health.conftest import Trained
from tests.health.test_provoked import line_of
from tests.small_translation import END, WORDS, Words, new_model, small_corpus
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import token_batches
from tinygrad_gpt.generate.translate import texts_of
from tinygrad_gpt.health.checkup import diagnose
from tinygrad_gpt.health.history import Plan
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks import translation
from tinygrad_gpt.tasks.translation import Translation, TranslationConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run import begin


@pytest.fixture
def train(tmp_path):
    """train(change=None, **settings) -> Trained."""

    def train(change=lambda model: None, **given):
        config = TranslationConfig(batch_tokens=200, label_smoothing=0.0, bleu_pairs=40)
        task = Translation(config, small_corpus(), Words(), 16)
        settings = dict(steps=150, lr=2e-2, warmup=20, eval_interval=50, log_interval=5, batch_size=1, min_lr=0.0)
        model = new_model(dropout=0.0)
        change(model)
        run = begin(task, model, TrainConfig(**settings | given | {"checkpoint_interval": 0}), tmp_path / "run")
        said = io.StringIO()
        run.train(Reporter(said))
        lines = [line for line in said.getvalue().splitlines() if line.startswith("health")]
        return Trained(run.folder.path, lines, read_metrics(run.folder.metrics))

    return train


@pytest.fixture
def make_batches(monkeypatch):
    """make_batches(other): batches are other(sources, targets, pad_id, start_id) from now on."""

    def make_batches(other):
        for module in (token_batches, translation):
            monkeypatch.setattr(module, "make_batch", other)

    return make_batches


def doctor(folder, capsys) -> str:
    assert main(["doctor", str(folder)]) == 0
    return capsys.readouterr().out


def test_a_healthy_run(train, capsys):
    trained = train()
    last = trained.rows[-1]
    assert last["bleu"] > 60 and last["token_accuracy"] > 0.8 and last["repeats"] < 0.1, last
    assert trained.said == []
    assert [row["health"]["sees_future"] for row in trained.rows if "sees_future" in row["health"]] == [False] * 5
    said = doctor(trained.folder, capsys)
    assert "healthy: no problems found" in said and "bleu " in said and "token accuracy 0." in said


@pytest.mark.long
def test_the_future_leaks(train, capsys):
    """T-1: the decoder looks at the words after each place. It is seen at the first snapshot, whatever the scores."""

    def change(model):
        for block in model.decoder:
            block.attention.causal = False

    trained = train(change)
    last = trained.rows[-1]
    assert last["token_accuracy"] > 0.9 and last["bleu"] < 10, last
    assert trained.kinds == {"future"}
    assert trained.said[0].startswith("health, step 30: predictions change with tokens that come after them")
    assert "causal=True" in line_of(trained, "future")
    assert "near 1 comes within an epoch" in doctor(trained.folder, capsys)


@pytest.mark.long
def test_labels_that_are_not_shifted(train, make_batches):
    """T-1: the decoder reads the token that it is asked for. No later one leaks, and yet nothing is learned."""
    make = token_batches.make_batch

    def unshifted(sources, targets, pad_id, *start):
        batch = make(sources, targets, pad_id, *start)
        return batch._replace(decoder_input_ids=np.where(batch.labels == IGNORE_INDEX, pad_id, batch.labels))

    make_batches(unshifted)
    trained = train()
    assert trained.kinds == {"free-running"}
    line = line_of(trained, "free-running")
    assert (
        "it predicts 100% of the tokens; writing alone, it has BLEU 0." in line
        and "labels that are not shifted" in line
    )


@pytest.mark.long
def test_translations_in_the_ids_of_another_vocabulary(train, monkeypatch, capsys):
    """T-2: the loss falls, and BLEU is about 0."""

    class Other(Words):
        words = (*Words.words[:2], *WORDS, *WORDS)  # no capitals

    monkeypatch.setattr(translation, "texts_of", lambda tokenizer, targets: texts_of(Other(), targets))
    trained = train()
    assert trained.rows[-1]["val_loss"] < trained.rows[9]["val_loss"] and trained.kinds == {"free-running"}
    assert "ids of another vocabulary" in line_of(trained, "free-running")
    assert "its loss does not show a mistake in what it reads when it writes" in doctor(trained.folder, capsys)


@pytest.mark.long
def test_targets_without_an_end(train, make_batches):
    """The model never learns to stop, and says the same again and again."""
    make = token_batches.make_batch

    def endless(sources, targets, pad_id, *start):
        batch = make(sources, targets, pad_id, *start)
        return batch._replace(labels=np.where(batch.labels == END, IGNORE_INDEX, batch.labels))

    make_batches(endless)
    trained = train(steps=650, log_interval=25)
    assert trained.kinds == {"repeats"}
    assert "of their runs of three words stood there before" in line_of(trained, "repeats")


@pytest.mark.long
def test_a_learning_rate_that_is_far_too_low(train, capsys):
    """As with the paper's schedule and the learning rate of another one for its scale."""
    trained = train(schedule="noam", lr=1e-3, steps=100)
    assert trained.kinds == {"guessing"}
    line = line_of(trained, "guessing")
    assert line.startswith("health, step 100: no better than a guess: told the right words before, it predicts ")
    assert line.endswith("Likely cause: the learning rate 5.6e-05 is too low. Remedy: --lr 1")
    assert "right that often without reading anything" in doctor(trained.folder, capsys)


# --- when the rules speak, from rows alone ----------------------------------------------------------------------------


def rows(steps, **scores):
    """An evaluation every 100 steps, with a score or a list of them."""
    lists = {name: value if isinstance(value, list) else [value] * (steps // 100) for name, value in scores.items()}
    return [
        {"step": 100 * (i + 1), "train_loss": 3.0} | {name: values[i] for name, values in lists.items()}
        for i in range(steps // 100)
    ]


def found(measured, **plan):
    plan = Plan(**dict(steps=2000, lr=1e-3, warmup=100, grad_clip=1.0, choices=6000) | plan)
    return [(finding.kind, finding.step) for finding in diagnose(plan, measured).findings]


@pytest.mark.parametrize(
    ("measured", "plan", "expected"),
    [
        (rows(600, token_accuracy=0.6, bleu=0.1), {}, [("free-running", 400)]),  # the third one after the warm-up
        (rows(300, token_accuracy=0.6, bleu=0.1), {}, []),
        (rows(200, token_accuracy=0.6, bleu=0.1), {"steps": 200}, [("free-running", 200)]),  # at the end, one tells
        (rows(600, token_accuracy=0.4, bleu=0.1), {}, []),  # it has learned little yet
        (rows(600, token_accuracy=0.6, bleu=[0.1, 0.1, 0.1, 2.0, 0.1, 0.1]), {}, []),
        (rows(600, token_accuracy=0.6, bleu=0.1), {"choices": 300}, []),  # letters: easy to predict, hard to write
        (rows(600, token_accuracy=0.8, bleu=0.1), {"choices": 300}, [("free-running", 400)]),
        (rows(900, token_accuracy=0.3, bleu=1.5, repeats=0.5), {}, [("repeats", 600)]),
        (rows(900, token_accuracy=0.15), {"commonest_share": 0.15}, [("guessing", 600)]),  # 500 after the warm-up
        (rows(900, token_accuracy=[0.15] * 7 + [0.2] * 2), {"commonest_share": 0.15}, [("guessing", 600)]),
        (rows(900, token_accuracy=[0.2, *[0.15] * 8]), {"commonest_share": 0.15}, [("guessing", 600)]),
        (rows(900, token_accuracy=[0.15, 0.15, 0.15, *[0.2] * 6]), {"commonest_share": 0.15}, []),
        (rows(300, token_accuracy=0.15), {"commonest_share": 0.15}, []),
        (rows(300, token_accuracy=0.15), {"commonest_share": 0.15, "steps": 300}, [("guessing", 300)]),  # for good
        (rows(300, token_accuracy=[0.15, 0.15, 0.2]), {"commonest_share": 0.15, "steps": 300}, []),
        (rows(300, token_accuracy=0.15), {"commonest_share": 0.15, "steps": 300, "warmup": 300}, []),
        (rows(900, token_accuracy=0.3, bleu=1.5, repeats=[0.5] * 5 + [0.2] * 4), {}, []),
        (rows(200, token_accuracy=0.3, bleu=1.5, repeats=0.9), {"steps": 200}, []),  # a short run: all do it at first
    ],
)
def test_when_the_rules_speak(measured, plan, expected):
    assert found(measured, **plan) == expected


def test_a_gpt_that_sees_the_future_is_found_too():
    """The task of a language model is read from left to right as well."""

    class NextWord:
        left_to_right = 0

        def probe(self):
            x = np.array([[1, 2, 3, 4], [4, 3, 2, 1]])
            return x, np.roll(x, -1, axis=1)

        def answers(self, model, x, y):
            return model(x), y

        def loss(self, model, x, y):
            return translation.Loss(model.loss(x, y))

    model = GPT(GPTConfig(6, block_size=4, n_layer=1, n_head=2, n_embd=8)).eval()
    model.loss(*NextWord().probe()).backward()
    assert snapshot(model, NextWord())["sees_future"] is False
    model.blocks[0].attention.causal = False
    assert snapshot(model, NextWord())["sees_future"] is True


def test_the_highest_rate_of_the_papers_schedule_is_what_rules_speak_of():
    """With noam, --lr 1 is a rate of 1/√(C · warmup); and so is the advice."""
    of_run = dict(steps=100, lr=8.0, warmup=100, grad_clip=1.0, schedule="noam", width=64)
    plan = Plan.of(of_run)
    assert plan.lr == pytest.approx(8 / 80) and plan.lower_lr == "--lr 0.8"  # 0.01, in the setting's unit
    assert Plan.of(of_run | {"schedule": "cosine"}).lr == 8.0
