"""Models from the user's files: `train --model llama.py`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays
from tinygrad_gpt import random_stream
from tinygrad_gpt.cli import main
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate import generate
from tinygrad_gpt.models import GPTConfig
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.own_model import load_own_model, try_model
from tinygrad_gpt.train.saved_runs import TrainedRun
from tinygrad_gpt.train.trained_model import open_model

LLAMA = (Path(__file__).parent / "llama.py").read_text(encoding="utf-8")
SHAPE = GPTConfig(11, block_size=8, n_layer=2, n_head=2, n_embd=16)
# A GPT without learned positions, whose blocks rotate queries and keys. START and CACHE are what learners get wrong.
ROTARY_GPT = (
    LLAMA.replace("Module, RMSNorm", "Module, RMSNorm\nfrom tinygrad_gpt.models import GPT")
    + """

class Rotary(Block):
    def forward(self, x, cache=None):
        b, t, c = x.shape
        start = START
        cos, sin = self.cos[start : start + t], self.sin[start : start + t]
        qkv = self.qkv(self.norm1(x)).reshape(b, t, 3 * self.n_head, c // self.n_head).transpose(1, 2)
        q, k, v = F.chunk(qkv, 3, dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        CACHE
        y = F.attention(q, k, v, causal=True).transpose(1, 2).reshape(b, t, c)
        return x + self.out(y)


class Model(GPT):
    def __init__(self, config):
        super().__init__(config)
        self.blocks = [Rotary(config) for _ in range(config.n_layer)]
"""
)
CACHED = ROTARY_GPT.replace("START", "0 if cache is None else cache.length").replace(
    "CACHE", "k, v = (k, v) if cache is None else cache.extend(k, v)"
)
IGNORING = ROTARY_GPT.replace("START", "0").replace("CACHE", "pass")
DECLINING = IGNORING.replace(", cache=None", "")


@pytest.fixture
def write(tmp_path):
    def write(text=LLAMA, name="llama.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.fixture
def made(write):
    """A model from a file's text, tried."""

    def made(text, **shape):
        random_stream.manual_seed(3)
        own, config = load_own_model(write(text)), GPTConfig(**vars(SHAPE) | shape)
        model = own.make(config)
        made.notes = try_model(own, model, config)
        return model

    return made


def test_a_llama_is_trained_resumed_and_opened_without_its_file(settings, reporter, write, tmp_path, capsys):
    file = write()
    given = dict(steps=12, n_head=2, n_embd=8, n_layer=2)
    whole = start(settings(**given), tmp_path / "whole", own_model=load_own_model(file))
    assert type(whole.model).__name__ == "Model" and whole.train(reporter)
    part = start(settings(**given), tmp_path / "part", own_model=load_own_model(file))
    assert not part.train(StopsAt(5))
    file.unlink()
    again = resume(tmp_path / "part")
    assert again.trainer.step == 5 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))

    written = json.loads(whole.folder.config.read_text(encoding="utf-8"))
    assert written["own_model"]["file"] == "llama.py" and written["parameters"] == whole.model.num_parameters()
    assert whole.folder.model.read_text(encoding="utf-8") == LLAMA
    source, tokenizer, model = open_model(str(whole.folder.path))
    assert {"config.json", "checkpoint.safetensors", "own_model.py"} == set(source.sha256)
    texts = [list(generate(m, tokenizer.encode("the "), 20, seed=1)) for m in (whole.model, model)]
    assert texts[0] == texts[1] and len(texts[0]) == 20  # beyond the window of 8
    for command in ("sample", "eval", "doctor"):
        assert main([command, "whole", *(["--tokens", "5"] if command == "sample" else [])]) == 0
    assert capsys.readouterr().err.count(f"ran {Path('whole', 'own_model.py')}\n") == 2, "sample and eval say so"
    assert main(["export", "whole", "hf"]) == 2
    assert "Model has no Hugging Face layout" in capsys.readouterr().err and not Path("hf").exists()


def test_fine_tuning_goes_on_with_the_same_model(settings, reporter, write, tmp_path, text):
    start(settings(n_embd=8), tmp_path / "first", own_model=load_own_model(write())).train(reporter)
    chosen = choose_settings(None, {"from_": "first", "corpus": str(text), "steps": 3, "batch_size": 2, "dropout": 0.1})
    run = start(chosen, tmp_path / "second")
    for p, q in zip(run.model.parameters(), TrainedRun(tmp_path / "first").load().parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "llama.py").unlink()
    assert run.train(reporter) and type(open_model("second")[2]).__name__ == "Model"
    assert run.model.config.dropout == 0.1
    with pytest.raises(UserError, match="--from brings its own model, with its weights: leave out --model"):
        chosen = choose_settings(None, {"from_": "second", "corpus": str(text)})
        start(chosen, tmp_path / "third", own_model=load_own_model(write()))
    assert not (tmp_path / "third").exists()


def test_buffers_are_kept_like_parameters(settings, reporter, write, tmp_path, text):
    counting = LLAMA.replace(
        "self.embedding = ", "self.register_buffer('seen', tg.zeros(1))\n        self.embedding = "
    )
    counting = counting.replace("x = self.emb", "self.seen.data += self.training\n        x = self.emb")
    start(settings(steps=6), tmp_path / "first", own_model=load_own_model(write(counting))).train(reporter)
    assert open_model("first")[2].seen.item() == 6
    second = start(choose_settings(None, {"from_": "first", "corpus": str(text), "steps": 3}), tmp_path / "second")
    assert second.model.seen.item() == 6 and second.train(reporter) and second.model.seen.item() == 9


def test_a_classifier_wants_a_gpt(settings, reporter, write, tmp_path, capsys):
    start(settings(), tmp_path / "first", own_model=load_own_model(write())).train(reporter)
    rows = "".join(f"the quick fox {i}\t{i % 2}\n" for i in range(8))
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text(rows, encoding="utf-8")
    main(["finetune", str(tmp_path), "--from", "first", "--out", "classifier"])
    assert "first holds a model of its own (llama.py)" in capsys.readouterr().err
    assert not Path("classifier").exists()


def test_a_resumed_run_keeps_its_file(settings, write, tmp_path):
    file = write()
    start(settings(), tmp_path / "run", own_model=load_own_model(file))
    assert resume(tmp_path / "run", own_model=load_own_model(file)).trainer.step == 0
    with pytest.raises(UserError, match=r"llama\.py has changed since this run was started with it"):
        resume(tmp_path / "run", own_model=load_own_model(write(LLAMA + "\n")))
    (tmp_path / "run" / "own_model.py").write_text(LLAMA + "raise SystemExit\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"own_model\.py is not the file that this run was started with"):
        resume(tmp_path / "run")
    (tmp_path / "run" / "own_model.py").unlink()
    with pytest.raises(UserError, match=r"cannot read .*own_model\.py"):
        resume(tmp_path / "run")
    start(settings(), tmp_path / "plain")
    with pytest.raises(UserError, match="was not started with"):
        resume(tmp_path / "plain", own_model=load_own_model(file))


def test_a_file_that_says_float32_trains_in_float64_too(settings, reporter, write, tmp_path):
    run = start(settings(dtype="float64"), tmp_path / "run", own_model=load_own_model(write()))
    assert run.train(reporter) and {p.dtype for p in run.model.parameters()} == {np.dtype(np.float64)}
    assert {buffer.dtype for buffer in run.model.buffers()} == {np.dtype(np.float64)}


def test_settings_reach_the_model_from_the_command_line(write, tmp_path, text, capsys):
    small = ["--preset", "tiny", "--steps", "2", "--n-layer", "1", "--n-head", "2", "--n-embd", "8"]
    small += ["--block-size", "4", "--eval-tokens", "8", "--sample-tokens", "3"]
    assert main(["train", str(text), "--model", str(write()), "--out", "run", *small]) == 0, capsys.readouterr().err
    config = open_model("run")[2].config
    assert (config.n_layer, config.n_embd, config.block_size) == (1, 8, 4)
    assert "the model of llama.py, preset tiny" in capsys.readouterr().out
    given = ["--dropout", "0.1", "--positions", "none", "--n-embd", "16"]
    assert main(["train", str(text), "--model", "llama.py", "--out", "deaf", *small, *given]) == 0
    said = capsys.readouterr().out
    assert "llama.py does not name dropout: --dropout changes nothing" in said
    assert "--positions changes nothing" in said and "n-embd changes" not in said
    assert main(["train", str(text), "--model", "llama.py", "--out", "other", "--recompute", *small]) == 2
    assert "Model has no `recompute` to switch on" in capsys.readouterr().err


# --- what is wrong with a model is said before it trains --------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("class Model(Module)", "class Llama(Module)", r"llama\.py defines no Model: expected a class Model\(Module\)"),
        ("class Model(Module)", "class Model", "class Model is no Module: expected"),
        (
            "class Model(Module)",
            "def Model(config):\n    return 3\n\n\nclass Other(Module)",
            "gave 3, which is no Module",
        ),
        (
            "self.head(self.norm(x))",
            "self.norm(x)",
            r"expected forward to return logits .* \(2, 6, 11\) .*\(2, 6, 16\)",
        ),
        ("causal=True", "causal=False", "the logits of the first 1 tokens change when others follow"),
        ("x = self.embedding(ids)", "x = F.dropout(self.embedding(ids), 0.5)", "forward gives other logits each time"),
        ("self.embedding = ", "self.config = 3; self.embedding = ", "Model has 3 as `config`, which should be"),
        ("import numpy as np", "import numpy as np\nimport my_parts", "imports my_parts, which is not installed"),
        ("class Model(Module)", "class Model(Module", r"llama\.py, line \d+: "),
        (
            "return self.head(self.norm(x))",
            "return (self.head(self.norm(x)) * 0.0).detach()",
            "depends on no parameter",
        ),
    ],
)
def test_mistakes_in_a_file(made, before, after, said):
    assert before in LLAMA
    with pytest.raises(UserError, match=said):
        made(LLAMA.replace(before, after))


@pytest.mark.parametrize(
    "drawn",
    [
        "self.noise = np.random.default_rng().normal(size=16).astype(np.float32)",
        "self.register_buffer('noise', tg.randn(16), persistent=False)",
    ],
)
def test_what_is_random_and_not_kept_is_refused(made, drawn):
    text = LLAMA.replace("self.embedding = ", f"{drawn}\n        self.embedding = ")
    text = text.replace("self.embedding(ids)\n", "self.embedding(ids) + self.noise\n")
    with pytest.raises(UserError, match="made again, with the same Parameters, it gives other logits"):
        made(text)
    made(
        text.replace(", persistent=False)\n        self.e", ")\n        self.e").replace(
            "default_rng()", "default_rng(3)"
        )
    )


def test_what_is_not_used_is_named(made):
    made(LLAMA.replace("self.norm, self.head", "self.extra = Linear(2, 3)\n        self.norm, self.head"))
    assert made.notes == ["llama.py: the loss does not depend on extra.weight, extra.bias: not used, so not trained"]
    made(LLAMA)
    assert made.notes == []


def test_trying_a_model_leaves_no_trace(made, write):
    random_stream.manual_seed(5)
    draws = "x = self.embedding(ids)\n        F.dropout(x, 0.5, training=True)"
    own = load_own_model(write(LLAMA.replace("x = self.embedding(ids)", draws)))
    model = own.make(SHAPE)
    before, state = {n: a.copy() for n, a in model.state_dict().items()}, random_stream.random_state()
    try_model(own, model, SHAPE)
    assert random_stream.random_state() == state and all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
    assert_same_arrays(before, model.state_dict())


# --- a GPT with other blocks, and caches that are right or declined ---------------------------------------------------


@pytest.mark.parametrize("text", [CACHED, IGNORING, DECLINING], ids=["cached", "ignoring", "declining"])
def test_a_rotary_gpt_writes_the_same_text_with_and_without_a_cache(made, text):
    model = made(text, positions="none", block_size=16, tied=False)
    assert model.position_embedding is None
    rng = np.random.default_rng(1)
    for p in model.parameters():
        if p.ndim == 2:
            p.data[...] = rng.normal(0, 0.6, p.shape)  # surer predictions, which hang on the context
    written = list(generate(model, [1, 2, 3], 12, temperature=0))
    ids = [1, 2, 3]
    for _ in range(12):
        ids.append(int(model(np.array([ids])).numpy()[0, -1].argmax()))
    assert written == ids[3:] and len(set(written)) > 2


def test_a_cache_that_is_used_wrongly_is_refused(made):
    with pytest.raises(UserError, match=r"with a cache, reading 1 more after 3 tokens gives other logits"):
        made(CACHED.replace("0 if cache is None else cache.length", "0"), positions="none")


def test_a_cache_that_is_right_for_one_new_token_only_is_refused(made):
    with pytest.raises(UserError, match=r"with a cache, reading 3 more after 0 tokens gives other logits"):
        made(CACHED.replace("causal=True", "causal=cache is None"), positions="none")


def test_a_forward_that_generation_would_pass_by_is_refused(made):
    own = "class Model(GPT):\n    def forward(self, ids):\n        return -super().forward(ids)\n"
    with pytest.raises(UserError, match="next_logits, which generation asks, gives other logits than forward"):
        made(f"from tinygrad_gpt.models import GPT\n\n\n{own}")
