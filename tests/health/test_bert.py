"""BERT's illnesses, each in a small real run that has it; and none in the same run without the fault.

The text is [CLS] A [SEP] marker B [SEP]. In A and B each word stands twice, and the marker says whether B follows A. So
gaps and pairs are easy, for those who may look at them.
"""

import dataclasses
import io
import math

import numpy as np
import pytest

from tests.health.conftest import Trained
from tests.health.test_provoked import line_of
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.cli import main
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.checkup import diagnose
from tinygrad_gpt.health.explain import signs
from tinygrad_gpt.health.history import History, Plan, facts_of
from tinygrad_gpt.health.score_rules import one_class
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.models import BertConfig, BertForPreTraining, BertForSequenceClassification
from tinygrad_gpt.models.bert import PretrainingLoss
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.scores import accuracy, matthews
from tinygrad_gpt.tasks.task import Loss, Task
from tinygrad_gpt.train.any_run import choose_settings, start
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run import begin

CLS, SEP, MASK, FIRST, MARKER = 1, 2, 3, 4, 12  # 8 words, 2 markers
KINDS, WORDS, GAPS = 8, 12, 4  # words in a text, and how many are hidden
SEGMENTS = np.array([0] * 8 + [1] * 8)
SHAPE = BertConfig(
    vocab_size=14,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.1,
)


# What takes time is smaller, and otherwise a preset's recipe; 270 steps are enough to judge a loss.
REDUCED = dict(corpus="python-docs", n_layer=2, n_head=2, n_embd=32, block_size=32, batch_size=8, vocab=400, steps=270)
REDUCED |= dict(warmup=20, eval_interval=50, checkpoint_interval=0, eval_tokens=4000)


def texts(seed, rows):
    """Words (B, 12) and whether B is from elsewhere (B,)."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, KINDS + 1)
    words = FIRST + rng.choice(KINDS, p=share / share.sum(), size=(rows, WORDS // 2))
    return np.repeat(words, 2, axis=1), rng.integers(2, size=rows), rng


def whole(words, label):
    """(B, 16): with the special tokens, and the marker."""
    cls, sep = (np.full((len(words), 1), token) for token in (CLS, SEP))
    return np.concatenate([cls, words[:, :6], sep, MARKER + label[:, None], words[:, 6:], sep], axis=1)


class Gaps(Task):
    """Masked words and next sentences.

    shuffled  whether the labels of the pairs have nothing to do with them
    """

    name = "gaps"
    metrics = {"val_loss": False, "masked_accuracy": True, "next_sentence_accuracy": True}  # noqa: RUF012

    def __init__(self, shuffled=False, rows=32):
        self.shuffled, self.rows = shuffled, rows

    def batch(self, step):
        words, label, rng = texts([1, step], self.rows)
        ids = whole(words, label)
        order = rng.permuted(np.tile(np.arange(WORDS), (self.rows, 1)), axis=1)[:, :GAPS]
        places = np.where(order < 6, order + 1, order + 3)  # of the words in `ids`
        labels = np.full_like(ids, -100)
        np.put_along_axis(labels, places, np.take_along_axis(ids, places, axis=1), axis=1)
        label = rng.integers(2, size=self.rows) if self.shuffled else label
        segments = np.tile(SEGMENTS, (self.rows, 1))
        return np.where(labels < 0, ids, MASK), np.ones_like(ids), segments, labels, label

    def loss(self, model, *arrays):
        loss = model.loss(*arrays)
        return Loss(loss.total, {"masked": loss.masked, "next_sentence": loss.next_sentence})

    def answers(self, model, ids, mask, segments, labels, label):
        return model(ids, mask, segments).prediction_logits, labels

    def probe(self):
        return Gaps(self.shuffled, rows=32).batch(10**6)

    def evaluate(self, model, last=False, progress=None):
        ids, mask, segments, labels, label = Gaps(self.shuffled, rows=256).batch(10**6 + 1)
        with model.evaluating(), no_grad():
            out = model(ids, mask, segments)
            loss = model.loss(ids, mask, segments, labels, label).total.item()
        right = out.prediction_logits.data.argmax(-1)[labels >= 0] == labels[labels >= 0]
        pairs = out.seq_relationship_logits.data.argmax(-1) == label
        return {"val_loss": loss, "masked_accuracy": right.mean(), "next_sentence_accuracy": pairs.mean()}

    def facts(self, model):
        return {"part": "masked", "choices": SHAPE.vocab_size} | text_facts(texts(0, 5000)[0].reshape(-1))


class Classes(Task):
    """Whether the first word of a text is the commonest one: three in eight are."""

    name = "classes"
    metrics = {"matthews": True, "accuracy": True, "val_loss": False}  # noqa: RUF012

    def batch(self, step, rows=16):
        words, label, _ = texts([2, step], rows)
        return whole(words, label), (words[:, 0] == FIRST).astype(int)

    def loss(self, model, ids, labels):
        return Loss(model(ids, labels=labels).loss)

    def answers(self, model, ids, labels):
        return model(ids).logits, labels

    def probe(self):
        return self.batch(10**6, rows=64)

    def evaluate(self, model, last=False, progress=None):
        ids, labels = self.batch(10**6 + 1, rows=256)
        with model.evaluating(), no_grad():
            output = model(ids, labels=labels)
        said = output.logits.data.argmax(-1)
        return {
            "matthews": matthews(labels, said),
            "accuracy": accuracy(labels, said),
            "val_loss": output.loss.item(),
        }

    def facts(self, model):
        return {"choices": 2} | text_facts(self.batch(0, rows=4000)[1])


@pytest.fixture
def train(tmp_path):
    """train(task, change=None, kind=BertForPreTraining, **settings) -> Trained."""

    def train(task, change=lambda model: None, kind=BertForPreTraining, **given):
        settings = dict(steps=300, lr=3e-3, min_lr=3e-4, warmup=20, eval_interval=30, log_interval=5, batch_size=32)
        random_stream.manual_seed(1)
        run = begin(task, kind(SHAPE), TrainConfig(**settings | given | {"checkpoint_interval": 0}), tmp_path / "run")
        change(run.model)
        said = io.StringIO()
        run.train(Reporter(said))
        lines = [line for line in said.getvalue().splitlines() if line.startswith("health")]
        return Trained(run.folder.path, lines, read_metrics(run.folder.metrics))

    return train


@pytest.fixture
def pretrain(tmp_path, monkeypatch):
    """pretrain(preset, **settings) -> Trained, on a real text with the real task."""
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))

    def pretrain(preset="bert-tiny", **given):
        settings = choose_settings(preset, REDUCED | given)
        run = start(settings, tmp_path / "run")
        said = io.StringIO()
        run.train(Reporter(said))
        lines = [line for line in said.getvalue().splitlines() if line.startswith("health")]
        return Trained(run.folder.path, lines, read_metrics(run.folder.metrics))

    return pretrain


def doctor(folder, capsys) -> str:
    assert main(["doctor", str(folder)]) == 0
    return capsys.readouterr().out


def test_a_healthy_run(train, capsys):
    trained = train(Gaps())
    last = trained.rows[-1]
    assert last["masked_accuracy"] > 0.7 and last["next_sentence_accuracy"] > 0.9, last
    assert trained.said == []
    said = doctor(trained.folder, capsys)
    assert "healthy: no problems found" in said and "of which masked" in said and "masked accuracy" in said


@pytest.mark.long
def test_masked_accuracy_that_does_not_move(train, capsys):
    """Every word is read as the same one: what is left to learn is how often each occurs."""

    def change(model):
        read = model.bert.token_embedding.forward
        model.bert.token_embedding.forward = lambda ids: read(np.where((ids >= FIRST) & (ids < MARKER), FIRST, ids))

    trained = train(Gaps(), change, warmup=0, steps=510)
    assert trained.kinds == {"stuck-accuracy"}
    line = line_of(trained, "stuck-accuracy")
    share = Gaps().facts(None)["commonest_share"]
    assert "the masked accuracy does not move: it is 0." in line and f"the commonest token's share {share:.3f}" in line
    assert "without a warm-up" in line and "lines that repeat" in line and "--warmup 26" in line
    said = doctor(trained.folder, capsys)
    assert "\nstuck-accuracy, found at step " in said and "lessons/06_bert.py" in said


@pytest.mark.long
def test_pairs_whose_labels_are_shuffled(train):
    trained = train(Gaps(shuffled=True), steps=530)
    assert trained.kinds == {"next-sentence"}
    line = line_of(trained, "next-sentence")
    assert "the next-sentence accuracy is 0." in line and "that of a coin" in line and "= log 2 since step" in line
    assert "labels that do not belong to their pairs" in line


@pytest.mark.long
def test_a_label_that_does_not_count(train):
    """The padding's id, 0, as ignore_index of the pairs' loss: "always 1" is then the answer to all that is asked."""

    def change(model):
        def loss(ids, mask, segments, labels, label):
            x = model.bert.features(ids, mask, segments)
            rows, places = np.nonzero(labels >= 0)
            masked = F.cross_entropy(model.masked_lm(x[rows, places]), labels[rows, places])
            each = F.cross_entropy(model.next_sentence(model.bert.pooled(x)), label, reduction="none")
            pairs = (each * label.astype(np.float32)).sum() / max(1, int(label.sum()))
            return PretrainingLoss(masked + pairs, masked, pairs)

        model.loss = loss

    trained = train(Gaps(), change, steps=530)
    assert trained.kinds == {"next-sentence"}
    line = line_of(trained, "next-sentence")
    assert "and yet its training loss is 0.0" in line and "one of the two labels does not count" in line


def pairs_by_a_coin(weight=1.0, accuracy=0.5, held_out=None, steps=2000) -> list[dict]:
    """Rows of a run in which the pairs' loss stands at log 2; `held_out`: of the other pairs."""
    pairs = math.log(2)
    measured = {"next_sentence_accuracy": accuracy} | ({} if held_out is None else {"val_next_sentence_loss": held_out})
    return [
        {"step": step, "train_loss": 5.0 + weight * pairs, "masked_loss": 5.0, "next_sentence_loss": pairs}
        | (measured if step % 50 == 0 else {})
        for step in range(10, steps + 1, 10)
    ]


@pytest.mark.parametrize(
    ("rows", "found_at"),
    [
        (pairs_by_a_coin(steps=2000), 1020),  # half of the run after the warm-up: pairs are learned late
        (pairs_by_a_coin(steps=1010), None),
        (pairs_by_a_coin(accuracy=0.6), None),
        (pairs_by_a_coin(accuracy=0.6, held_out=0.66), None),
        (pairs_by_a_coin(accuracy=0.6, held_out=0.70), 1020),  # few pairs are held out, and chance has its way
        (pairs_by_a_coin(weight=0.0), None),  # as in RoBERTa: nobody trains them
    ],
    ids=["stuck", "early", "learned", "learned by both", "few", "weightless"],
)
def test_when_pairs_are_called_stuck(rows, found_at):
    plan = Plan(steps=2000, lr=1e-3, warmup=20, grad_clip=1.0, part="masked")
    found = diagnose(plan, rows).findings
    assert [(f.kind, f.step) for f in found] == ([] if found_at is None else [("next-sentence", found_at)])


@pytest.mark.long
def test_a_healthy_classifier(train):
    trained = train(Classes(), kind=BertForSequenceClassification, lr=1e-3)
    assert trained.rows[-1]["matthews"] > 0.9 and trained.said == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (dict(lr=0.1, min_lr=0.1, warmup=0), ("the learning rate 0.1 is too high", "no warm-up", "--lr 1e-02")),
        (dict(lr=1e-5, min_lr=0.0, steps=100), ("too few steps (100)", "more --epochs")),
    ],
    ids=["high", "few"],
)
def test_one_class_for_all(train, settings, parts):
    def change(model):
        model.classifier.weight.data[...] = 0  # a head that begins with its bias

    trained = train(Classes(), change, kind=BertForSequenceClassification, **settings)
    assert "one-class" in trained.kinds and not {"unigram", "collapse"} & trained.kinds
    line = line_of(trained, "one-class")
    assert "every text gets the same class" in line and "matthews 0" in line
    assert all(part in line for part in parts), line


def test_the_first_evaluations_of_a_classifier_may_be_of_one_class():
    """Three must agree, but for those of a run's end; and the predictions that snapshots saw."""
    plan = Plan(steps=300, lr=2e-5, warmup=30, grad_clip=1.0, choices=2, commonest_share=0.7)
    same = [{"step": step, "train_loss": 0.6, "matthews": 0.0, "accuracy": 0.7} for step in (60, 120, 180)]
    assert one_class(History(plan, same[:2])) is None and one_class(History(plan, same))
    assert one_class(History(plan, [same[0] | {"step": 300}]))
    assert one_class(History(plan, [*same[:2], same[2] | {"matthews": 0.1}])) is None
    assert one_class(History(plan, [row | {"accuracy": 1.0} for row in same])) is None, "held-out texts of one class"
    assert one_class(History(plan, [*same[:2], same[2] | {"accuracy": 0.69}])) is None
    tags = [{"step": row["step"], "train_loss": 0.2, "recall": 0.0, "accuracy": 0.95} for row in same]
    assert "no word gets a label of its own: accuracy 0.950, recall 0" in one_class(History(plan, tags)).seen
    assert one_class(History(plan, [*tags[:2], tags[2] | {"recall": 0.1}])) is None
    seen = {"block_gradients": [1.0], "prediction_share": 0.7, "predicted": 1}
    assert one_class(History(plan, [row | {"health": seen} for row in same])) is None


def test_a_snapshot_finds_the_blocks_of_a_bert():
    """They lie in its encoder; and places without a target are no predictions."""
    random_stream.manual_seed(1)
    model, task = BertForPreTraining(SHAPE), Gaps()
    task.loss(model, *task.probe()).total.backward()
    seen = snapshot(model, task)
    norms = [math.sqrt(sum((p.grad**2).sum() for p in block.parameters())) for block in model.bert.blocks]
    np.testing.assert_allclose(seen["block_gradients"], norms, rtol=1e-3)
    assert len(seen["flat_units"]) == len(seen["saturated_attention"]) == 2 and not seen["double_softmax"]
    logits, labels = task.answers(model, *task.probe())
    said = logits.data.argmax(-1)[labels >= 0]
    assert seen["accuracy"] == pytest.approx((said == labels[labels >= 0]).mean(), abs=1e-4)
    assert seen["prediction_share"] == pytest.approx(np.bincount(said).max() / len(said), abs=1e-4)


@pytest.mark.long
def test_dead_units_of_a_bert_are_named_by_its_activation(train):
    def change(model):
        model.bert.blocks[1].feed_forward.up.bias.data[:48] = -100

    trained = train(Gaps(), change, steps=100)
    assert "of the feed-forward units of block 2 are dead (gelu never active)" in line_of(trained, "dead-units")


@pytest.mark.parametrize(
    ("masked", "total", "accuracy", "expected"),
    [
        (6.0, 6.7, 0.05, {"stuck-accuracy"}),
        (5.7, 6.4, 0.05, {"stuck-accuracy"}),  # what masking left in its place is copied
        (6.0, 6.7, 0.08, set()),  # it moves
        (5.3, 6.0, 0.05, set()),  # the sum is at the entropy by chance
        (6.0, 6.7, None, {"unigram"}),  # no accuracy to go by
    ],
)
def test_the_part_of_the_loss_that_facts_speak_of_is_judged(masked, total, accuracy, expected):
    facts = dict(choices=1000, unigram_entropy=6.0, commonest_share=0.05, part="masked")
    plan = Plan(steps=600, lr=1e-3, warmup=20, grad_clip=1.0, **facts)
    rows = [{"step": step, "train_loss": total, "masked_loss": masked} for step in range(10, 601, 10)]
    for row in rows[9::10] if accuracy else []:
        row["masked_accuracy"] = accuracy
    assert {finding.kind for finding in diagnose(plan, rows).findings} == expected


@pytest.mark.parametrize(
    ("held_out", "found"),
    [
        ((6.00, 5.98, 5.97), True),
        ((6.00, 5.90, 5.80), False),  # it still falls
        ((5.20, 5.20, 5.20), False),
        ((None, None, None), False),
    ],
    ids=str,
)
def test_small_batches_hide_where_the_loss_stands_but_not_on_held_out_text(held_out, found):
    plan = Plan(1000, 1e-3, 20, 1.0, choices=1000, unigram_entropy=6.0, commonest_share=0.05, part="masked")
    noise = np.random.default_rng(0).normal(6.0, 0.5, size=100)
    rows = [{"step": 10 * i + 10, "train_loss": x + 0.7, "masked_loss": x} for i, x in enumerate(noise)]
    for row, loss in zip(rows[29:90:30], held_out, strict=True):
        row |= {"masked_accuracy": 0.05} | ({} if loss is None else {"val_masked_loss": loss})
    findings = diagnose(plan, rows).findings
    assert {f.kind for f in findings} == ({"stuck-accuracy"} if found else set())
    if found:
        assert "the held-out masked loss has stood at 5.983, near" in findings[0].seen


TRAIN = dict(steps=1000, lr=1e-3, warmup=0, grad_clip=1.0)


def test_what_blocks_are_made_of_is_read_off_the_model():
    """However its settings are called. What the task measures is told too, the number that decides first."""
    facts = facts_of(BertForPreTraining(dataclasses.replace(SHAPE, hidden_dropout_prob=0.3)), Gaps())
    assert facts["post_norm"] and facts["activation"] == "gelu" and facts["dropout"] == 0.3
    assert facts["metrics"] == ["val_loss", "masked_accuracy", "next_sentence_accuracy"]
    plan = Plan.of_config({"model": {}, "train": TRAIN, "facts": facts})
    assert plan.post_norm and plan.norm is None and plan.dropout == 0.3 and plan.activation == "gelu"
    assert Plan.of_config({"model": {"norm": "post"}, "train": TRAIN}).post_norm, "an older run's"


@pytest.mark.parametrize("metrics", ["f1", [3], {"f1": True}])
def test_names_of_metrics_that_are_damaged(metrics):
    with pytest.raises(UserError, match="has no usable metrics"):
        Plan.of_config({"model": {}, "train": TRAIN, "facts": {"metrics": metrics}})


FADING = {"block_gradients": [1e-6, 1.0], "flat_units": [], "saturated_attention": []}


@pytest.mark.parametrize(
    ("model", "task", "facts", "remedy"),
    [
        ({"norm": "post"}, {}, {}, "--norm pre, or a longer --warmup and a smaller --lr"),
        ({}, {}, {"post_norm": True}, "a longer --warmup and a smaller --lr"),  # a BERT's norms stand where they do
        ({"norm": "post"}, {"warmup_share": 0.0}, {}, "a longer --warmup-share and a smaller --lr"),
        ({"norm": "pre"}, {}, {}, "a smaller --lr, a longer --warmup"),
    ],
    ids=["GPT", "BERT", "fine-tuned", "pre-norm"],
)
def test_a_gradient_that_fades_is_answered_with_options_that_there_are(model, task, facts, remedy):
    plan = Plan.of_config({"model": model, "task": task, "train": TRAIN, "facts": facts})
    rows = [{"step": step, "train_loss": 3.0, "health": FADING} for step in (50, 100, 150)]
    (found,) = diagnose(plan, rows).findings
    assert found.kind == "vanishing" and found.remedy == remedy
    assert ("layer norms after the residual sums" in found.cause) == (model.get("norm") != "pre")


def test_remedies_of_fine_tuning_name_its_options():
    """Its warm-up is a share of the steps, which follow from --epochs; and its learning rate is a low one."""

    def plan(**given):
        return Plan.of_config({"model": {}, "task": {"warmup_share": 0.002}, "train": TRAIN | given})

    rising = [{"step": step, "train_loss": 1 - step / 1000, "val_loss": 1 + step / 1000} for step in range(10, 300, 10)]
    (found,) = diagnose(plan(), rising).findings
    assert found.remedy == "fewer --epochs, more examples or more --head-dropout"
    losses = [{"step": step, "train_loss": 1.0 if step < 150 else 3.0} for step in range(10, 300, 10)]
    (found,) = diagnose(plan(), losses).findings
    assert found.kind == "lr-too-high" and found.remedy == "--lr 0.0003, --warmup-share 0.1"


@pytest.mark.parametrize(("share", "expected"), [(0.8, ["unigram"]), (0.97, ["one-class"])], ids=str)
def test_a_classifier_that_only_counts_has_one_remedy(share, expected):
    facts = dict(choices=2, unigram_entropy=0.6, commonest_share=0.7)
    written = {"model": {}, "task": {"warmup_share": 0.0}, "train": TRAIN | dict(lr=2e-5), "facts": facts}
    seen = {"block_gradients": [1.0], "prediction_share": share, "predicted": 1, "double_softmax": False}
    seen |= {"flat_units": [0.0], "saturated_attention": [0.0]}
    rows = [{"step": step, "train_loss": 0.6, "health": seen} for step in range(10, 310, 10)]
    for row in rows[9::10]:
        row |= {"matthews": 0.0, "accuracy": 0.7}
    findings = diagnose(Plan.of_config(written), rows).findings
    assert [found.kind for found in findings] == expected
    assert findings[0].remedy == "more --epochs, --warmup-share 0.1; other seeds" and "token" not in findings[0].seen
    if share < 0.9:
        assert "the unigram entropy of the classes (0.600): predictions make no use of the text" in findings[0].seen
        assert "80% of them are the same class" in findings[0].seen


@pytest.mark.parametrize(("begins", "found"), [(2.1, True), (3.5, False)])
def test_a_loss_that_began_above_a_blind_guess_has_learned_something(begins, found):
    plan = Plan(steps=400, lr=1e-3, warmup=0, grad_clip=1.0, choices=8, unigram_entropy=1.5, commonest_share=0.4)
    rows = [{"step": step, "train_loss": begins if step < 20 else math.log(8)} for step in range(10, 310, 10)]
    assert [f.kind for f in diagnose(plan, rows).findings] == ["untrained"] * found


def test_scores_are_those_that_the_task_names_in_its_order():
    plan = Plan.of_config({"model": {}, "train": TRAIN, "facts": {"metrics": ["spearman", "mse", "val_loss"]}})
    rows = [{"step": 10, "train_loss": 1.0, "val_loss": 1.0, "mse": 0.25, "spearman": 0.75, "accuracy": 0.5}]
    said = "\n".join(signs(diagnose(plan, rows)))
    assert "scores              spearman 0.750, mse 0.250\n" in said and {"spearman", "mse", "recall"} <= plan.numbers


# --- the real task ---------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("preset", ["bert-small", "bert-tiny"])
def test_presets(pretrain, preset):
    assert pretrain(preset).said == []


@pytest.mark.long
def test_a_text_without_order(pretrain, tmp_path):
    """Letters drawn at random: nothing tells a gap, nor what follows. Those that masking leaves in their place can be
    copied; the model learns that, and is ill all the same."""
    rng, share = np.random.default_rng(0), 1 / np.arange(3, 29)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    lines = [" ".join(rng.choice(letters, rng.integers(3, 9), p=share / share.sum())) for _ in range(8000)]
    text = tmp_path / "random.txt"
    text.write_text("\n\n".join("\n".join(lines[i : i + 10]) for i in range(0, 8000, 10)), encoding="utf-8")
    shape = dict(vocab=100, n_layer=1, n_embd=16, batch_size=32)
    trained = pretrain(corpus=str(text), steps=560, eval_tokens=20_000, **shape)
    assert trained.kinds == {"stuck-accuracy", "next-sentence"}
    assert "the masked accuracy does not move" in line_of(trained, "stuck-accuracy")
