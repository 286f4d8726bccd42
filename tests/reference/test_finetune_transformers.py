"""Fine-tuning and perplexity of a GPT-2 checkpoint on WikiText-2, beside transformers and torch.optim.

The checkpoint is small and random, with GPT-2's own vocabulary; transformers has written it. Our side is the trainer
itself, as `tinygrad-gpt train wikitext-2 --from FOLDER` runs it.
"""

import io
import json
import shutil

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import open_corpus, prepare_tokens
from tinygrad_gpt.files.storage import data_folder
from tinygrad_gpt.tasks.perplexity import evaluate_sliding
from tinygrad_gpt.train.any_run import choose_settings, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.trained_model import open_model

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(
        data_folder() is None or not (data_folder() / "gpt2-bpe").is_dir(),
        reason="TINYGRAD_GPT_DATA has no gpt2-bpe and wikitext-2",
    ),
]
STEPS, LR, DECAY, MAX_NORM = 10, 2e-3, 0.1, 0.5
POSITIONS, WINDOW = 64, 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    no_dropout = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    config = transformers.GPT2Config(n_positions=POSITIONS, n_embd=48, n_layer=3, n_head=4, **no_dropout)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for p in model.parameters():  # biases and norms, too, and weights large enough for context to matter
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(data_folder() / "gpt2-bpe" / name, folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")  # one for all tests: tokenising takes longer than the rest


@pytest.fixture(autouse=True)
def own_place(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    state = random_stream.random_state()
    yield
    random_stream.set_random_state(state)


def our_run(folder, out, **given):
    settings = dict(corpus="wikitext-2", from_=str(folder), block_size=WINDOW, steps=STEPS, batch_size=4, lr=LR)
    settings |= dict(weight_decay=DECAY, grad_clip=MAX_NORM, warmup=2, eval_tokens=1, sample_tokens=0)
    run = start(choose_settings(None, settings | given), out)
    run.task.evaluate = lambda *given: {"val_loss": 0.0}  # not the subject, and all of the test text
    return run


def their_losses(folder, batches_of_steps) -> list[float]:
    """The loss before each update by transformers' model, decay groups and schedule, and torch's AdamW."""
    model = transformers.GPT2LMHeadModel.from_pretrained(folder).train()
    decays = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decays, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step, batches in enumerate(batches_of_steps):
        rate = LR * (step + 1) / 3 if step < 2 else LR * (STEPS - step) / (STEPS - 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        total = 0.0
        for x, y in batches:
            logits = model(torch.from_numpy(x)).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y).flatten())
            (loss / len(batches)).backward()
            total += loss.item() / len(batches)
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        losses.append(total)
    return losses


@pytest.mark.parametrize(
    "given",
    [{}, {"accumulate": 2, "batch_size": 2}, {"recompute": True}, {"batches": "random"}],
    ids=["plain", "accumulate", "recompute", "random"],
)
def test_ten_steps_of_fine_tuning(folder, tmp_path, given):
    run = our_run(folder, tmp_path / "run", **given)
    batches = []
    for step in range(STEPS):
        run.trainer.step = step
        batches.append(run.trainer.batches())
    run.trainer.step = 0
    assert [len(b) for b in batches] == [given.get("accumulate", 1)] * STEPS
    assert run.train(Reporter(io.StringIO()))
    ours = [row["train_loss"] for row in read_metrics(run.folder.metrics)]
    theirs = their_losses(folder, batches)
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    assert theirs[0] - theirs[-1] > 0.3, "too little has changed for this to prove anything"


@pytest.mark.parametrize("stride", [16, 63])
def test_perplexity_with_a_stride(folder, stride):
    """Their guide's loop, with the mean over tokens taken exactly."""
    _, tokenizer, model = open_model(str(folder))
    tokens = prepare_tokens(open_corpus("wikitext-2"), tokenizer).val[:700]
    theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    ids = torch.from_numpy(np.asarray(tokens).astype(np.int64))[None]
    total, count, previous_end = 0.0, 0, 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + POSITIONS, len(tokens))
        labels = ids[:, begin:end].clone()
        labels[:, : previous_end - begin] = -100
        asked = int((labels[:, 1:] != -100).sum())  # the first label of a window is not asked for
        with torch.no_grad():
            total += theirs(ids[:, begin:end], labels=labels).loss.item() * asked
        count += asked
        previous_end = end
        if end == len(tokens):
            break
    score = evaluate_sliding(model, tokens, POSITIONS, stride, batch_size=3)
    assert score.tokens == count == 699
    assert score.loss == pytest.approx(total / count, abs=1e-5)
    assert score.perplexity == pytest.approx(np.exp(total / count), rel=1e-5)


def test_what_was_fine_tuned_here_is_exported_to_transformers(folder, tmp_path):
    from tinygrad_gpt.cli import main

    run = our_run(folder, tmp_path / "run", steps=2, batch_size=1)
    run.train(Reporter(io.StringIO()))
    assert main(["export", "run", "exported"]) == 0
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained("exported", output_loading_info=True)
    assert not any(report.values()), report
    assert theirs.config.eos_token_id == 50256 and theirs.config.n_positions == POSITIONS
    tokenizer = transformers.AutoTokenizer.from_pretrained("exported")
    text = "The model, fine-tuned: 27 steps.\n"
    ids = run.task.tokenizer.encode(text)[None]
    assert tokenizer(text)["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        logits = theirs.eval()(torch.from_numpy(ids)).logits.numpy()
    run.model.eval()
    np.testing.assert_allclose(logits, run.model(ids).numpy(), rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "exported" / "config.json").read_text(encoding="utf-8"))["model_type"] == "gpt2"
