"""Checkpoints of GPT-2 and GPT-1 go from transformers to here and back: the same bits, and the same numbers computed.

The weights are of unit scale; see their_models.py.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tinygrad_gpt.models import GPT, GPT1, GPT2, CausalLM, GPTConfig, save_pretrained

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.their_models import FAMILIES, SHAPE, their_model  # noqa: E402 (which imports both)

pytestmark = pytest.mark.reference

V, T, B = SHAPE["vocab_size"], 13, 3
GPT2_SETTINGS = [
    dict(),
    dict(n_layer=1, n_head=1, n_embd=17, n_inner=23, activation_function="gelu"),
    dict(n_layer=2, activation_function="gelu_fast"),
    dict(n_inner=7, activation_function="relu", layer_norm_epsilon=1e-2),
    dict(activation_function="silu", scale_attn_by_inverse_layer_idx=True),
    dict(activation_function="tanh", scale_attn_weights=False),
    dict(activation_function="gelu_pytorch_tanh", tie_word_embeddings=False),
    dict(activation_function="swish", scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, n_inner=50),
    dict(vocab_size=7, n_positions=T, n_layer=5, n_head=3, n_embd=9, n_inner=1, tie_word_embeddings=False),
]
GPT1_SETTINGS = [
    dict(),
    dict(afn="relu", layer_norm_epsilon=1e-2, tie_word_embeddings=False),
    dict(afn="silu", n_layer=1, n_head=1, n_embd=17),
    dict(afn="swish", vocab_size=7, n_positions=T, n_layer=5, n_head=3, n_embd=9),
]
CASES = [("gpt2", settings) for settings in GPT2_SETTINGS] + [("openai-gpt", settings) for settings in GPT1_SETTINGS]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}

cases = pytest.mark.parametrize(("family", "settings"), CASES, ids=lambda x: x if isinstance(x, str) else str(x)[5:-1])
families = pytest.mark.parametrize("family", ["gpt2", "openai-gpt"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def loaded_again(family: str, folder: Path, dtype=np.float64):
    torch_dtype = {np.float32: torch.float32, np.float64: torch.float64}[dtype]
    return FAMILIES[family][0].from_pretrained(folder, dtype=torch_dtype, attn_implementation="eager").eval()


def ids_and_labels(vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, vocab_size, (B, T))
    return ids, np.where(rng.random(ids.shape) < 0.3, -100, ids)


def same_tensors(first: dict, second: dict) -> None:
    assert set(first) == set(second)
    for name in first:
        assert first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name]), name


def tensors_in(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def worst_error(ours, theirs) -> float:
    return float(np.abs(ours.numpy() - theirs.detach().numpy()).max())


# --- what is computed -----------------------------------------------------------------------------------------------


@dtypes
@cases
def test_logits_hidden_states_attentions_and_gradients(tmp_path, family, settings, dtype):
    theirs = their_model(family, settings)
    theirs.save_pretrained(tmp_path)
    ours = CausalLM.from_pretrained(tmp_path, dtype=dtype)
    theirs = loaded_again(family, tmp_path, dtype)
    ids, labels = ids_and_labels(ours.config.vocab_size)

    output = ours(ids, labels=labels, output_hidden_states=True, output_attentions=True)
    output.loss.backward()
    their_output = theirs(torch.from_numpy(ids), output_hidden_states=True, output_attentions=True)
    # transformers computes its loss in float32, whatever the model's dtype
    shifted = their_output.logits[:, :-1].flatten(0, 1), torch.from_numpy(labels)[:, 1:].flatten()
    loss = torch.nn.functional.cross_entropy(*shifted)
    loss.backward()

    errors = {"logits": worst_error(output.logits, their_output.logits), "loss": worst_error(output.loss, loss)}
    for kind in ("hidden_states", "attentions"):
        pairs = list(zip(getattr(output, kind), getattr(their_output, kind), strict=True))
        assert len(pairs) == ours.config.n_layer + (kind == "hidden_states")
        errors |= {f"{kind}.{i}": worst_error(*pair) for i, pair in enumerate(pairs)}
    their_parameters = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        ((their_name, grad),) = ours.layout.tensors(name, p.grad).items()
        gradient = their_parameters[their_name].grad.numpy()
        difference = np.abs(grad - gradient).max()
        errors[f"gradient of {name}"] = difference / np.abs(gradient).max()
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE[dtype]}
    assert not wrong, wrong


@cases
def test_weights_that_are_all_of_standard_deviation_1(tmp_path, family, settings):
    """Activations then reach hundreds and softmax is all but an argmax. In float32 transformers itself is up to 7e-5
    from what it computes in float64, so there ours may be off by as much (logits 8e-5, where they are up to 38)."""
    theirs = their_model(family, settings)
    rng = np.random.default_rng(0)
    for p in theirs.parameters():
        p.data = torch.from_numpy(rng.normal(size=p.shape))
    theirs.save_pretrained(tmp_path)
    ids, _ = ids_and_labels(theirs.config.vocab_size)
    right = theirs(torch.from_numpy(ids)).logits
    assert worst_error(CausalLM.from_pretrained(tmp_path, dtype=np.float64)(ids).logits, right) <= TOLERANCE[np.float64]
    in_float32 = theirs.float()(torch.from_numpy(ids)).logits
    their_error = worst_error(in_float32.detach(), right)
    assert worst_error(CausalLM.from_pretrained(tmp_path)(ids).logits, right) <= 3 * their_error + TOLERANCE[np.float32]


@dtypes
@families
def test_the_loss_is_transformers_own_too(tmp_path, family, dtype):
    their_model(family, {}).save_pretrained(tmp_path)
    ours, theirs = CausalLM.from_pretrained(tmp_path, dtype=dtype), loaded_again(family, tmp_path, dtype)
    ids, labels = ids_and_labels(V)
    loss = theirs(torch.from_numpy(ids), labels=torch.from_numpy(labels)).loss
    assert ours(ids, labels=labels).loss.item() == pytest.approx(loss.item(), rel=1e-6)  # float32's, in either dtype


def test_reordering_attention_changes_nothing_in_float32(tmp_path):
    their_model("gpt2", dict(reorder_and_upcast_attn=True)).save_pretrained(tmp_path)
    ids, _ = ids_and_labels(V)
    theirs = loaded_again("gpt2", tmp_path, np.float32)
    assert theirs.transformer.h[0].attn.reorder_and_upcast_attn
    logits = theirs(torch.from_numpy(ids)).logits
    assert worst_error(GPT2.from_pretrained(tmp_path)(ids).logits, logits) <= TOLERANCE[np.float32]


@pytest.mark.parametrize("side", ["left", "right"])
@dtypes
@families
def test_padded_batches(tmp_path, family, dtype, side):
    their_model(family, {}).save_pretrained(tmp_path)
    ours, theirs = CausalLM.from_pretrained(tmp_path, dtype=dtype), loaded_again(family, tmp_path, dtype)
    ids, _ = ids_and_labels(V)
    mask = np.ones_like(ids)
    for row, padding in enumerate((5, 0, 11)):
        mask[row, slice(padding) if side == "left" else slice(T - padding, T)] = 0
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0) * mask
    logits = ours(ids, attention_mask=mask, position_ids=positions).logits.numpy()
    tensors = [torch.from_numpy(a) for a in (ids, mask, positions)]
    expected = theirs(tensors[0], attention_mask=tensors[1], position_ids=tensors[2]).logits.detach().numpy()
    assert np.abs(logits - expected)[mask == 1].max() <= TOLERANCE[dtype]
    alone = ours(ids[2:, -2:] if side == "left" else ids[2:, :2]).logits.numpy()
    assert np.abs(logits[2][mask[2] == 1] - alone[0]).max() <= TOLERANCE[dtype]


# --- there and back -------------------------------------------------------------------------------------------------


@cases
def test_theirs_ours_theirs_is_bit_by_bit_the_same(tmp_path, family, settings):
    theirs = their_model(family, settings).float()
    theirs.save_pretrained(tmp_path / "theirs")
    CausalLM.from_pretrained(tmp_path / "theirs").save_pretrained(tmp_path / "ours")
    same_tensors(tensors_in(tmp_path / "theirs"), tensors_in(tmp_path / "ours"))
    configs = [json.loads((tmp_path / who / "config.json").read_text(encoding="utf-8")) for who in ("theirs", "ours")]
    assert configs[0] == configs[1]
    again = loaded_again(family, tmp_path / "ours", np.float32)
    ids, _ = ids_and_labels(theirs.config.vocab_size)
    assert torch.equal(again(torch.from_numpy(ids)).logits, theirs(torch.from_numpy(ids)).logits)


@families
def test_shards_both_ways(tmp_path, family):
    theirs = their_model(family, {}).float()
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="20KB")
    assert len(list((tmp_path / "theirs").glob("model-*.safetensors"))) > 2
    ours = CausalLM.from_pretrained(tmp_path / "theirs")
    save_pretrained(ours, tmp_path / "ours", max_shard_size=20_000)
    assert len(list((tmp_path / "ours").glob("model-*.safetensors"))) > 2
    same_tensors(tensors_in(tmp_path / "theirs"), tensors_in(tmp_path / "ours"))
    state, before = loaded_again(family, tmp_path / "ours", np.float32).state_dict(), theirs.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@families
def test_half_precision_files(tmp_path, family, half):
    theirs = their_model(family, {}).to(getattr(torch, half))
    theirs.save_pretrained(tmp_path)
    state = CausalLM.from_pretrained(tmp_path, dtype=np.float32)
    tensors = state.layout.saved_tensors(state)
    for name, tensor in theirs.float().state_dict().items():
        if name in tensors:
            np.testing.assert_array_equal(tensors[name], tensor.numpy(), err_msg=name)
    assert len(tensors) == len(list(theirs.parameters()))


@pytest.mark.parametrize("bare", ["GPT2Model", "OpenAIGPTModel"])
def test_a_model_without_head_gives_names_without_prefix(tmp_path, bare):
    family = "gpt2" if bare == "GPT2Model" else "openai-gpt"
    theirs = their_model(family, {})
    theirs.transformer.save_pretrained(tmp_path)
    assert not any(name.startswith("transformer.") for name in tensors_in(tmp_path))
    ids, _ = ids_and_labels(V)
    logits = CausalLM.from_pretrained(tmp_path, dtype=np.float64)(ids).logits
    assert worst_error(logits, theirs(torch.from_numpy(ids)).logits) <= TOLERANCE[np.float64]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_gpt_trained_here_computes_the_same_there(tmp_path, norm, tied, bias):
    model = GPT(GPTConfig(V, T, n_layer=2, n_head=3, n_embd=24, norm=norm, tied=tied, bias=bias)).to(np.float64).eval()
    rng = np.random.default_rng(2)
    for p in model.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    save_pretrained(model, tmp_path)
    theirs = loaded_again("gpt2" if norm == "pre" else "openai-gpt", tmp_path)
    assert theirs.config.eos_token_id is None
    ids, _ = ids_and_labels(V)
    assert worst_error(model(ids), theirs(torch.from_numpy(ids)).logits) <= TOLERANCE[np.float64]


# --- settings -------------------------------------------------------------------------------------------------------


@families
def test_every_setting_that_transformers_has_by_default_is_known(family):
    """Were a new one to change the maths, this is where it shows: look what it does before it is added to the list."""
    model, config = {
        "gpt2": (GPT2, transformers.GPT2Config()),
        "openai-gpt": (GPT1, transformers.OpenAIGPTConfig()),
    }[family]
    config_from = model.layout.config_from
    assert config_from(config.to_dict(), "config.json") == config_from(json.loads(config.to_json_string()), "x")


def test_transformers_defaults_are_ours():
    """Those that a config.json may leave out."""
    for model, config in ((GPT2, transformers.GPT2Config()), (GPT1, transformers.OpenAIGPTConfig())):
        defaults = {name: default for name, (_, default) in model.layout.settings.items() if name in config.to_dict()}
        assert len(defaults) == len(model.layout.settings)
        needed = ("vocab_size", "n_positions", "n_layer", "n_head", "n_embd")
        for name, default in defaults.items():
            assert name in needed or getattr(config, name) == default, name
