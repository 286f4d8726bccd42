"""XLNet, with every head, computes what transformers computes from the same files: outputs, losses and gradients.

The weights are of unit scale, as in their_models.py. Both sides read the checkpoint that transformers wrote. Where
transformers computes what has no meaning, tests keep away from it:

- a target that may see nothing gets the mean of everything there, and nothing here (L-8);
- masks with attn_type "uni" raise there for more than one row (L-7);
- its table of distances is float32 always (L-13), so float64 needs another: distances_in_double.
"""

import json
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

from tinygrad_gpt import models, random_stream
from tinygrad_gpt.models import XLNetConfig, XLNetLMHeadModel, XLNetModel, load_pretrained
from tinygrad_gpt.optim import AdamW, decay_matrices

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.test_checkpoints_transformers import same_tensors, tensors_in  # noqa: E402
from tests.reference.their_models import XLNET_SHAPE, distances_in_double, loaded, loaded_xlnet, their_xlnet  # noqa: E402

pytestmark = pytest.mark.reference

T = 9
HEADS = ("XLNetModel", "XLNetLMHeadModel", "XLNetForSequenceClassification")
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}
EVERYTHING = dict(output_hidden_states=True, output_attentions=True)

heads = pytest.mark.parametrize("head", HEADS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.fixture(autouse=True)
def _distances_of_the_models_dtype(request, monkeypatch):
    if "float32" not in request.node.name:
        monkeypatch.setattr(transformers.XLNetModel, "relative_positional_encoding", distances_in_double)


@dataclass(frozen=True)
class Situation:
    """A model, and what it reads.

    memory   tokens of an earlier text, which is read first; 0: there is none
    targets  "": no target_mapping; "places": rows with a 1, here and there one without; "mixed": rows of any numbers
    """

    settings: dict = field(default_factory=dict)
    rows: int = 3
    memory: int = 0
    segments: bool = False
    padding: bool = False
    order: bool = False
    targets: str = ""


SITUATIONS = {
    "both sides": Situation(),
    "segments, padding on the left": Situation(segments=True, padding=True),
    "orders": Situation(order=True, targets="places"),
    "orders, segments, padding, memory": Situation(memory=4, segments=True, padding=True, order=True, targets="places"),
    "orders without targets": Situation(order=True, memory=3),
    "targets that are no places": Situation(order=True, segments=True, memory=2, targets="mixed"),
    "targets without orders": Situation(targets="places", memory=5, settings=dict(mem_len=4)),
    "clamped": Situation(settings=dict(clamp_len=3), memory=5, order=True, targets="places"),
    "uni": Situation(settings=dict(attn_type="uni")),
    "uni, memory": Situation(settings=dict(attn_type="uni"), memory=6, segments=True),
    "uni, same length": Situation(settings=dict(attn_type="uni", same_length=True), memory=5),
    "uni, same length, no memory": Situation(settings=dict(attn_type="uni", same_length=True)),
    "uni, clamped, all masks": Situation(
        settings=dict(attn_type="uni", clamp_len=4, same_length=True),
        rows=1,
        memory=4,
        segments=True,
        padding=True,
        order=True,
        targets="places",
    ),
    "long memory, of which a part is reused": Situation(settings=dict(mem_len=12, reuse_len=5), memory=8, order=True),
    "memory of everything": Situation(settings=dict(mem_len=None), memory=7),
    "relu, large eps, one head": Situation(
        settings=dict(ff_activation="relu", layer_norm_eps=1e-2, n_head=1, n_layer=1), order=True, targets="places"
    ),
    "gelu_new, untied, wide heads": Situation(
        settings=dict(ff_activation="gelu_new", tie_word_embeddings=False, n_head=2, d_inner=11),
        segments=True,
        order=True,
        targets="places",
    ),
}
situations = pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS)


def inputs_for(situation: Situation, rng) -> dict[str, np.ndarray]:
    """By transformers' names. At least one token, the last, is seen by all."""
    b, given = situation.rows, {}
    given["input_ids"] = rng.integers(0, XLNET_SHAPE["vocab_size"], (b, T))
    real = np.arange(T) >= np.array([0, 3, 5])[:b, np.newaxis] if situation.padding else np.ones((b, T), bool)
    if b == 1 and situation.padding:
        real = np.arange(T)[np.newaxis] >= 2
    if situation.padding:
        given["attention_mask"] = real.astype(np.float64)
    if situation.segments:
        given["token_type_ids"] = rng.integers(0, 3, (b, T))
    order = np.stack([rng.permutation(T) for _ in range(b)])
    order[rng.random((b, T)) < 0.3] = -1  # context
    order[:, -1] = -1
    if situation.order:  # context sees context; a target sees the context, and what comes before it
        given["perm_mask"] = ((order[:, np.newaxis] >= order[:, :, np.newaxis]) & (order[:, np.newaxis] >= 0)) * 1.0
        if situation.settings.get("same_length"):  # or the first places would see nothing
            given["perm_mask"][:, :, -1] = 0
    if situation.targets:
        mapping = np.zeros((b, 4, T))
        for row in range(b):
            places = rng.permutation(np.flatnonzero(real[row]))[:3]
            mapping[row, np.arange(len(places)), places] = 1  # the last row maps to nothing
        if situation.targets == "mixed":
            mapping = rng.normal(size=mapping.shape)
        given["target_mapping"] = mapping
    return given


def labels_for(head: str, given: dict, rng) -> dict[str, np.ndarray]:
    b, n = given["target_mapping"].shape[:2] if "target_mapping" in given else given["input_ids"].shape
    if head == "XLNetForSequenceClassification":
        return dict(labels=rng.integers(0, 3, b))
    labels = rng.integers(0, XLNET_SHAPE["vocab_size"], (b, n))
    labels[rng.random((b, n)) < 0.3] = -100
    labels[0, 0] = 7
    return dict(labels=labels) if head == "XLNetLMHeadModel" else {}


def tensors(arrays: dict, dtype) -> dict:
    """As transformers wants them: masks and mappings in the model's dtype."""
    found = {}
    for name, array in arrays.items():
        if isinstance(array, tuple):
            found[name] = [torch.from_numpy(np.ascontiguousarray(part)) for part in array]
        else:
            found[name] = torch.from_numpy(array.astype(dtype) if array.dtype == np.float64 else array)
    return found


def outputs_of(output, mapping=None) -> dict[str, np.ndarray]:
    """Everything that a model returned, of ours or of theirs, by name. `mapping`: of theirs, to drop those rows of a
    target's attention weights which are at no target's place."""
    found = {}
    for name, value in dict(output).items():
        for i, x in enumerate(value if isinstance(value, tuple) else (value,)):
            for j, part in enumerate(x if isinstance(x, tuple) else (x,)):
                part = np.asarray(part.detach().numpy() if hasattr(part, "detach") else part)
                if isinstance(x, tuple) and j and mapping is not None and ((mapping == 0) | (mapping == 1)).all():
                    places, is_one = mapping.argmax(2), mapping.any(2)
                    rows = np.arange(len(mapping))[:, np.newaxis]
                    part = part[rows, :, places].swapaxes(1, 2) * is_one[:, np.newaxis, :, np.newaxis]
                found[f"{name}.{i}.{j}"] = part
    return found


def gradients_of(model) -> dict[str, np.ndarray]:
    """By transformers' names."""
    found = {}
    for name, p in model.named_parameters():
        if p.grad is not None:
            found |= model.layout.tensors(name, np.asarray(p.grad))
    is_bare = not hasattr(model, "transformer")
    return {name.removeprefix("transformer.") if is_bare else name: grad for name, grad in found.items()}


def their_gradients(model) -> dict[str, np.ndarray]:
    return {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}


def errors_in(head: str, folder, situation: Situation, dtype) -> dict[str, float]:
    """By how much each output, loss and gradient differs."""
    rng = np.random.default_rng(1)
    ours, theirs = getattr(models, head).from_pretrained(folder, dtype=dtype), loaded_xlnet(head, folder, dtype)
    given = inputs_for(situation, rng)
    given |= labels_for(head, given, rng)
    if situation.memory:
        before = rng.integers(0, XLNET_SHAPE["vocab_size"], (situation.rows, situation.memory))
        given["mems"] = ours(before).mems
        expected = theirs(torch.from_numpy(before)).mems
        for mem, right in zip(given["mems"], expected, strict=True):
            assert mem.shape == tuple(right.shape)
            np.testing.assert_allclose(mem.data, right.numpy(), atol=TOLERANCE[dtype])
    output, their_output = ours(**given, **EVERYTHING), theirs(**tensors(given, dtype), **EVERYTHING)
    found, right = outputs_of(output), outputs_of(their_output, given.get("target_mapping"))
    assert set(found) == set(right) and {name: x.shape for name, x in found.items()} == {
        name: x.shape for name, x in right.items()
    }
    streams = 2 if situation.targets else 1
    assert len(found) == (1 if head == "XLNetModel" else 2) + len(output.mems) + streams * (2 * ours.config.n_layer + 1)
    errors = {name: np.abs(x - right[name]).max() for name, x in found.items()}

    if head == "XLNetModel":
        weights = rng.normal(size=output.last_hidden_state.shape).astype(dtype)
        (output.last_hidden_state * weights).sum().backward()
        (their_output.last_hidden_state * torch.from_numpy(weights)).sum().backward()
    else:
        output.loss.backward()
        their_output.loss.backward()
    gradients, their = gradients_of(ours), their_gradients(theirs)
    assert set(gradients) == set(their)
    for name, gradient in gradients.items():
        scale = max(1.0, np.abs(their[name]).max())
        errors[f"gradient of {name}"] = np.abs(gradient - their[name]).max() / scale
    return errors


@dtypes
@situations
@heads
def test_outputs_losses_mems_and_gradients(tmp_path, head, situation, dtype):
    settings = situation.settings | (dict(num_labels=3) if "Sequence" in head else {})
    their_xlnet(head, settings).save_pretrained(tmp_path)
    errors = errors_in(head, tmp_path, situation, dtype)
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE[dtype]}
    assert not wrong, wrong


# --- what differs on purpose ------------------------------------------------------------------------------------------


def test_input_mask_is_the_inverse_of_attention_mask(tmp_path):
    """L-2: there and here."""
    their_xlnet("XLNetModel", {}).save_pretrained(tmp_path)
    ours, theirs = (
        XLNetModel.from_pretrained(tmp_path, dtype=np.float64),
        loaded_xlnet("XLNetModel", tmp_path, np.float64),
    )
    ids = np.random.default_rng(0).integers(0, 41, (2, T))
    real = (np.arange(T) >= np.array([[0], [4]])).astype(float)
    right = theirs(torch.from_numpy(ids), input_mask=torch.from_numpy(1 - real)).last_hidden_state.detach().numpy()
    for given in (dict(input_mask=1 - real), dict(attention_mask=real)):
        assert np.abs(ours(ids, **given).last_hidden_state.numpy() - right).max() <= 1e-11


def test_a_target_that_sees_nothing_is_told_nothing(tmp_path):
    """L-8: transformers gives it the mean of all tokens, its own among them."""
    their_xlnet("XLNetModel", dict(n_layer=1)).save_pretrained(tmp_path)
    ours, theirs = (
        XLNetModel.from_pretrained(tmp_path, dtype=np.float64),
        loaded_xlnet("XLNetModel", tmp_path, np.float64),
    )
    given = dict(perm_mask=np.ones((1, 3, 3)), target_mapping=np.array([[[0.0, 1, 0]]]))
    for new in (7, 8):
        ids = np.array([[3, new, 5]])
        out = ours(ids, **given, output_attentions=True)
        their = theirs(torch.from_numpy(ids), **tensors(given, np.float64))
        assert not out.attentions[0][1].numpy().any()
        if new == 7:
            before, their_before = out.last_hidden_state.numpy(), their.last_hidden_state.detach().numpy()
    np.testing.assert_array_equal(out.last_hidden_state.numpy(), before)
    assert np.abs(their.last_hidden_state.detach().numpy() - their_before).max() > 1e-3, "a leak, there"


def test_a_call_in_training_returns_no_memory_unless_it_is_told(tmp_path):
    """L-9: there and here."""
    their_xlnet("XLNetModel", {}).save_pretrained(tmp_path)
    ours, theirs = (
        XLNetModel.from_pretrained(tmp_path, dtype=np.float64),
        loaded_xlnet("XLNetModel", tmp_path, np.float64),
    )
    ids = np.array([[3, 4, 5]])
    for model, given in ((ours, ids), (theirs, torch.from_numpy(ids))):
        assert model(given).mems is not None and model(given, use_mems=False).mems is None
        model.train()
        assert model(given).mems is None and model(given, use_mems=True).mems is not None


@pytest.mark.parametrize("kind", ["bi", "uni"], ids="{}, float32".format)  # the mask that theirs makes is float32
def test_generate_writes_what_theirs_writes_without_mems(tmp_path, kind):
    """By default theirs reads only the last two tokens again, beside the mems: with "bi", other tokens."""
    model = their_xlnet("XLNetLMHeadModel", dict(attn_type=kind, mem_len=None, tie_word_embeddings=False))
    for name, p in model.named_parameters():  # or it repeats one token
        if name.endswith(("bias", "mask_emb")) and "r_" not in name:
            p.data *= 0.1
        p.data *= 5 if name.endswith((".q", "attn.r")) else 3 if "word_emb" in name else 1
    model.save_pretrained(tmp_path)
    ours = XLNetLMHeadModel.from_pretrained(tmp_path, dtype=np.float32)
    theirs = loaded_xlnet("XLNetLMHeadModel", tmp_path, np.float32)
    ids = np.random.default_rng(0).integers(3, 41, (1 if kind == "uni" else 3, 5))  # L-7
    how = dict(max_new_tokens=12, do_sample=False)
    written = ours.generate(ids, **how)
    assert written.tolist() == theirs.generate(torch.from_numpy(ids), use_mems=False, **how).tolist()
    assert len(set(written[0, 5:].tolist())) > 2, "a model that repeats itself would prove nothing"
    with_mems = theirs.generate(torch.from_numpy(ids), **how).tolist()
    assert (written.tolist() == with_mems) == (kind == "uni")


# --- the classifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        dict(summary_type="first"),
        dict(summary_type="mean"),
        dict(summary_type="cls_index", summary_activation="relu"),
        dict(summary_use_proj=False, summary_activation=""),
    ],
    ids=str,
)
def test_what_the_classifier_reads(tmp_path, settings):
    their_xlnet("XLNetForSequenceClassification", settings | dict(num_labels=3)).save_pretrained(tmp_path)
    situation = Situation(segments=True, padding=True)
    errors = errors_in("XLNetForSequenceClassification", tmp_path, situation, np.float64)
    assert max(errors.values()) <= 1e-11


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        (dict(num_labels=1), [0.5, -1.25, 3.0]),
        (dict(num_labels=2, problem_type="regression"), [[0.5, 1.0], [-1.25, 0.0], [3.0, 2.0]]),
        (dict(num_labels=4), [3, 0, 3]),
        (dict(num_labels=3, problem_type="multi_label_classification"), [[1.0, 0, 1], [0, 0, 0], [0, 1, 1]]),
    ],
    ids=str,
)
def test_what_the_labels_of_texts_mean(tmp_path, settings, labels):
    theirs = their_xlnet("XLNetForSequenceClassification", settings)
    theirs.save_pretrained(tmp_path)
    ours = models.XLNetForSequenceClassification.from_pretrained(tmp_path, dtype=np.float64)
    ids, labels = np.random.default_rng(2).integers(0, 41, (3, T)), np.array(labels)
    loss = theirs(torch.from_numpy(ids), labels=torch.from_numpy(labels)).loss
    assert ours(ids, labels=labels).loss.item() == pytest.approx(loss.item(), rel=1e-12, abs=1e-12)


# --- a training of 50 steps -------------------------------------------------------------------------------------------


@dtypes
def test_a_twin_run_has_the_same_loss_at_every_step(tmp_path, dtype):
    """The same weights, orders and AdamW, no dropout."""
    their_xlnet("XLNetLMHeadModel", dict(n_layer=2)).save_pretrained(tmp_path)
    ours = XLNetLMHeadModel.from_pretrained(tmp_path, dtype=dtype).train()
    theirs = loaded_xlnet("XLNetLMHeadModel", tmp_path, dtype).train()
    how = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-6)
    optimizer = AdamW(decay_matrices(ours.named_parameters(), 0.0), **how)
    their_optimizer = torch.optim.AdamW(theirs.parameters(), weight_decay=0.0, **how)
    rng, losses = np.random.default_rng(3), []
    situation = Situation(segments=True, order=True, targets="places")
    for _ in range(50):
        given = inputs_for(situation, rng)
        given |= labels_for("XLNetLMHeadModel", given, rng)
        optimizer.zero_grad()
        loss = ours(**given).loss
        loss.backward()
        optimizer.step()
        their_optimizer.zero_grad()
        their_loss = theirs(**tensors(given, dtype)).loss
        their_loss.backward()
        their_optimizer.step()
        losses.append((loss.item(), their_loss.item()))
    gaps = [abs(our - their) for our, their in losses]
    assert max(gaps) <= {np.float32: 1e-4, np.float64: 1e-9}[dtype], gaps
    first, last = np.mean(losses[:10]), np.mean(losses[-10:])
    assert last < first, "it learns"


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@heads
def test_theirs_ours_theirs_is_bit_by_bit_the_same(tmp_path, head, tied):
    settings = dict(tie_word_embeddings=tied) | (dict(num_labels=4) if "Sequence" in head else {})
    theirs = their_xlnet(head, settings).float()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    assert type(ours).__name__ == head, "config.json says which model it is"
    ours.save_pretrained(tmp_path / "ours")
    same_tensors(tensors_in(tmp_path / "theirs"), tensors_in(tmp_path / "ours"))
    configs = [json.loads((tmp_path / who / "config.json").read_text(encoding="utf-8")) for who in ("theirs", "ours")]
    assert configs[0] == configs[1]
    again = loaded(head, tmp_path / "ours", np.float32)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 41, (2, T)))
    assert torch.equal(again(ids)[0], theirs(ids)[0])


@heads
def test_what_was_made_here_computes_the_same_there(tmp_path, head):
    config = XLNetConfig(41, 30, 2, 5, 37, "gelu_new", clamp_len=5, mem_len=6)
    ours = getattr(models, head)(config).to(np.float64).eval()
    rng = np.random.default_rng(5)
    for p in ours.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    ours.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded(head, tmp_path, np.float32)
    theirs = loaded_xlnet(head, tmp_path, np.float64)
    given = inputs_for(Situation(segments=True, padding=True, order=True), rng)
    found, right = (
        outputs_of(ours(**given, **EVERYTHING)),
        outputs_of(theirs(**tensors(given, np.float64), **EVERYTHING)),
    )
    assert set(found) == set(right)
    for name, x in found.items():
        assert np.abs(x - right[name]).max() <= 1e-11, name


def test_a_new_model_is_drawn_as_theirs_are():
    """All matrices, vectors and biases of attention normal with standard deviation initializer_range; biases of linear
    layers 0, norms 1."""
    random_stream.manual_seed(1)
    torch.manual_seed(1)
    shape = dict(d_model=96, n_layer=1, n_head=2, vocab_size=300, d_inner=128, initializer_range=0.05)
    for head in ("XLNetLMHeadModel", "XLNetForSequenceClassification"):
        ours = getattr(models, head)(XLNetConfig(**shape))
        theirs = getattr(transformers, head)(transformers.XLNetConfig(**shape))
        drawn = {}
        for name, p in ours.named_parameters():
            drawn |= ours.layout.tensors(name, p.data)
        expected = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
        assert set(drawn) == set(expected)
        for name, array in drawn.items():
            assert array.shape == expected[name].shape
            few = 0.1 + 3 / np.sqrt(2 * array.size)  # the smallest have 96 numbers
            assert array.std() == pytest.approx(expected[name].std(), rel=few, abs=1e-12), name
            assert array.mean() == pytest.approx(expected[name].mean(), abs=0.05 / np.sqrt(array.size) * 5), name


def test_every_setting_that_transformers_has_by_default_is_known():
    """Were a new one to change the maths, this is where it shows: look what it does before it is added to the list."""
    config = transformers.XLNetConfig()
    ours = XLNetModel.layout.config_from(config.to_dict(), "config.json")
    assert ours == XLNetConfig() == XLNetModel.layout.config_from({}, "config.json")
    assert ours == XLNetModel.layout.config_from(json.loads(config.to_json_string()), "config.json")
    for name in XLNetModel.layout.settings:
        assert getattr(config, name) == getattr(ours, name), name
