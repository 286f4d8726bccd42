"""`tg.load` and `tg.save`, and what `tinygrad_gpt.train` offers."""

import ast
import re

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import array
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPT2, GPTConfig, save_pretrained
from tinygrad_gpt.nn import Linear
from tinygrad_gpt.train import fit, start


def test_a_run_becomes_a_model_and_a_tokenizer(settings, reporter, tmp_path):
    run = start(settings(dtype="float64"), tmp_path / "run")
    run.train(reporter)
    array.set_default_dtype("float32")
    loaded = tg.load(tmp_path / "run")
    model, tokenizer = loaded
    assert array.default_dtype() == np.float32 and not model.training
    for p, q in zip(run.model.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    text = loaded.sample("the ", 12, seed=1, temperature=0.5)
    assert text.startswith("the ") and len(text) == 16 and tokenizer.decode(tokenizer.encode(text)) == text
    assert text == "the " + "".join(loaded.stream("the ", 12, seed=1, temperature=0.5))


def test_a_hugging_face_folder(text, tmp_path):
    tokenizer = CharTokenizer(text.read_text(encoding="utf-8"))
    save_pretrained(GPT2(GPTConfig(tokenizer.vocab_size, 8, 1, 2, 8)), tmp_path / "hf", tokenizer)
    model, own = tg.load("hf")
    assert isinstance(model, GPT) and own.vocab_size == tokenizer.vocab_size


def test_arrays_and_models_are_saved_and_loaded(tmp_path):
    model = GPT(GPTConfig(5, 4, 1, 2, 8))
    tg.save(model, tmp_path / "model.safetensors")
    state = tg.load("model.safetensors")
    other = GPT(GPTConfig(5, 4, 1, 2, 8))
    other.load_state_dict(state)
    assert list(state) == list(model.state_dict())
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(state[name], a)
    some = {"a": tg.tensor([1.5]), "b": np.arange(3), "c": [[True], [False]], "scalar": 2.0}
    tg.save(some, "some.safetensors")
    back = tg.load(tmp_path / "some.safetensors")
    assert {name: (a.dtype.name, a.tolist()) for name, a in back.items()} == {
        "a": ("float32", [1.5]),
        "b": ("int64", [0, 1, 2]),
        "c": ("bool", [[True], [False]]),
        "scalar": ("float64", 2.0),
    }


def test_halves_become_float32(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    x = torch.tensor([[1.0, -2.5], [0.125, 3.0]])
    save_file({"bf": x.to(torch.bfloat16), "half": x.half(), "whole": x}, tmp_path / "torch.safetensors")
    for name, a in tg.load("torch.safetensors").items():
        assert a.dtype == np.float32, name
        np.testing.assert_array_equal(a, x.numpy())


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "pytorch_model.bin"])
def test_pickles_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(UserError, match=r"is a pickle by its name, which runs code.*safetensors\.torch\.save_file"):
        tg.load(name)
    with pytest.raises(UserError, match=r"file name that ends in \.safetensors.*: a pickle runs code"):
        tg.save({}, name)


def test_other_mistakes(tmp_path):
    (tmp_path / "text.md").write_text("hello", encoding="utf-8")
    with pytest.raises(UserError, match=r"a \.safetensors file, got the file text\.md"):
        tg.load("text.md")
    with pytest.raises(UserError, match=r"there is no file .*no\.safetensors"):
        tg.load("no.safetensors")
    x = np.zeros((4, 2), np.float32)
    fit(Linear(2, 1), (x, x[:, :1]), steps=1, out="fitted", progress=False)
    with pytest.raises(UserError, match=r"learns the task pairs, not a language model: make the model again") as error:
        tg.load("fitted")
    arrays = tg.load("fitted/checkpoint.safetensors")
    again = re.search(r"model\.load_state_dict\(.*\)", str(error.value))[0]
    eval(again, {"model": Linear(2, 1), "arrays": arrays})
    assert "model.weight" in tg.load("fitted/checkpoint.safetensors")
    with pytest.raises(TypeError, match="expected a path or a name, got 3"):
        tg.load(3)
    with pytest.raises(UserError, match=r"ends in \.safetensors, got 'x'"):
        tg.save({}, "x")
    for what in (3, [np.zeros(2)], {1: np.zeros(2)}):
        with pytest.raises(TypeError, match="expected a Module, or a dictionary of name -> array"):
            tg.save(what, "x.safetensors")
    for value in (np.zeros(2, np.complex64), "text", {"b": np.zeros(2)}):
        with pytest.raises(TypeError, match=r"expected float32, .* as a, got"):
            tg.save({"a": value}, "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_the_example_in_the_docstring_of_train_runs(text, tmp_path, monkeypatch):
    """As it stands, with a smaller preset and text."""
    lines = tg.train.__doc__.splitlines()
    first = next(i for i, line in enumerate(lines) if "import fit" in line)
    last = next(i for i, line in enumerate(lines) if "resume(" in line and i > first)
    example = "\n".join(line.strip() for line in lines[first : last + 1])
    example = example.replace('"quick"', '"tiny"').replace("steps=500", "steps=5")
    shown, small = ast.literal_eval('{"corpus": "shakespeare"}'), dict(n_layer=1, n_embd=8, block_size=8, steps=4)
    assert repr(shown).replace("'", '"') in example
    example = example.replace('{"corpus": "shakespeare"}', repr({"corpus": str(text), "sample_tokens": 0} | small))
    names = {"model": GPT(GPTConfig(5, 4, 1, 2, 8))}
    names["x"] = names["y"] = names["x_val"] = names["y_val"] = np.arange(40).reshape(10, 4) % 5
    exec(example, names)
    assert names["history"][-1]["step"] == 5 and names["run"].trainer.step == 4


def test_no_path_is_no_folder():
    with pytest.raises(TypeError, match="load: expected a path or a name, got ''"):
        tg.load("")
