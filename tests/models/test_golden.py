"""Two small checkpoints that transformers wrote, and what it computed with them: the same here, without it installed.

tests/reference/record_golden.py recorded them and says what is in them.
"""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tinygrad_gpt as tg
from tinygrad_gpt.models import GPT1, GPT2

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = {np.float64: 1e-11, np.float32: 1e-5}


@pytest.fixture(params=["gpt2", "openai-gpt"])
def family(request):
    return request.param


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def model(family, dtype):
    return {"gpt2": GPT2, "openai-gpt": GPT1}[family].from_pretrained(GOLDEN / family, dtype=dtype)


@pytest.fixture
def golden(family):
    return load_file(GOLDEN / family / "expected.safetensors")


def test_outputs_and_gradients(model, golden, dtype):
    def check(name, ours, theirs):
        assert ours.dtype == dtype, name
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=name)

    output = model(golden["ids"], labels=golden["labels"], output_hidden_states=True, output_attentions=True)
    output.loss.backward()
    check("logits", output.logits.data, golden["logits"])
    check("loss", output.loss.data, golden["loss"])
    assert len(output.hidden_states) == 3 and len(output.attentions) == 2
    for i, x in enumerate(output.hidden_states):
        check(f"hidden.{i}", x.data, golden[f"hidden.{i}"])
    for i, x in enumerate(output.attentions):
        check(f"attention.{i}", x.data, golden[f"attention.{i}"])
    gradients = {}
    for name, p in model.named_parameters():
        gradients |= model.layout.tensors(name, p.grad)
    compared = [name.removeprefix("gradient.") for name in golden if name.startswith("gradient.")]
    assert len(compared) == 4
    for name in compared:
        check(name, gradients[name], golden[f"gradient.{name}"])


def test_padded_batches(model, golden, dtype):
    real = golden["mask"] == 1
    logits = model(golden["ids"], golden["mask"], golden["positions"]).logits.data
    scale = np.abs(golden["logits"]).max()
    np.testing.assert_allclose(logits[real], golden["padded_logits"][real], rtol=0, atol=TOLERANCE[dtype] * scale)
    assert np.abs(golden["padded_logits"] - golden["logits"])[0][real[0]].max() > 0.01, "the mask should matter"


def test_greedy_tokens(model, golden):
    text = golden["ids"][:, :5]
    with tg.no_grad():
        for _ in range(golden["greedy"].shape[1]):
            text = np.concatenate([text, model.next_logits(text).numpy().argmax(-1)[:, np.newaxis]], axis=1)
    np.testing.assert_array_equal(text[:, 5:], golden["greedy"])


def test_saved_again_it_is_the_same(model, family, dtype, tmp_path):
    if dtype != np.float32:
        pytest.skip("the files are in float32")
    model.save_pretrained(tmp_path)
    theirs, ours = load_file(GOLDEN / family / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert set(theirs) == set(ours)
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor, err_msg=name)
    config = GOLDEN / family / "config.json"
    assert (tmp_path / "config.json").read_text(encoding="utf-8") == config.read_text(encoding="utf-8")
