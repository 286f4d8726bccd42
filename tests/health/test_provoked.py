"""Each illness, in a real run that has it; and the line that names it, its cause and what to do.

A run goes another way with other seeds, and on another processor. So each is ill by design, far beyond the rule's
limit; where a real one would waver between two rules, its loss is raised by as much as it takes.
"""

import itertools
import math

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.health.checkup import diagnose
from tinygrad_gpt.health.explain import WHY
from tinygrad_gpt.health.history import Plan
from tinygrad_gpt.train.run_folder import RunFolder

VERSE = "the quick brown fox jumps over the lazy dog, and again:\n"


def line_of(trained, kind):
    """The one line that was said of this kind."""
    findings = [f for row in trained.rows for f in row["health"].get("findings", []) if f["kind"] == kind]
    assert len(findings) == 1, (kind, trained.said)
    lines = [line for line in trained.said if findings[0]["seen"] in line]
    assert len(lines) == 1 and "Likely cause: " in lines[0] and "Remedy: " in lines[0]
    assert lines[0].startswith(f"health, step {findings[0]['step']}: ")
    return lines[0]


def scaled(part, by):
    """Change a model's initialisation: all weights with `part` in their name are larger by this factor."""

    def change(model):
        for name, parameter in model.named_parameters():
            if part in name:
                parameter.data *= by

    return change


def raised(by):
    """Change a model's loss: in training it is higher by `by(step)` nats."""

    def change(model):
        real, steps = model.loss, itertools.count()
        model.loss = lambda x, y: real(x, y) + (by(next(steps)) if model.training else 0.0)

    return change


def softmax_twice(model):
    model.loss = lambda x, y: F.cross_entropy(F.softmax(model.head(model.features(x))), y)


@pytest.fixture
def verse(tmp_path):
    """A text that is learned to a loss near 0."""
    path = tmp_path / "verse.txt"
    path.write_text(VERSE * 100, encoding="utf-8", newline="")
    return str(path)


@pytest.mark.long
def test_softmax_twice(train):
    trained = train(softmax_twice, lr=1e-2)
    assert trained.kinds == {"double-softmax", "collapse"}
    line = line_of(trained, "double-softmax")
    assert "the loss cannot fall below log(1 + (V-1)/e) = 3.5" in line and "give cross_entropy the logits" in line
    assert line.startswith("health, step 40:"), "the first snapshot should show it"
    assert "100% of all predictions are token" in line_of(trained, "collapse")
    assert trained.rows[-1]["health"]["block_gradients"][0] < 1e-4, "the softmax of a sure prediction passes nothing"
    plan = Plan.of_config(RunFolder(trained.folder).read_config())
    without_snapshots = [{k: v for k, v in row.items() if k != "health"} for row in trained.rows]
    assert [f.kind for f in diagnose(plan, without_snapshots).findings] == ["double-softmax"], "the loss alone tells it"


def test_a_head_that_returns_probabilities(train):
    def change(model):
        linear = model.head.forward
        model.head.forward = lambda x: F.softmax(linear(x))

    assert "double-softmax" in train(change, steps=20).kinds


@pytest.mark.long
def test_stuck_at_the_unigram_entropy(train):
    """Every token is read as token 0: what is left to learn is how often each comes."""

    def change(model):
        read = model.token_embedding.forward
        model.token_embedding.forward = lambda ids: read(np.zeros_like(ids))

    trained = train(change, norm="post", lr=1e-2, min_lr=1e-2, warmup=0)
    assert {"unigram"} <= trained.kinds <= {"unigram", "no-warmup"}
    line = line_of(trained, "unigram")
    assert "the unigram entropy of the text (3.19" in line and "without a warm-up" in line and "--norm pre" in line
    assert "100% of them are the same token" in line


def drowned(model):
    """What the first block says is lost in what the second adds: the layer norm that follows divides it by that."""
    model.blocks[1].feed_forward.down.bias.data[::2] = 1e5


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "settings", "remedy"),
    [
        (scaled("blocks.0.", 1e-4), dict(norm="pre", bias=False), "a longer --warmup"),
        (drowned, dict(norm="post"), "--norm pre"),
    ],
    ids=["pre", "post"],
)
def test_vanishing(train, change, settings, remedy):
    trained = train(change, **settings, lr=1e-6, min_lr=0.0, steps=100)
    assert trained.kinds == {"vanishing"}
    line = line_of(trained, "vanishing")
    assert "fades on its way to the input" in line and remedy in line


@pytest.mark.long
def test_a_learning_rate_that_is_too_low(train):
    trained = train(lr=1e-7, min_lr=0.0)
    assert trained.kinds == {"untrained"}
    assert "log V = 4.4" in line_of(trained, "untrained") and "raise --lr" in trained.said[0]


@pytest.mark.long
def test_exploding_as_a_whole(train):
    trained = train(scaled("final_norm.weight", 1000), lr=1e-6, min_lr=0.0, grad_clip=0.0)
    assert "exploding" in trained.kinds
    assert "smaller initial weights" in line_of(trained, "exploding")


@pytest.mark.long
def test_exploding_by_layer(train):
    trained = train(scaled("blocks.1.", 1e-4), lr=1e-6, min_lr=0.0, bias=False, steps=100)
    assert trained.kinds == {"exploding"}
    assert "grows on its way to the input" in line_of(trained, "exploding")


@pytest.mark.long
def test_dead_units(train):
    """Three quarters of a block's units, as an update that went much too far leaves them."""

    def change(model):
        bias = model.blocks[1].feed_forward.up.bias.data
        bias[: 3 * len(bias) // 4] = -100

    trained = train(change, activation="relu", steps=100)
    assert trained.kinds == {"dead-units"}
    line = line_of(trained, "dead-units")
    assert "of the feed-forward units of block 2 are dead (relu never active)" in line and "or with gelu" in line


@pytest.mark.long
def test_saturated_units(train):
    trained = train(scaled("up.weight", 1000), activation="tanh", steps=100)
    assert trained.kinds == {"saturated-units"}
    assert "are saturated (tanh near -1 or 1)" in line_of(trained, "saturated-units")


@pytest.mark.long
def test_saturated_attention(train):
    trained = train(scaled("qkv.weight", 500), steps=100)
    assert trained.kinds == {"saturated-attention"}
    assert "attention in block 1 is saturated" in line_of(trained, "saturated-attention")


@pytest.mark.long
def test_a_learning_rate_that_makes_the_loss_rise(train, verse):
    """The warm-up goes on until it has gone too far."""
    trained = train(corpus=verse, lr=0.5, min_lr=0.5, warmup=200, steps=250)
    line = line_of(trained, "lr-too-high")
    assert "the loss had fallen to 0." in line and "has risen to" in line
    assert "the learning rate 0.5 is too high. Remedy: --lr 0.01" in line


@pytest.mark.long
def test_a_loss_that_jumps(train):
    """From the 50th step on, ten steps in fifty stand 3 nats above the others."""
    trained = train(raised(lambda step: 3.0 * (step >= 50 and step % 50 >= 40)))
    assert trained.kinds == {"lr-too-high"}
    assert "the loss has jumped up 3 times" in line_of(trained, "lr-too-high")


@pytest.mark.long
def test_clipping_that_does_not_help(train):
    """Nothing is learned, and from the 50th step on the loss rises by half a nat: slowly, for the rules on leaps."""
    change = raised(lambda step: 0.003 * max(0, step - 50))
    line = line_of(train(change, grad_clip=0.05, lr=1e-7, min_lr=0.0), "lr-too-high")
    assert "the gradient was clipped to 0.05 at 100% of the last 150 steps, and the loss rose from 4." in line


@pytest.mark.long
def test_no_warmup(train):
    trained = train(lr=0.1, n_layer=1, n_embd=64, warmup=0, steps=100)
    line = line_of(trained, "no-warmup")
    assert "the loss jumped from 4." in line and line.endswith("Remedy: --warmup 20, --lr 0.01")


@pytest.mark.long
def test_overfitting(train, tmp_path):
    """Letters drawn at random: they can be learned by heart, and nothing else."""
    letters = "".join(np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), 600))
    random = tmp_path / "random.txt"
    random.write_text(letters, encoding="utf-8", newline="")
    trained = train(corpus=str(random), block_size=16, n_embd=64, lr=5e-3, eval_interval=20)
    assert trained.kinds == {"overfitting"}
    line = line_of(trained, "overfitting")
    assert "the validation loss rose from 3." in line and "--dropout 0.2" in line


def test_every_finding_is_explained():
    """The kinds that rules can return are those that have a paragraph: read off their source."""
    import ast
    import inspect

    from tinygrad_gpt.health import loss_rules, model_rules, score_rules, translation_rules

    kinds = set()
    for module in (loss_rules, model_rules, score_rules, translation_rules):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Symptom":
                kinds.add(node.args[0].value)
    assert kinds == set(WHY)


def test_thresholds_are_what_the_text_says():
    """The floor of a double softmax, by the definition and by the formula."""
    from tinygrad_gpt.tasks.baselines import double_softmax_loss

    sure = np.zeros((1, 65), np.float32)
    sure[0, 3] = 1.0
    right = F.cross_entropy(sure, np.array([3])).item()
    wrong = F.cross_entropy(sure, np.array([4])).item()
    assert math.isclose(right, double_softmax_loss(65), rel_tol=1e-6)
    assert math.isclose(0.15 * right + 0.85 * wrong, double_softmax_loss(65, 0.15), rel_tol=1e-6)
