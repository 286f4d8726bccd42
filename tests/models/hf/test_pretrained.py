"""Loading and saving: every tensor reaches its parameter and comes back; what does not fit is listed in one line."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tinygrad_gpt as tg
from tests.checkpoints import (
    BERT_CONFIG,
    BERT_SHAPES,
    GPT1_CONFIG,
    GPT1_SHAPES,
    GPT2_CONFIG,
    GPT2_SHAPES,
    MARIAN_CONFIG,
    MARIAN_SHAPES,
    gpt2_folder,
    random_tensors,
    write_checkpoint,
)
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPT1, GPT2, CausalLM, GPTConfig, load_pretrained, save_pretrained
from tinygrad_gpt.random_stream import normal, random_state
from tinygrad_gpt.train.trained_model import find_model

GPT2_TENSORS, GPT1_TENSORS = random_tensors(GPT2_SHAPES), random_tensors(GPT1_SHAPES)
IDS = np.random.default_rng(1).integers(0, 11, (2, 7))
HEAD = np.random.default_rng(2).normal(size=(11, 6)).astype(np.float32)


def refusal(folder, model_class=CausalLM) -> str:
    with pytest.raises(UserError) as error:
        model_class.from_pretrained(folder)
    message = str(error.value)
    assert "\n" not in message
    return message


def without(tensors: dict, *names: str) -> dict:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


# --- loading --------------------------------------------------------------------------------------------------------


def test_gpt2s_tensors_reach_their_parameters(tmp_path):
    model = GPT2.from_pretrained(gpt2_folder(tmp_path))
    state = model.state_dict()
    assert len(state) == len(GPT2_TENSORS)
    for name, tensor in {
        "token_embedding.weight": GPT2_TENSORS["transformer.wte.weight"],
        "position_embedding.weight": GPT2_TENSORS["transformer.wpe.weight"],
        "blocks.0.attention_norm.weight": GPT2_TENSORS["transformer.h.0.ln_1.weight"],
        "blocks.1.attention.qkv.weight": GPT2_TENSORS["transformer.h.1.attn.c_attn.weight"].T,
        "blocks.1.attention.qkv.bias": GPT2_TENSORS["transformer.h.1.attn.c_attn.bias"],
        "blocks.0.attention.out.weight": GPT2_TENSORS["transformer.h.0.attn.c_proj.weight"].T,
        "blocks.1.feed_forward_norm.bias": GPT2_TENSORS["transformer.h.1.ln_2.bias"],
        "blocks.0.feed_forward.up.weight": GPT2_TENSORS["transformer.h.0.mlp.c_fc.weight"].T,
        "blocks.1.feed_forward.down.weight": GPT2_TENSORS["transformer.h.1.mlp.c_proj.weight"].T,
        "final_norm.bias": GPT2_TENSORS["transformer.ln_f.bias"],
    }.items():
        np.testing.assert_array_equal(state[name], tensor, err_msg=name)
    assert all(a.flags.c_contiguous and a.dtype == np.float32 for a in state.values())
    assert model.head.weight is model.token_embedding.weight and not model.training


def test_gpt1s_tensors_reach_their_parameters(tmp_path):
    state = GPT1.from_pretrained(write_checkpoint(tmp_path, GPT1_CONFIG, GPT1_TENSORS)).state_dict()
    assert len(state) == len(GPT1_TENSORS)
    np.testing.assert_array_equal(state["token_embedding.weight"], GPT1_TENSORS["transformer.tokens_embed.weight"])
    np.testing.assert_array_equal(
        state["position_embedding.weight"], GPT1_TENSORS["transformer.positions_embed.weight"]
    )
    ours, theirs = state["blocks.1.feed_forward.up.weight"], GPT1_TENSORS["transformer.h.1.mlp.c_fc.weight"]
    np.testing.assert_array_equal(ours, theirs.T)


def test_the_folder_decides_between_gpt1_and_gpt2(tmp_path):
    gpt2 = gpt2_folder(tmp_path / "gpt2")
    gpt1 = write_checkpoint(tmp_path / "gpt1", GPT1_CONFIG, GPT1_TENSORS)
    assert type(CausalLM.from_pretrained(gpt2)) is type(load_pretrained(gpt2)) is GPT2
    assert type(CausalLM.from_pretrained(gpt1)) is GPT1
    assert f"{gpt1} holds a GPT1, not a GPT2" in refusal(gpt1, GPT2)

    class Mine(GPT2):
        pass

    assert type(Mine.from_pretrained(gpt2)) is Mine


@pytest.mark.parametrize("config", [GPT2_CONFIG | {"model_type": "opt"}, {"preset": "char-cpu"}], ids=["opt", "run"])
def test_a_model_of_another_kind(tmp_path, config):
    said = refusal(write_checkpoint(tmp_path, config, GPT2_TENSORS))
    assert "model_type should be bert, openai-gpt, gpt2" in said
    assert ("it is 'opt'" if "model_type" in config else "it is missing") in said


OLD = {  # without a model_type, as BERT's first files are
    "bert": (BERT_CONFIG, random_tensors(BERT_SHAPES), ["BertForMaskedLM"]),
    "gpt2": (GPT2_CONFIG, GPT2_TENSORS, ["GPT2LMHeadModel"]),
    "openai-gpt": (GPT1_CONFIG, GPT1_TENSORS, ["OpenAIGPTModel"]),
    "marian": (MARIAN_CONFIG, random_tensors(MARIAN_SHAPES), ["MarianMTModel"]),
}


@pytest.mark.parametrize("name", OLD)
def test_an_old_config_without_a_model_type(tmp_path, name):
    """Its architectures tell, and without these the names of the tensors."""
    config, tensors, architectures = OLD[name]
    old = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    for i, more in enumerate(({}, {"architectures": architectures})):
        folder = write_checkpoint(tmp_path / str(i), old | more, tensors)
        with warnings.catch_warnings(action="ignore"):  # a BERT without heads
            model = load_pretrained(folder)
            assert find_model(str(folder), kinds=("gpt", "bert", "transformer")).config == model.config
        assert model.layout.model_type == name == model.hf_config["model_type"]
    strange = write_checkpoint(tmp_path / "strange", old | {"architectures": ["LlamaForCausalLM"]}, tensors)
    assert "; it is missing" in refusal(strange)
    other = write_checkpoint(tmp_path / "other", old, {"some.weight": np.zeros((2, 2), np.float32)})
    assert "; it is missing" in refusal(other)


def test_names_without_the_prefix_and_masks_as_in_the_real_gpt2(tmp_path):
    bare = {name.removeprefix("transformer."): tensor for name, tensor in GPT2_TENSORS.items()}
    masks = {"h.0.attn.bias": np.tri(7, dtype=np.uint8)[None, None], "h.1.attn.masked_bias": np.array(-1e4)}
    model = GPT2.from_pretrained(write_checkpoint(tmp_path / "bare", GPT2_CONFIG, bare | masks))
    full = GPT2.from_pretrained(gpt2_folder(tmp_path / "full"))
    np.testing.assert_array_equal(model(IDS).logits.data, full(IDS).logits.data)


def test_a_head_that_is_tied_and_written_all_the_same(tmp_path):
    tensors = GPT2_TENSORS | {"lm_head.weight": GPT2_TENSORS["transformer.wte.weight"]}
    model = GPT2.from_pretrained(write_checkpoint(tmp_path, GPT2_CONFIG, tensors))
    assert model.head.weight is model.token_embedding.weight
    message = refusal(write_checkpoint(tmp_path, GPT2_CONFIG, GPT2_TENSORS | {"lm_head.weight": HEAD}))
    assert "tie_word_embeddings is true, but lm_head.weight differs from transformer.wte.weight" in message


def test_a_head_of_its_own(tmp_path):
    untied = GPT2_CONFIG | {"tie_word_embeddings": False}
    model = GPT2.from_pretrained(write_checkpoint(tmp_path, untied, GPT2_TENSORS | {"lm_head.weight": HEAD}))
    np.testing.assert_array_equal(model.head.weight.data, HEAD)
    assert "missing: lm_head.weight" in refusal(write_checkpoint(tmp_path, untied, GPT2_TENSORS))


@pytest.mark.parametrize("saved", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("wanted", [np.float32, np.float64, None])
def test_any_float_is_converted_to_the_dtype_asked_for(tmp_path, saved, wanted):
    folder = write_checkpoint(tmp_path, GPT2_CONFIG, random_tensors(GPT2_SHAPES, saved))
    model = GPT2.from_pretrained(folder, dtype=wanted)
    expected = random_tensors(GPT2_SHAPES, saved)["transformer.h.0.mlp.c_fc.weight"].T.astype(wanted or np.float32)
    assert {p.dtype for p in model.parameters()} == {np.dtype(wanted or np.float32)}
    np.testing.assert_array_equal(model.blocks[0].feed_forward.up.weight.data, expected)
    assert model(IDS).logits.dtype == (wanted or np.float32)


def test_a_dtype_that_no_model_has(tmp_path):
    with pytest.raises(TypeError, match="float32 or float64, got float16"):
        GPT2.from_pretrained(gpt2_folder(tmp_path), dtype=np.float16)


def test_nothing_is_drawn(tmp_path, monkeypatch):
    folder = gpt2_folder(tmp_path)
    before = random_state()
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda seed: pytest.fail("these are not random weights"))
        GPT2.from_pretrained(folder)
    assert random_state() == before and normal((2,)).any()


# --- tensors that do not fit ------------------------------------------------------------------------------------------


def test_a_missing_tensor(tmp_path):
    tensors = without(GPT2_TENSORS, "transformer.h.1.mlp.c_fc.bias")
    assert "missing: transformer.h.1.mlp.c_fc.bias" in refusal(write_checkpoint(tmp_path, GPT2_CONFIG, tensors))


@pytest.mark.parametrize("extra", ["transformer.h.2.ln_1.weight", "score.weight", "h.0.attn.rotary", "lm_head.bias"])
def test_an_extra_tensor(tmp_path, extra):
    folder = write_checkpoint(tmp_path, GPT2_CONFIG, GPT2_TENSORS | {extra: np.ones(6)})
    assert f"unexpected: {extra}" in refusal(folder)


def test_a_tensor_that_is_there_twice(tmp_path):
    folder = write_checkpoint(tmp_path, GPT2_CONFIG, GPT2_TENSORS | {"wte.weight": HEAD})
    message = refusal(folder)
    assert "unexpected: transformer.wte.weight" in message or "unexpected: wte.weight" in message


def test_a_wrong_shape_is_told_in_the_files_layout(tmp_path):
    name = "transformer.h.0.attn.c_attn.weight"
    folder = write_checkpoint(tmp_path, GPT2_CONFIG, GPT2_TENSORS | {name: GPT2_TENSORS[name].T.copy()})
    assert f"wrong shape: {name} (18, 6), not (6, 18)" in refusal(folder)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_])
def test_a_wrong_dtype(tmp_path, dtype):
    folder = write_checkpoint(tmp_path, GPT2_CONFIG, GPT2_TENSORS | {"transformer.ln_f.bias": np.ones(6, dtype)})
    code = {np.int64: "I64", np.int8: "I8", np.bool_: "BOOL"}[dtype]
    assert f"wrong dtype: transformer.ln_f.bias {code}, not one of F64, F32, F16, BF16" in refusal(folder)


def test_float8_is_a_wrong_dtype(tmp_path):
    file = gpt2_folder(tmp_path) / "model.safetensors"
    save_file(GPT2_TENSORS | {"transformer.ln_f.bias": np.ones(6, np.uint8)}, file)
    content = file.read_bytes()
    assert content.count(b'"U8"') == 1
    # Two characters more, which a header of as many bytes has room for in its padding or not: so write it anew.
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"U8"', b'"F8_E4M3"')
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    assert "wrong dtype: transformer.ln_f.bias F8_E4M3" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(n_layer=10**9), "n_layer is 1000000000, but the weights are 28 tensors in all"),
        (dict(n_layer=3), "missing: transformer.h.2.ln_1.weight, "),
        (dict(n_layer=1), "unexpected: transformer.h.1."),
        (dict(vocab_size=10**17), "too large for the memory"),
        (dict(n_inner=10**18), "too large for the memory"),  # NumPy refuses its size
        (dict(n_positions=10**30), "too large for the memory"),  # which is no integer of NumPy's
        (dict(vocab_size=12), "wrong shape: transformer.wte.weight (11, 6), not (12, 6)"),
        (dict(n_positions=8), "wrong shape: transformer.wpe.weight (7, 6), not (8, 6)"),
        (dict(n_inner=None), "(6, 10), not (6, 24)"),
    ],
    ids=str,
)
def test_a_config_that_lies_about_the_weights(tmp_path, settings, says):
    assert says in refusal(gpt2_folder(tmp_path, **settings))


def test_all_problems_are_told_at_once(tmp_path):
    tensors = without(
        GPT2_TENSORS, *(f"transformer.h.{i}.{n}.bias" for i in (0, 1) for n in ("ln_1", "ln_2", "mlp.c_fc"))
    )
    tensors |= {"extra": HEAD, "transformer.ln_f.bias": np.ones(6, np.int32), "transformer.wpe.weight": HEAD}
    message = refusal(write_checkpoint(tmp_path, GPT2_CONFIG, tensors))
    assert f"the tensors in {tmp_path} don't fit config.json" in message
    for part in (
        "missing: transformer.h.0.ln_1.bias, ",
        "(and 1 more)",
        "unexpected: extra",
        "wrong shape: transformer.wpe.weight (11, 6), not (7, 6)",
        "wrong dtype: transformer.ln_f.bias I32",
    ):
        assert part in message


# --- saving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "tensors"), [(GPT2_CONFIG, GPT2_TENSORS), (GPT1_CONFIG, GPT1_TENSORS)], ids=["gpt2", "gpt1"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_what_was_loaded_is_saved_bit_by_bit(tmp_path, config, tensors, tied):
    config = config | {"tie_word_embeddings": tied}
    tensors = tensors if tied else tensors | {"lm_head.weight": HEAD}
    model = CausalLM.from_pretrained(write_checkpoint(tmp_path / "theirs", config, tensors))
    model.save_pretrained(tmp_path / "ours")
    saved = load_file(tmp_path / "ours" / "model.safetensors")
    assert set(saved) == set(tensors)
    for name, tensor in tensors.items():
        assert saved[name].dtype == np.float32
        np.testing.assert_array_equal(saved[name], tensor, err_msg=name)
    written = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))
    assert written == written | config | {"dtype": "float32"}


def test_the_old_name_of_dtype_does_not_stay_beside_the_new_one(tmp_path):
    model = GPT2.from_pretrained(gpt2_folder(tmp_path / "theirs", torch_dtype="float16"), dtype=np.float64)
    model.save_pretrained(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))
    assert written["dtype"] == "float64" and "torch_dtype" not in written


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_gpt_made_here_comes_back_and_computes_the_same(tmp_path, norm, tied, bias):
    tg.manual_seed(1)
    model = GPT(GPTConfig(11, 7, n_layer=2, n_head=2, n_embd=6, norm=norm, tied=tied, bias=bias)).to(np.float64).eval()
    for p in model.parameters():
        p.data += np.random.default_rng(p.size).normal(size=p.shape)
    save_pretrained(model, tmp_path)
    loaded = load_pretrained(tmp_path, dtype=np.float64)
    np.testing.assert_array_equal(loaded(IDS).logits.data, model(IDS).data)
    assert loaded.config.bias and loaded.config.tied == tied
    assert loaded.hf_config["eos_token_id"] is None, "without a value transformers would take GPT-2's"


def test_shards_come_back(tmp_path):
    model = GPT2.from_pretrained(gpt2_folder(tmp_path / "theirs"))
    model.save_pretrained(tmp_path / "ours", max_shard_size=1000)
    assert (tmp_path / "ours" / "model.safetensors.index.json").exists()
    loaded = GPT2.from_pretrained(tmp_path / "ours")
    np.testing.assert_array_equal(loaded(IDS).logits.data, model(IDS).logits.data)


def test_a_folder_may_be_saved_over_itself(tmp_path):
    model = GPT2.from_pretrained(gpt2_folder(tmp_path))
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(GPT2.from_pretrained(tmp_path)(IDS).logits.data, model(IDS).logits.data)


# --- memory ---------------------------------------------------------------------------------------------------------

MEASURE = """
import re, sys
from pathlib import Path
from tinygrad_gpt.models import GPT2
import safetensors, numpy as np

def highest():  # the most memory that was ever in use, in bytes
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1])

before = highest()
model = GPT2.from_pretrained(sys.argv[1])
print((highest() - before) / sum(p.data.nbytes for p in model.parameters()))
"""


STATUS = Path("/proc/self/status")
TOLD = STATUS.exists() and "VmHWM" in STATUS.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.skipif(not TOLD, reason="this system does not tell in /proc how much memory was in use")
@pytest.mark.parametrize(("vocab_size", "n_embd"), [(128, 1024), (60_000, 256)], ids=["blocks", "embedding"])
def test_loading_needs_little_more_than_the_weights_themselves(tmp_path, vocab_size, n_embd):
    """50 and 65 MB of weights, most of them in blocks or in one tensor."""
    config = GPTConfig(vocab_size, 16, n_layer=1, n_head=2, n_embd=n_embd)
    with tg.random_stream.uninitialised():
        model = GPT(config)
    for p in model.parameters():
        p.data[...] = 0.5
    save_pretrained(model, tmp_path)
    tied_head = load_file(tmp_path / "model.safetensors")
    tied_head["lm_head.weight"] = tied_head["transformer.wte.weight"]  # which is compared with the embedding
    save_file(tied_head, tmp_path / "model.safetensors")
    run = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert 1.0 <= float(run.stdout) <= 1.2
