"""MarianMTModel computes what transformers computes from the same files: logits, losses, hidden states, all three kinds
of attention, gradients, and the losses of a training.

The weights are of unit scale, as in their_models.py. Both sides read the checkpoint that transformers wrote. (In
float64 too, transformers rounds its sinusoids to float32. So does from_pretrained, since the default dtype is that.)
"""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.models import MarianMTModel, Transformer, TransformerConfig, load_pretrained, save_pretrained
from tinygrad_gpt.optim import AdamW, decay_matrices

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.test_checkpoints_transformers import same_tensors, tensors_in  # noqa: E402
from tests.reference.their_models import MARIAN_SHAPE, loaded, their_marian  # noqa: E402 (which imports both)

pytestmark = pytest.mark.reference

B, TS, T = 3, 13, 11
SETTINGS = {
    "as OPUS-MT": dict(activation_function="swish", scale_embedding=True),
    "as the paper": dict(activation_function="relu", scale_embedding=True, decoder_layers=3),
    "as MarianConfig": dict(),
    "one layer, one head, odd width": dict(
        encoder_layers=1, decoder_layers=1, d_model=17, encoder_attention_heads=1, decoder_attention_heads=1
    ),
    "odd width, many heads, scaled": dict(
        d_model=15, encoder_attention_heads=15, decoder_attention_heads=5, scale_embedding=True
    ),
    "deep decoder, narrow": dict(
        encoder_layers=1, decoder_layers=5, d_model=8, encoder_attention_heads=2, decoder_attention_heads=4
    ),
    "deep encoder, gelu_new": dict(encoder_layers=5, decoder_layers=1, activation_function="gelu_new"),
    "narrow feed-forward, tanh": dict(encoder_ffn_dim=1, decoder_ffn_dim=2, activation_function="tanh"),
    "few tokens, all positions used": dict(
        vocab_size=7, pad_token_id=6, decoder_start_token_id=6, max_position_embeddings=TS
    ),
    "another start, padding first, gelu_pytorch_tanh": dict(
        pad_token_id=0,
        decoder_start_token_id=3,
        eos_token_id=2,
        forced_eos_token_id=2,
        activation_function="gelu_pytorch_tanh",
    ),
}
TORCH = {np.float32: torch.float32, np.float64: torch.float64}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}
EVERYTHING = dict(output_hidden_states=True, output_attentions=True)

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))


def batch_for(config, rng) -> dict[str, np.ndarray]:
    """Sources and targets of unequal lengths, padded on the right, with padding's id between words here and there."""

    def some(lengths, width):
        ids = rng.integers(0, config.vocab_size, (B, width))
        return ids, np.arange(width) < np.array(lengths)[:, np.newaxis]

    source, seen = some([7, TS, 2], TS)
    target, real = some([T, 3, 6], T)
    return dict(
        input_ids=np.where(seen, source, config.pad_token_id),
        attention_mask=seen.astype(np.int64),
        labels=np.where(real, target, -100),
    )


def tensors(arrays: dict[str, np.ndarray]) -> dict:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def outputs_of(output) -> dict[str, np.ndarray]:
    """Everything that a model returned, of ours or of theirs, by name."""
    found = {}
    for name, value in dict(output).items():
        if isinstance(value, tuple):
            found |= {f"{name}.{i}": x for i, x in enumerate(value)}
        elif "cache" not in name and name != "past_key_values":
            found[name] = value
    return {name: (x.detach() if isinstance(x, torch.Tensor) else x).numpy() for name, x in found.items()}


def gradients_of(model) -> dict[str, np.ndarray]:
    """By transformers' names."""
    found = {}
    for name, p in model.named_parameters():
        found |= model.layout.tensors(name, np.asarray(p.grad))
    return found


def their_gradients(model) -> dict[str, np.ndarray]:
    """Without that of the sinusoids, which nobody trains."""
    grads = {name: p.grad for name, p in model.named_parameters() if "embed_positions" not in name}
    return {name: grad.numpy() for name, grad in grads.items() if grad is not None}


@dtypes
@every_setting
def test_logits_loss_hidden_states_attentions_and_gradients(tmp_path, settings, dtype):
    their_marian(settings).save_pretrained(tmp_path)
    ours, theirs = MarianMTModel.from_pretrained(tmp_path, dtype=dtype), loaded("MarianMTModel", tmp_path, dtype)
    batch = batch_for(ours.config, np.random.default_rng(1))
    output, expected = ours(**batch, **EVERYTHING), theirs(**tensors(batch), **EVERYTHING, use_cache=False)
    found, right = outputs_of(output), outputs_of(expected)
    assert set(found) == set(right)
    layers = ours.config.encoder_layers, ours.config.decoder_layers
    assert len(found) == 3 + (layers[0] + 1) + (layers[1] + 1) + layers[0] + 2 * layers[1]
    errors = {name: np.abs(found[name] - right[name]).max() for name in found}

    output.loss.backward()
    expected.loss.backward()
    gradients, their = gradients_of(ours), their_gradients(theirs)
    assert set(gradients) == set(their)
    for name, gradient in gradients.items():
        errors[f"gradient of {name}"] = np.abs(gradient - their[name]).max() / max(1.0, np.abs(their[name]).max())
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE[dtype]}
    assert not wrong, wrong


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_target_that_begins_in_its_own_way_is_masked_and_reads_an_encoding_made_before(tmp_path, side):
    their_marian(SETTINGS["as OPUS-MT"]).save_pretrained(tmp_path)
    ours = MarianMTModel.from_pretrained(tmp_path, dtype=np.float64)
    theirs = loaded("MarianMTModel", tmp_path, np.float64)
    batch = batch_for(ours.config, np.random.default_rng(2))
    ids, real = np.random.default_rng(3).integers(0, 41, (B, T)), batch.pop("labels") != -100
    real = real[:, ::-1].copy() if side == "left" else real
    given = batch | dict(decoder_input_ids=ids, decoder_attention_mask=real.astype(np.int64))
    expected = theirs(**tensors(given), **EVERYTHING, use_cache=False)
    encoded = ours.encoder_outputs(batch["input_ids"], batch["attention_mask"], **EVERYTHING)
    again = {name: given[name] for name in given if name != "input_ids"}
    for output in (ours(**given, **EVERYTHING), ours(**again, encoder_outputs=encoded, **EVERYTHING)):
        found, right = outputs_of(output), outputs_of(expected)
        assert set(found) == set(right)
        for name in found:
            if name.startswith("decoder_attentions") or name.startswith("cross"):
                continue  # (B, H, T, T): before a text begins, transformers looks everywhere, and this package nowhere
            there = real if name == "logits" or name.startswith("decoder") else slice(None)
            assert np.abs(found[name][there] - right[name][there]).max() <= 1e-11, name
    from_tuple = ours(**again, encoder_outputs=(encoded.last_hidden_state,))
    np.testing.assert_array_equal(from_tuple.logits.numpy(), output.logits.numpy())


@pytest.mark.parametrize("name", ["as the paper", "another start, padding first, gelu_pytorch_tanh"])
def test_the_decoders_input_is_the_target_one_place_later(tmp_path, name):
    theirs = their_marian(SETTINGS[name])
    theirs.save_pretrained(tmp_path)
    labels = batch_for(theirs.config, np.random.default_rng(4))["labels"]
    found = MarianMTModel.from_pretrained(tmp_path).prepare_decoder_input_ids_from_labels(labels)
    expected = theirs.prepare_decoder_input_ids_from_labels(torch.from_numpy(labels)).numpy()
    np.testing.assert_array_equal(found, expected)
    assert (found[:, 0] == theirs.config.decoder_start_token_id).all() and (found >= 0).all()


# --- a training of 50 steps -------------------------------------------------------------------------------------------


@dtypes
def test_a_twin_run_has_the_same_loss_at_every_step(tmp_path, dtype):
    """The same weights, batches and AdamW, no dropout; `loss` as the trainer calls it."""
    their_marian(SETTINGS["as the paper"]).save_pretrained(tmp_path)
    ours = MarianMTModel.from_pretrained(tmp_path, dtype=dtype).train()
    theirs = loaded("MarianMTModel", tmp_path, dtype).train()
    how = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-6)
    optimizer = AdamW(decay_matrices(ours.named_parameters(), 0.01), **how)
    trained = [p for name, p in theirs.named_parameters() if "embed_positions" not in name]
    groups = [
        dict(params=[p for p in trained if p.ndim > 1], weight_decay=0.01),
        dict(params=[p for p in trained if p.ndim == 1], weight_decay=0.0),
    ]
    their_optimizer = torch.optim.AdamW(groups, **how)
    rng, losses = np.random.default_rng(3), []
    for _ in range(50):
        batch = batch_for(ours.config, rng)
        target = ours.prepare_decoder_input_ids_from_labels(batch["labels"])
        optimizer.zero_grad()
        loss = ours.loss(batch["input_ids"], batch["attention_mask"], target, batch["labels"]).total
        loss.backward()
        optimizer.step()
        their_optimizer.zero_grad()
        their_loss = theirs(**tensors(batch)).loss
        their_loss.backward()
        their_optimizer.step()
        losses.append((loss.item(), their_loss.item()))
    gaps = [abs(our - their) for our, their in losses]
    assert max(gaps) <= {np.float32: 1e-4, np.float64: 1e-9}[dtype], gaps
    assert losses[-1][0] < losses[0][0], "it learns"


# --- files ------------------------------------------------------------------------------------------------------------


@every_setting
def test_theirs_ours_theirs_is_bit_by_bit_the_same(tmp_path, settings):
    theirs = their_marian(settings).float()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    assert type(ours) is MarianMTModel, "config.json says which model it is"
    ours.save_pretrained(tmp_path / "ours")
    same_tensors(tensors_in(tmp_path / "theirs"), tensors_in(tmp_path / "ours"))
    configs = [json.loads((tmp_path / who / "config.json").read_text(encoding="utf-8")) for who in ("theirs", "ours")]
    assert configs[0] == configs[1]
    again = loaded("MarianMTModel", tmp_path / "ours", np.float32)
    batch = tensors(batch_for(theirs.config, np.random.default_rng(0)))
    assert torch.equal(again(**batch).logits, theirs(**batch).logits)


@pytest.mark.parametrize("kind", [MarianMTModel, Transformer])
@pytest.mark.parametrize("positions", ["halves", "interleaved"])
@pytest.mark.parametrize("width", [30, 15])
def test_what_was_made_here_computes_the_same_there(tmp_path, width, positions, kind):
    """With the paper's order of sinusoids too: the channels are put into Marian's."""
    config = TransformerConfig(
        41, width, 2, 3, 5, 3, 37, 23, "gelu_tanh", positions=positions, max_position_embeddings=TS, eos_token_id=5
    )
    ours = kind(config).to(np.float64).eval()
    rng = np.random.default_rng(5)
    for p in ours.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    if kind is MarianMTModel:
        ours.final_logits_bias.data += rng.normal(0, 0.5, (1, 41))
    save_pretrained(ours, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = loaded("MarianMTModel", tmp_path, np.float64)
    batch = batch_for(config, rng)
    expected = theirs(**tensors(batch)).logits.detach().numpy()
    target = theirs.prepare_decoder_input_ids_from_labels(torch.from_numpy(batch["labels"])).numpy()
    x = ours.features(batch["input_ids"], target, batch["attention_mask"])
    assert np.abs(ours.logits(x).numpy() - expected).max() <= 1e-11
    again = MarianMTModel.from_pretrained(tmp_path, dtype=np.float64)
    assert np.abs(again(**batch).logits.numpy() - expected).max() <= 1e-11
    assert theirs.config.forced_eos_token_id == theirs.generation_config.forced_eos_token_id == 5


@pytest.mark.parametrize("beams", [1, 4])
def test_what_was_made_here_writes_the_same_there_with_the_settings_in_its_folder(tmp_path, beams):
    """Padding is the likeliest token nearly everywhere. It is never written, and the others have all the probability;
    transformers learns so from generation_config.json, without which it writes padding."""
    random_stream.manual_seed(2)
    shape = dict(encoder_layers=2, decoder_layers=3, d_model=12, encoder_attention_heads=3, decoder_attention_heads=4)
    shape |= dict(encoder_ffn_dim=20, decoder_ffn_dim=18)
    settings = shape | dict(positions="halves", max_position_embeddings=20, scale_embedding=False, init_std=1.0)
    ours = MarianMTModel(TransformerConfig(41, **settings)).to(np.float64).eval()
    ours.token_embedding.weight.data *= 0.1
    ours.final_logits_bias.data[0, :2] = 2.0, -3.0
    ours.save_pretrained(tmp_path)
    theirs = loaded("MarianMTModel", tmp_path, np.float64)
    batch = batch_for(ours.config, np.random.default_rng(6))
    given = dict(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    found = ours.generate(**given, num_beams=beams, max_new_tokens=15)
    expected = theirs.generate(**tensors(given), num_beams=beams, max_new_tokens=15).numpy()
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "generation_config.json").unlink()
    without = loaded("MarianMTModel", tmp_path, np.float64)
    other = without.generate(**tensors(given), num_beams=beams, max_new_tokens=15).numpy()
    assert not np.array_equal(found, other) and len(np.unique(found)) > 3


def test_a_new_model_is_drawn_as_theirs_are():
    """With init_std: matrices and embeddings normal, biases 0, norms 1, padding's row 0."""
    random_stream.manual_seed(1)
    torch.manual_seed(1)
    shape = MARIAN_SHAPE | dict(d_model=90, init_std=0.05, encoder_ffn_dim=70, decoder_ffn_dim=80, vocab_size=300)
    theirs = transformers.MarianMTModel(transformers.MarianConfig(**shape))
    ours = MarianMTModel(MarianMTModel.layout.config_from(theirs.config.to_dict(), "config.json"))
    drawn = {}
    for name, p in ours.named_parameters():
        drawn |= ours.layout.tensors(name, p.data)
    expected = {n: p.detach().numpy() for n, p in theirs.named_parameters() if "embed_positions" not in n}
    assert set(drawn) == set(expected)
    for name, array in drawn.items():
        assert array.std() == pytest.approx(expected[name].std(), rel=0.1, abs=1e-12), name
        assert array.mean() == pytest.approx(expected[name].mean(), abs=0.05 / np.sqrt(array.size) * 5), name
    words = "model.shared.weight"
    assert not drawn[words][40].any() and not expected[words][40].any() and drawn[words][6].any()
    tables = [theirs.model.encoder.embed_positions.weight, theirs.model.decoder.embed_positions.weight]
    for table in tables:
        np.testing.assert_allclose(ours.position_table.numpy(), table.detach().numpy(), atol=1e-7)


def test_every_setting_that_transformers_has_by_default_is_known():
    """Were a new one to change the maths, this is where it shows: look what it does before it is added to the list."""
    config = transformers.MarianConfig()
    layout = MarianMTModel.layout
    ours = layout.config_from(config.to_dict(), "config.json")
    unwritten = dict(init_std=None, forced_eos_token_id=-1)  # of which marian_layout says why
    assert replace(ours, **unwritten) == layout.config_from({}, "config.json")
    assert ours == layout.config_from(json.loads(config.to_json_string()), "config.json")
    for name in layout.settings:
        assert getattr(config, name) == getattr(ours, name), name
