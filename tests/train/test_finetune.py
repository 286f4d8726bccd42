"""Fine-tuning: the loop, the run with several λ and seeds, and what is left in its folder."""

import json
import math

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.classification import open_task
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.train import finetune
from tinygrad_gpt.train.classifier import Classifier
from tinygrad_gpt.train.finetune import FinetuneConfig, FineTuner
from tinygrad_gpt.train.finetune_run import FinetuneRun, means
from tinygrad_gpt.train.metrics import read_metrics

LETTERS = "abcdefgh"


@pytest.fixture
def task(tmp_path):
    """Is there an a among the letters? 90 texts of different lengths, of which two thirds have none."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(100):
        letters = rng.choice(list("bcdefgh"), size=rng.integers(2, 9))
        if i % 3 == 0:
            letters[rng.integers(len(letters))] = "a"
        lines.append(f"{''.join(letters)}\t{'yes' if i % 3 == 0 else 'no'}\n")
    (tmp_path / "own.tsv").write_text("".join(lines), encoding="utf-8")
    return open_task("own.tsv")


@pytest.fixture
def tokenizer():
    return CharTokenizer(LETTERS)


@pytest.fixture
def body():
    random_stream.manual_seed(2)
    return GPT(GPTConfig(len(LETTERS), block_size=16, n_layer=1, n_head=2, n_embd=16, norm="post", dropout=0.1))


def rows_of(body, tokenizer, task, lm_weight=0.5, **settings):
    tuner = FineTuner(body, tokenizer, task, FinetuneConfig(**settings), lm_weight)
    return list(tuner.run(lambda step, loss: None, lambda: False)), tuner


QUICK = dict(epochs=2, batch_size=8, lr=1e-3)


def test_it_learns(body, tokenizer, task):
    rows, tuner = rows_of(body, tokenizer, task, epochs=15, batch_size=8, lr=1e-2)
    assert rows[-1]["matthews"] > 0.9 and rows[-1]["task_loss"] < 0.2
    assert rows[-1]["lm_loss"] < rows[0]["lm_loss"]
    assert tuner.step == tuner.steps == 15 * 12


def test_the_same_seed_gives_the_same_weights(body, tokenizer, task):
    (_, one), (_, same), (_, other) = (rows_of(body, tokenizer, task, **QUICK, seed=seed) for seed in (1, 1, 2))
    states = [tuner.model.state_dict() for tuner in (one, same, other)]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    assert (states[0]["score.weight"] != states[2]["score.weight"]).any()


def test_the_pre_trained_model_stays_as_it_was(body, tokenizer, task):
    before = {name: a.copy() for name, a in body.state_dict().items()}
    _, tuner = rows_of(body, tokenizer, task, **QUICK)
    assert all((a == before[name]).all() for name, a in body.state_dict().items())
    started_from = tuner.model.body.token_embedding.weight.data[: len(LETTERS)]
    assert np.abs(started_from - before["token_embedding.weight"]).max() < 0.05


def test_not_pretrained_is_new_weights(body, tokenizer, task):
    body.token_embedding.weight.data += 5
    with_, without = (
        finetune.new_classifier(body, task, FinetuneConfig(pretrained=pretrained)) for pretrained in (True, False)
    )
    assert with_.body.token_embedding.weight.data[0].mean() > 4
    assert abs(without.body.token_embedding.weight.data.mean()) < 0.1


def test_every_text_is_read_once_an_epoch_in_another_order(body, tokenizer, task):
    tuner = FineTuner(body, tokenizer, task, FinetuneConfig(batch_size=8), 0.5)
    orders = [np.concatenate(tuner._batches(epoch)).tolist() for epoch in (1, 2)]
    assert all(sorted(order) == list(range(90)) for order in orders) and orders[0] != orders[1]
    assert np.concatenate(tuner._batches(1)).tolist() == orders[0]
    assert len(tuner._batches(1)) * 3 == tuner.steps


def test_batches_are_of_like_length(body, tokenizer, task):
    tuner = FineTuner(body, tokenizer, task, FinetuneConfig(batch_size=8), 0.5)
    lengths = np.array([len(sequence) for sequence in tuner.sequences])

    def padded(batches) -> int:
        return sum(len(which) * lengths[which].max() for which in batches)

    by_chance = np.split(np.random.default_rng(0).permutation(90), range(8, 90, 8))
    assert lengths.sum() <= padded(tuner._batches(1)) < 0.85 * padded(by_chance)


def test_the_learning_rate_rises_and_falls_to_nothing(body, tokenizer, task):
    tuner = FineTuner(body, tokenizer, task, FinetuneConfig(batch_size=8, lr=1.0, warmup_share=0.25), 0)
    rates = []
    tuner.optimizer.step = lambda scale: rates.append(tuner.optimizer.lr)
    list(tuner.run(lambda step, loss: None, lambda: False))
    assert len(rates) == 36
    np.testing.assert_allclose(rates[:9], np.arange(1, 10) / 10)
    np.testing.assert_allclose(rates[9:], 1 - np.arange(27) / 27)


def test_a_loss_that_is_not_finite_stops_before_the_update(body, tokenizer, task):
    tuner = FineTuner(body, tokenizer, task, FinetuneConfig(), 0.5)
    tuner.model.score.weight.data[0, 0] = math.nan
    before = tuner.model.body.token_embedding.weight.data.copy()
    with pytest.raises(UserError, match=r"step 1 of fine-tuning: the loss is nan.*--lr") as error:
        list(tuner.run(lambda step, loss: None, lambda: False))
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(tuner.model.body.token_embedding.weight.data, before)


def test_long_texts_are_cut_and_no_room_is_an_error(tokenizer, task):
    random_stream.manual_seed(1)
    short = GPT(GPTConfig(len(LETTERS), block_size=4, n_layer=1, n_head=1, n_embd=4))
    model = finetune.new_classifier(short, task, FinetuneConfig())
    assert [len(s) for s in finetune.sequences_of(["abcdefgh", "a"], tokenizer, model)] == [4, 3]
    tiny = GPT(GPTConfig(len(LETTERS), block_size=2, n_layer=1, n_head=1, n_embd=4))
    with pytest.raises(UserError, match="block_size is 2"):
        finetune.new_classifier(tiny, task, FinetuneConfig())


@pytest.mark.parametrize("settings", [dict(epochs=0), dict(lr=0.0), dict(warmup_share=1.0), dict(head_dropout=-0.1)])
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        FinetuneConfig(**settings)


# --- a run --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(body, tokenizer, task):
    return FinetuneRun(body, tokenizer, task, FinetuneConfig(**QUICK), [0.0, 0.5], [1, 2])


def test_a_run_leaves_every_result(run, reporter):
    assert run.run(reporter)
    results = json.loads((run.folder / "results.json").read_text(encoding="utf-8"))
    assert [(r["lm_weight"], r["seed"]) for r in results["runs"]] == [(0.0, 1), (0.0, 2), (0.5, 1), (0.5, 2)]
    assert all(result["finished"] and result["epoch"] == 2 for result in results["runs"])
    dev = run.task.dev.labels
    assert results["majority"] == {"accuracy": np.mean(dev == run.task.majority), "matthews": 0.0}
    rows = read_metrics(run.folder / "metrics.jsonl")
    assert len(rows) == 8 and all(("lm_loss" in row) == (row["lm_weight"] > 0) for row in rows)
    for result in results["runs"]:
        last = [row for row in rows if (row["lm_weight"], row["seed"]) == (result["lm_weight"], result["seed"])][-1]
        assert last["matthews"] == result["matthews"] and last["step"] == 24
    assert "λ 0.5  seed 2  epoch 2/2  task " in reporter.said.getvalue()
    assert (run.folder / "matthews.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_model_is_kept(run, reporter, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.25, 0.0, 0.7, 0.4, 0.6])  # two epochs each
    monkeypatch.setattr(FineTuner, "evaluate", lambda self: {"accuracy": 0.5, "matthews": next(scores)})
    kept = {}
    monkeypatch.setattr(
        "tinygrad_gpt.train.finetune_run.save_checkpoint",
        lambda path, arrays, state: kept.update(path=path, state=state),
    )
    run.run(reporter)
    assert kept["state"]["matthews"] == 0.7 and (kept["state"]["lm_weight"], kept["state"]["seed"]) == (0.5, 1)


def test_a_classifier_computes_what_was_trained(run, reporter, tokenizer, task):
    run.variants = run.variants[:1]
    tuners = []
    original = run._run_one
    run._run_one = lambda tuner, *others: (tuners.append(tuner), original(tuner, *others))
    run.run(reporter)
    classifier = Classifier(run.folder)
    assert classifier.classes == ("no", "yes")
    probabilities = classifier.probabilities(task.dev.texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    scores = finetune.scores_of(tuners[0].model, tuners[0].dev_sequences).astype(np.float64)
    np.testing.assert_allclose(
        np.log(probabilities[:, 1] / probabilities[:, 0]), scores[:, 1] - scores[:, 0], atol=1e-6
    )


def test_ctrl_c_saves_what_was_reached(run, reporter, monkeypatch):
    import signal

    calls = []

    def step(number, loss):
        calls.append(number)
        if len(calls) == 30:  # in the first epoch of the second run
            signal.raise_signal(signal.SIGINT)

    reporter.step = step
    assert not run.run(reporter)
    results = json.loads((run.folder / "results.json").read_text(encoding="utf-8"))
    assert [result["finished"] for result in results["runs"]] == [True, False]
    assert [mean["seeds"] for mean in results["means"]] == [1]
    assert Classifier(run.folder).classes == ("no", "yes")


def test_means_are_over_the_seeds_that_ended():
    def result(lm_weight, matthews, finished=True):
        return {"lm_weight": lm_weight, "seed": 1, "accuracy": 0.5, "matthews": matthews, "finished": finished}

    rows = means(
        [result(0, 0.1), result(0, 0.3), result(0, 0.9, finished=False), result(0.5, 0.4), result(1, 1.0, False)]
    )
    assert [(row["lm_weight"], row["seeds"]) for row in rows] == [(0, 2), (0.5, 1)]
    assert rows[0]["matthews"] == pytest.approx(0.2) and rows[0]["matthews_sd"] == pytest.approx(0.1 * math.sqrt(2))
    assert rows[1]["matthews_sd"] is None and rows[0]["accuracy_sd"] == 0


def test_a_run_that_cannot_be_leaves_no_folder(body, tokenizer, task, tmp_path):
    with pytest.raises(UserError, match="--lm-weight should be a number from 0 on, not -1"):
        FinetuneRun(body, tokenizer, task, FinetuneConfig(), [0.0, -1.0], [1])
    with pytest.raises(UserError, match="not empty"):
        FinetuneRun(body, tokenizer, task, FinetuneConfig(), [0.0], [1], tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("damage", ["missing", "description", "weights", "tokenizer"])
def test_a_folder_that_is_damaged(run, reporter, tmp_path, damage):
    run.variants = run.variants[:1]
    run.run(reporter)
    folder = run.folder
    if damage == "missing":
        folder = tmp_path
    elif damage == "description":
        (folder / "finetune.json").write_text("{}", encoding="utf-8")
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    else:
        CharTokenizer(LETTERS.upper()).save(folder / "tokenizer.json")
    said = {"missing": "has no finetune.json", "description": "finetune.json is damaged", "weights": "damaged"}
    with pytest.raises(UserError, match=said.get(damage, "is not the tokenizer of this run")) as error:
        Classifier(folder)
    assert "\n" not in str(error.value)
