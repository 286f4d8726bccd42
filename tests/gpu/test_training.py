"""Training on the GPU is training: the CPU's losses, gradients and weights, and runs that go on on either side."""

import io
import json
import math
import signal
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.gpu.on_gpu import to_cpu
from tests.helpers import process_settings
from tinygrad_gpt import array
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.models import (
    GPT,
    GPT1ForClassification,
    GPT1ForMultipleChoice,
    GPT1ForSimilarity,
    GPTConfig,
)
from tinygrad_gpt.tasks.perplexity import evaluate, evaluate_sliding
from tinygrad_gpt.train import any_run
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.text_settings import resolve

TEXT = "the quick brown fox jumps over the lazy dog, and again:\n" * 20
SMALL = dict(n_layer=2, n_head=2, n_embd=8, block_size=8, batch_size=2, warmup=2, eval_tokens=64, sample_tokens=5)
SMALL |= dict(steps=8, log_interval=1, checkpoint_interval=4, eval_interval=4, dropout=0.1)


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8", newline="")
    with process_settings():
        yield


def begun(folder, device="cuda", preset="tiny", **given):
    """A run that has made no step."""
    settings = resolve(preset, SMALL | {"corpus": "text.txt", "device": device} | given)
    return any_run.start(settings, Path(folder))


def trained(folder, device="cuda", **given):
    """A run to its end: (its rows, its arrays)."""
    run = begun(folder, device, **given)
    assert run.train(Reporter(io.StringIO()))
    return result(run)


def resumed(folder, device):
    run = any_run.resume(Path(folder), given={"device": device})
    assert run.trainer.device.kind == device
    assert run.train(Reporter(io.StringIO()))
    return result(run)


def stopped(folder, device, at=4):
    """The first steps of a run, up to its checkpoint."""
    run = begun(folder, device)
    for _ in range(at):
        run.trainer.train_step()
    run.trainer.save()


def result(run):
    return read_metrics(run.folder.metrics), load_checkpoint(run.folder.checkpoint)[0]


def assert_same_rows(rows, right, rtol):
    assert [row["step"] for row in rows] == [row["step"] for row in right]
    for name in ("train_loss", "val_loss", "grad_norm", "lr"):
        got, wanted = ([row[name] for row in some if name in row] for some in (rows, right))
        np.testing.assert_allclose(got, wanted, rtol=rtol, err_msg=name)


def assert_same_arrays(got, right, tolerance):
    assert got.keys() == right.keys()
    for name, wanted in right.items():
        np.testing.assert_allclose(got[name], wanted, rtol=tolerance, atol=tolerance, err_msg=name)


# --- one step ------------------------------------------------------------------------------------------------------

SHAPES = {
    "GPT-2": dict(),
    "GPT-1": dict(norm="post", activation="gelu_tanh", dropout=0.1),
    "untied": dict(tied=False, bias=False),
    "dropouts": dict(dropout=0.2, embd_pdrop=0.1, attn_pdrop=0.3),
    "relu": dict(activation="relu", n_inner=12),
    "gelu": dict(activation="gelu", scale_attn_by_inverse_layer_idx=True),
    "silu": dict(activation="silu", scale_attn_weights=False),
    "tanh": dict(activation="tanh", n_head=1),
}


def gradients(device, dtype, shape, recompute=False, steps=1):
    """(loss, name -> gradient) of a model's step with given batches."""
    tg.manual_seed(3)
    model = GPT(GPTConfig(**(dict(vocab_size=11, block_size=9, n_layer=2, n_head=2, n_embd=8) | shape)))
    model.to(dtype).to(device).recompute = recompute
    ids = np.random.default_rng(1).integers(0, 11, (steps, 3, 10))
    for batch in ids:
        loss = model.loss(batch[:, :-1], batch[:, 1:])
        loss.backward()
    return loss.item(), {name: array.to_numpy(p.grad) for name, p in model.named_parameters()}


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_gradient_is_the_cpus(shape, dtype, tolerance):
    loss, grads = gradients("cuda", dtype, SHAPES[shape])
    right_loss, right = gradients("cpu", dtype, SHAPES[shape])
    assert loss == pytest.approx(right_loss, rel=tolerance)
    assert all(g.dtype == dtype for g in grads.values())
    assert_same_arrays(grads, right, tolerance)


def test_gradients_add_up():
    assert_same_arrays(*(gradients(device, np.float64, {}, steps=3)[1] for device in ("cuda", "cpu")), 1e-12)


def test_recomputation_gives_the_same_bits():
    kept, again = (gradients("cuda", np.float32, SHAPES["dropouts"], recompute) for recompute in (False, True))
    assert kept[0] == again[0]
    for name, grad in kept[1].items():
        np.testing.assert_array_equal(again[1][name], grad, err_msg=name)


@pytest.mark.parametrize("head", [GPT1ForClassification, GPT1ForSimilarity, GPT1ForMultipleChoice])
def test_heads(head):
    tokens = TaskTokens.after(11)
    texts = [np.array([1, 2, 3, 4]), np.array([5, 6]), np.array([7, 8, 9])]
    if head is GPT1ForClassification:
        batch = gpt1_inputs.pad([gpt1_inputs.classification(text, tokens, 12) for text in texts])
    else:
        pairs = [(texts[0], texts[1]), (texts[1], texts[2])]
        batch = gpt1_inputs.pad_groups([gpt1_inputs.similarity(a, b, tokens, 12) for a, b in pairs])
    found = []
    for device in ("cuda", "cpu"):
        tg.manual_seed(3)
        body = GPT(GPTConfig(11 + TaskTokens.COUNT, block_size=12, n_layer=1, n_head=2, n_embd=8, norm="post"))
        model = head(body, *([3] if head is not GPT1ForMultipleChoice else [])).to(np.float64).to(device)
        loss = model.loss(batch.ids, batch.last, np.arange(len(batch.last)) % 2, 0.5)
        loss.total.backward()
        values = {"total": loss.total.item(), "task": loss.task.item(), "language": loss.language.item()}
        found.append(values | {name: array.to_numpy(p.grad) for name, p in model.named_parameters()})
    assert_same_arrays(*found, 1e-12)


# --- runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"recompute": True}, {"accumulate": 2}, {"dtype": "float64"}], ids=str)
def test_a_run_is_the_cpus(given):
    tolerance = 1e-11 if "dtype" in given else 1e-3
    rows, arrays = trained("gpu", "cuda", **given)
    right_rows, right = trained("cpu", "cpu", **given)
    assert_same_rows(rows, right_rows, tolerance)
    assert_same_arrays(arrays, right, tolerance)
    for row, wanted in zip(rows, right_rows, strict=True):
        assert row["health"].keys() == wanted["health"].keys()
        if "accuracy" in row["health"]:
            np.testing.assert_allclose(
                row["health"]["block_gradients"], wanted["health"]["block_gradients"], rtol=max(tolerance, 2e-3)
            )


@pytest.mark.parametrize("preset", [name for name in PRESETS if PRESETS[name].model and PRESETS[name].kind == "gpt"])
def test_every_preset(preset):
    shape = SMALL | dict(steps=2, tokenizer="char", checkpoint_interval=0, eval_interval=0)
    losses = [[row["train_loss"] for row in trained(d, d, preset=preset, **shape)[0]] for d in ("cuda", "cpu")]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_berts_pre_training_is_the_cpus(tmp_path):
    text = "\n\n".join("\n".join(f"the {a} sees the {n} sea" for n in ["red", "blue", "grey"]) for a in "abcdefgh")
    (tmp_path / "texts.txt").write_text(text, encoding="utf-8")
    given = dict(corpus=str(tmp_path / "texts.txt"), vocab=100, n_embd=16, steps=4, log_interval=1, accumulate=2)
    losses = []
    for device in ("cuda", "cpu"):
        run = any_run.start(any_run.choose_settings("bert-tiny", given | {"device": device}), tmp_path / device)
        run.train()
        losses.append([row["train_loss"] for row in read_metrics(run.folder.metrics)])
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.parametrize("then", ["cuda", "cpu"])
def test_a_transformer_xl_goes_on_with_its_memory_on_either_side(then):
    shape = dict(n_layer=2, n_head=2, n_embd=8, window=8, memory=12, batch_size=4, warmup=2, dropout=0.1)
    given = shape | dict(corpus="text.txt", steps=8, log_interval=1, checkpoint_interval=4, eval_interval=4)
    begin = {d: any_run.choose_settings("transformer-xl-char", given | {"device": d}) for d in ("cuda", "cpu")}
    whole = any_run.start(begin["cpu"], Path("whole"))
    whole.train(Reporter(io.StringIO()))
    rows, arrays = result(whole)
    run = any_run.start(begin["cuda"], Path("run"))
    for _ in range(4):
        run.trainer.train_step()
    run.trainer.save()
    run.close()
    resumed_rows, resumed_arrays = resumed("run", then)
    assert_same_rows(resumed_rows, [row for row in rows if row["step"] > 4], 1e-3)
    assert_same_arrays(resumed_arrays, arrays, 1e-3)
    assert resumed_arrays["task.memory.1"].shape == (4, 12, 8)


def test_steps_are_recorded_and_repeated():
    """Nothing in a step waits for the GPU, or the recording would have been refused."""
    run = begun("run")
    for _ in range(5):
        run.trainer.train_step()
    recorded = run.trainer._recorded
    assert recorded.why_not is None and len(recorded._recordings) == 1


def test_a_resumed_run_is_the_same_bit_for_bit():
    rows, arrays = trained("whole")
    stopped("run", "cuda")
    resumed_rows, resumed_arrays = resumed("run", "cuda")
    assert arrays.keys() == resumed_arrays.keys()
    for name, a in arrays.items():
        np.testing.assert_array_equal(resumed_arrays[name], a, err_msg=name)
    assert [row["train_loss"] for row in resumed_rows] == [row["train_loss"] for row in rows if row["step"] > 4]


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_the_other_side(first, then):
    rows, arrays = trained("whole", "cpu")
    stopped("run", first)
    resumed_rows, resumed_arrays = resumed("run", then)
    assert_same_rows(resumed_rows, [row for row in rows if row["step"] > 4], 1e-3)
    assert_same_arrays(resumed_arrays, arrays, 1e-3)


def test_evaluation():
    run = begun("run")
    model, tokens = run.model, run.task.tokens.val
    on_gpu = evaluate(model, tokens, 3), evaluate_sliding(model, tokens, 8, 3, 2)
    model.to("cpu")
    for got, right in zip(on_gpu, (evaluate(model, tokens, 3), evaluate_sliding(model, tokens, 8, 3, 2)), strict=True):
        assert got.tokens == right.tokens and got.loss == pytest.approx(right.loss, rel=1e-6)


def test_weights_that_are_not_finite_are_named():
    run = begun("run")
    run.trainer.train_step()
    run.model.blocks[1].attention.out.bias.data[0] = math.inf
    with pytest.raises(UserError, match=r"step 2: .*the weights blocks\.1\.attention\.out\.bias were not finite"):
        run.trainer.train_step()


# --- commands ------------------------------------------------------------------------------------------------------

OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the command, which must succeed, and compute where --device says, or else on the CPU: its output."""
    real = registry._where

    def command(*arguments):
        places = set()
        monkeypatch.setattr(registry, "_where", lambda arrays: places.add(real(arrays)) or real(arrays))
        assert main(list(arguments)) == 0, capsys.readouterr().err
        monkeypatch.setattr(registry, "_where", real)
        device = [option for option in arguments if option.startswith("--device=")] or ["--device=cpu"]
        wanted = {"--device=cpu": "cpu", "--device=cuda": "cuda", "--device=auto": "cuda"}[device[0]]
        has_own_pairs = any(option.startswith("--with") for option in arguments)  # which are checked on the CPU
        assert wanted in places and (len(places) == 1 or has_own_pairs)
        return capsys.readouterr().out

    return command


def test_train_sample_eval_and_export(command, capsys, tmp_path):
    said = command("train", "text.txt", "--preset=tiny", "--out=run", "--device=cuda", *OPTIONS)
    title = tg.device("cuda").title
    assert said.startswith(f"training in run: preset tiny, on {title}, ")
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["train"]["device"] == "cuda" and config["device"] == title
    how = ["--tokens=30", "--seed=3", "--prompt=the"]
    assert command("sample", "run", *how, "--device=cuda") == command("sample", "run", *how)
    on_gpu, on_cpu = command("eval", "run", "--device=auto"), command("eval", "run")
    assert on_gpu.splitlines()[:3] == on_cpu.splitlines()[:3]
    assert main(["export", "run", "hf"]) == 0
    capsys.readouterr()
    assert command("sample", "hf", *how, "--device=cuda") == command("sample", "run", *how)


def test_ctrl_c_on_the_gpu_and_on_with_it_on_the_cpu(capsys, monkeypatch):
    from tinygrad_gpt.train.trainer import Trainer

    real = Trainer.train_step

    def step(self):
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        return real(self)

    monkeypatch.setattr(Trainer, "train_step", step)
    assert main(["train", "text.txt", "--preset=tiny", "--out=run", "--device=cuda", *OPTIONS]) == 130
    assert "stopped and saved at step 3" in capsys.readouterr().out
    monkeypatch.setattr(Trainer, "train_step", real)
    assert main(["train", "--resume=run", "--device=cpu"]) == 0
    assert "resuming run at step 3: preset tiny, on the CPU, " in capsys.readouterr().out


OWN_PAIR = """
import numpy as np


def forward(x, *, approximate="tanh"):
    u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3) if approximate == "tanh" else None
    if u is None:
        from tinygrad_gpt.ops.gelu import forward

        return forward(x, approximate=approximate)[0], (x, None)
    u = u.astype(x.dtype)
    t = np.tanh(u)
    return 0.5 * x * (1 + t), (x, t)


def backward(dy, saved):
    x, t = saved
    if t is None:
        from tinygrad_gpt.ops.gelu import Saved, backward

        return backward(dy, Saved(x, "none"))
    slope = (np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)).astype(x.dtype)
    return (dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * slope),)
"""

OWN_EMBEDDING = """
import numpy as np


def forward(ids, weight):
    return weight[ids], (ids, weight.shape)


def backward(dy, saved):
    ids, shape = saved
    dweight = np.zeros_like(dy, shape=shape)
    np.add.at(dweight, ids, dy)
    return None, dweight
"""


def test_a_learners_pair_runs_on_the_gpu(command, tmp_path):
    """It is written for NumPy, and NumPy's functions find their way."""
    (tmp_path / "my_gelu.py").write_text(OWN_PAIR, encoding="utf-8")
    (tmp_path / "my_embedding.py").write_text(OWN_EMBEDDING, encoding="utf-8")
    pairs = ["--with=my_gelu.py", "--with=my_embedding.py"]
    said = command("train", "text.txt", "--preset=tiny", "--out=run", "--device=cuda", *pairs, *OPTIONS)
    assert "my_gelu.py is right for gelu" in said and "my_embedding.py is right for embedding" in said
    for op in ("gelu", "embedding"):
        for version in registry.versions(op):
            if version.name not in ("reference", *registry.LIBRARIES, *registry.ROUNDING):
                registry.unregister(version)
    rows, right = read_metrics(Path("run") / "metrics.jsonl"), trained("right", "cpu")[0]
    assert_same_rows(rows, right, 1e-3)


def test_fine_tuning_and_classifying(command, tmp_path):
    lines = [f"the {'cat' if i % 3 else 'dog'} sat{' on' * (i % 5)}\t{'c' if i % 3 else 'd'}\n" for i in range(60)]
    (tmp_path / "own.tsv").write_text("".join(lines), encoding="utf-8")
    shape = [option for option in OPTIONS if not option.startswith("--block-size")]
    command("train", "text.txt", "--preset=gpt1-small", "--tokenizer=char", "--out=pre", "--block-size=24", *shape)
    how = ["--from=pre", "--epochs=1", "--batch-size=16", "--lr=1e-3", "--lm-weight=0.5"]
    said = command("finetune", "own.tsv", *how, "--out=gpu", "--device=cuda")
    assert f"fine-tuning in gpu on {tg.device('cuda').title}: " in said
    command("finetune", "own.tsv", *how, "--out=cpu")
    rows, right = (read_metrics(Path(name) / "lm-0.5-seed-1" / "metrics.jsonl") for name in ("gpu", "cpu"))
    assert len(rows) == len(right) > 0 and "matthews" in rows[-1]
    for name in ("train_loss", "task_loss", "lm_loss", "grad_norm"):
        np.testing.assert_allclose([row[name] for row in rows], [row[name] for row in right], rtol=1e-3)
    assert rows[-1]["accuracy"] == right[-1]["accuracy"]
    texts = ["the cat sat", "the dog sat on"]
    first, *others = (command("classify", "gpu", *texts, f"--device={device}") for device in ("cuda", "cpu", "auto"))
    assert all(other == first for other in others) and first.count("\n") == 2


def test_info_shows_the_card(capsys):
    assert main(["info"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "compute capability" in said and f"on {tg.device('cuda').title}" in said


def test_a_model_as_transformers_calls_it():
    from tinygrad_gpt.models import CausalLM

    outputs = []
    ids, mask = np.array([[0, 0, 3, 1], [4, 2, 5, 1]]), np.array([[0, 0, 1, 1], [1, 1, 1, 1]])
    for device in ("cuda", "cpu"):
        tg.manual_seed(1)
        model = CausalLM(GPTConfig(7, block_size=8, n_layer=2, n_head=2, n_embd=8)).to(np.float64).to(device).eval()
        where = model.token_embedding.weight.device.move_here
        for given, given_mask in ((ids, mask), (where(ids), where(mask))):
            out = model(given, given_mask, labels=given, output_hidden_states=True, output_attentions=True)
            out.loss.backward()
            parts = [out.logits, out.loss, *out.hidden_states, *out.attentions]
            outputs.append({str(i): array.to_numpy(part.data) for i, part in enumerate(parts)})
            outputs[-1]["log p"] = model.log_prob(given, given_mask)
    for got in outputs[:-1]:
        assert_same_arrays(got, outputs[-1], 1e-12)
    assert to_cpu(CausalLM(GPTConfig(7, n_head=1, n_embd=4)).to("cuda")(ids).logits.data).shape == (2, 4, 7)
