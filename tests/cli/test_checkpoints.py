"""The command on checkpoints from elsewhere: a good one is measured; each malformed one gets a line and status 2."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.checkpoints import GPT2_CONFIG, GPT2_SHAPES, gpt2_folder, random_tensors
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.models.hf.folder import write_folder

CHARACTERS = "abcdefghij "  # as many as the checkpoint has tokens


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text.txt").write_text("a bad cafe " * 100, encoding="utf-8")
    CharTokenizer(CHARACTERS).save(tmp_path / "gpt2" / "tokenizer.json")
    return gpt2_folder(tmp_path / "gpt2")


def change_weights(folder, **changes):
    """Give tensors other values, or with None take them away."""
    tensors = load_file(folder / "model.safetensors") | {name.replace("__", "."): x for name, x in changes.items()}
    save_file({name: x for name, x in tensors.items() if x is not None}, folder / "model.safetensors")


def change_config(folder, **changes):
    config = {name: value for name, value in (GPT2_CONFIG | changes).items() if value != "gone"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def lie_about_offsets(folder):
    file = folder / "model.safetensors"
    content = file.read_bytes()
    assert b'"data_offsets":[0,' in content
    file.write_bytes(content.replace(b'"data_offsets":[0,', b'"data_offsets":[4,'))


def lose_a_shard(folder):
    write_folder(folder, GPT2_CONFIG, random_tensors(GPT2_SHAPES), max_shard_size=1000)
    next(folder.glob("model-*.safetensors")).unlink()


def pickle_the_weights(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


MALFORMED = {
    "missing tensor": (lambda f: change_weights(f, transformer__ln_f__bias=None), "missing: transformer.ln_f.bias"),
    "extra tensor": (lambda f: change_weights(f, score__weight=np.ones(3)), "unexpected: score.weight"),
    "wrong shape": (
        lambda f: change_weights(f, transformer__wpe__weight=np.ones((9, 6))),
        "wrong shape: transformer.wpe.weight (9, 6), not (7, 6)",
    ),
    "wrong dtype": (
        lambda f: change_weights(f, transformer__ln_f__bias=np.ones(6, np.int32)),
        "wrong dtype: transformer.ln_f.bias I32",
    ),
    "truncated": (cut_short, "model.safetensors is damaged, cut short"),
    "header that lies about offsets": (lie_about_offsets, "model.safetensors is damaged"),
    "absent shard": (lose_a_shard, "which is missing"),
    "pickle": (pickle_the_weights, "is a pickle; reading it could run any code, so it is refused"),
    "config without a field": (lambda f: change_config(f, n_head="gone"), "config.json lacks n_head"),
    "unsupported setting": (lambda f: change_config(f, add_cross_attention=True), "add_cross_attention is True"),
    "unknown setting": (lambda f: change_config(f, alibi=True), "may change what the model computes: alibi"),
}


def test_a_good_one_is_measured(folder, capsys):
    assert main(["eval", str(folder), "text.txt"]) == 0
    assert "perplexity" in capsys.readouterr().out


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_one_gets_one_line(folder, capsys, name):
    change, says = MALFORMED[name]
    change(folder)
    assert main(["eval", str(folder), "text.txt"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and says in error, error


def test_a_name_that_is_nowhere(folder, capsys):
    assert main(["eval", "openai-community/gpt2", "text.txt"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no folder openai-community/gpt2" in error
