"""The GPT: its parameters, its values and gradients, its caches, a training step, and what it refuses.

tests/reference/test_gpt_torch.py holds it against PyTorch.
"""

import gc
import math

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.optim import AdamW, clip_grad_norm

V = 11


def small(**settings) -> GPT:
    """A GPT in float64 with every parameter random, biases and norms too."""
    settings = dict(block_size=9, n_layer=2, n_head=3, n_embd=12) | settings
    model = GPT(GPTConfig(V, **settings)).to(np.float64)
    rng = np.random.default_rng(3)
    for name, p in model.named_parameters():
        p.data[...] = rng.normal(1.0 if name.endswith("norm.weight") else 0.0, 0.4, p.shape)
    return model


def ids(b: int, t: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, (b, t))


# --- parameters --------------------------------------------------------------------------------------------------


def test_the_parameters_and_their_names():
    model = GPT(GPTConfig(V, block_size=9, n_layer=1, n_head=3, n_embd=12, tied=False))
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "token_embedding.weight": (11, 12),
        "position_embedding.weight": (9, 12),
        "blocks.0.attention_norm.weight": (12,),
        "blocks.0.attention_norm.bias": (12,),
        "blocks.0.attention.qkv.weight": (36, 12),
        "blocks.0.attention.qkv.bias": (36,),
        "blocks.0.attention.out.weight": (12, 12),
        "blocks.0.attention.out.bias": (12,),
        "blocks.0.feed_forward_norm.weight": (12,),
        "blocks.0.feed_forward_norm.bias": (12,),
        "blocks.0.feed_forward.up.weight": (48, 12),
        "blocks.0.feed_forward.up.bias": (48,),
        "blocks.0.feed_forward.down.weight": (12, 48),
        "blocks.0.feed_forward.down.bias": (12,),
        "final_norm.weight": (12,),
        "final_norm.bias": (12,),
        "head.weight": (11, 12),
    }


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_how_many_parameters_there_are(norm, tied, bias):
    c, layers, t = 12, 2, 9
    model = small(norm=norm, tied=tied, bias=bias)
    matrices = V * c * (1 if tied else 2) + t * c + layers * 12 * c * c
    norms = 2 * layers + (norm == "pre")
    biases = layers * (3 + 1 + 4 + 1) * c + norms * c
    assert model.num_parameters() == matrices + norms * c + bias * biases
    assert any("bias" in name for name, _ in model.named_parameters()) == bias
    assert (model.head.weight is model.token_embedding.weight) == tied


@pytest.mark.parametrize(("norm", "residual_std"), [("pre", 0.02 / 4), ("post", 0.02)], ids=["gpt2", "gpt1"])
def test_the_initialisation_is_the_papers(norm, residual_std):
    tg.manual_seed(1)
    model = GPT(GPTConfig(500, block_size=100, n_layer=8, n_head=2, n_embd=128, norm=norm))
    for name, p in model.named_parameters():
        if p.ndim == 2:
            residual = name.endswith((".attention.out.weight", ".down.weight"))
            assert p.data.std() == pytest.approx(residual_std if residual else 0.02, rel=0.05), name
            assert abs(p.data.mean()) < 0.001
        else:
            assert (p.data == (1 if name.endswith("norm.weight") else 0)).all(), name
        assert p.dtype == np.float32
    assert model.loss(ids(2, 20), ids(2, 20, seed=1)).item() == pytest.approx(math.log(500), abs=0.2)


def test_the_same_seed_makes_the_same_model():
    models = []
    for seed in (4, 4, 5):
        tg.manual_seed(seed)
        models.append(GPT(GPTConfig(V)).state_dict())
    assert all((models[0][name] == models[1][name]).all() for name in models[0])
    assert (models[0]["token_embedding.weight"] != models[2]["token_embedding.weight"]).any()


# --- values ------------------------------------------------------------------------------------------------------


def by_hand(model: GPT, ids: np.ndarray) -> np.ndarray:
    """The logits of one sequence, in plain NumPy, from the state."""
    p = model.state_dict()
    c = model.config

    activations = {
        "gelu_tanh": lambda h: 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))),
        "relu": lambda h: np.maximum(h, 0),
        "silu": lambda h: h / (1 + np.exp(-h)),
        "tanh": np.tanh,
    }

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + c.layer_norm_epsilon)
        return x * p[f"{name}.weight"] + p.get(f"{name}.bias", 0)

    def linear(name, x):
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)

    def attention(name, x, scale):
        heads = []
        qkv = np.split(linear(f"{name}.qkv", x), 3, -1)
        for q, k, v in zip(*(np.split(part, c.n_head, -1) for part in qkv), strict=True):
            scores = np.where(np.tri(len(x), dtype=bool), q @ k.T * scale, -np.inf)
            weights = np.exp(scores)
            heads.append(weights / weights.sum(-1, keepdims=True) @ v)
        return linear(f"{name}.out", np.concatenate(heads, -1))

    def feed_forward(name, x):
        return linear(f"{name}.down", activations[c.activation](linear(f"{name}.up", x)))

    x = p["token_embedding.weight"][ids] + p["position_embedding.weight"][: len(ids)]
    for i in range(c.n_layer):
        b = f"blocks.{i}"
        scale = math.sqrt(c.n_head / c.n_embd) if c.scale_attn_weights else 1
        scale = scale / (i + 1) if c.scale_attn_by_inverse_layer_idx else scale
        if c.norm == "pre":
            x = x + attention(f"{b}.attention", norm(f"{b}.attention_norm", x), scale)
            x = x + feed_forward(f"{b}.feed_forward", norm(f"{b}.feed_forward_norm", x))
        else:
            x = norm(f"{b}.attention_norm", x + attention(f"{b}.attention", x, scale))
            x = norm(f"{b}.feed_forward_norm", x + feed_forward(f"{b}.feed_forward", x))
    x = norm("final_norm", x) if c.norm == "pre" else x
    return x @ p["token_embedding.weight" if c.tied else "head.weight"].T


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_logits_and_the_loss_are_those_of_the_model_written_by_hand(norm, tied, bias):
    model = small(norm=norm, tied=tied, bias=bias)
    x, y = ids(2, 7), ids(2, 7, seed=1)
    expected = np.stack([by_hand(model, row) for row in x])
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-9, atol=1e-10)
    chosen = np.take_along_axis(expected, y[..., None], -1)[..., 0]
    loss = np.mean(np.log(np.exp(expected).sum(-1)) - chosen)
    assert model.loss(x, y).item() == pytest.approx(loss, rel=1e-10)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize(
    "settings",
    [
        dict(n_inner=7, activation="silu", layer_norm_epsilon=0.3),
        dict(activation="relu", scale_attn_by_inverse_layer_idx=True),
        dict(activation="tanh", scale_attn_weights=False),
        dict(scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True),
    ],
    ids=str,
)
def test_the_settings_that_change_the_mathematics(settings, norm):
    model, x = small(norm=norm, **settings), ids(2, 7)
    expected = np.stack([by_hand(model, row) for row in x])
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-9, atol=1e-10)
    assert model.blocks[0].feed_forward.up.weight.shape == (settings.get("n_inner", 48), 12)


def test_no_position_sees_those_after_it():
    model = small()
    x = ids(2, 9)
    changed = x.copy()
    changed[:, 5] = (x[:, 5] + 1) % V
    before, after = model(x).data, model(changed).data
    assert (before[:, :5] == after[:, :5]).all()
    assert (before[:, 5:] != after[:, 5:]).any(axis=(0, 2)).all()


def test_ids_may_be_a_tensor_or_a_list_of_any_integers():
    model = small()
    x = ids(2, 3)
    expected = model(x).data
    for same in (x.tolist(), x.astype(np.uint16), tg.Tensor(x)):
        assert (model(same).data == expected).all()


def test_dropout_acts_in_training_only_and_follows_the_seed():
    model = small(dropout=0.3)
    x = ids(2, 5)
    tg.manual_seed(2)
    first, second = model(x).data, model(x).data
    tg.manual_seed(2)
    assert (first != second).any() and (model(x).data == first).all()
    model.eval()
    assert (model(x).data == model(x).data).all() and (model(x).data != first).any()
    without = small()
    assert (model(x).data == without(x).data).all()


def test_dropout_stands_where_gpt2_has_it():
    """After the embeddings, on the attention weights, and on what each half of a block adds."""
    model = small(dropout=0.3)
    ops = [step.op for step in model.loss(ids(2, 5), ids(2, 5)).backward_steps()]
    assert ops.count("dropout") == 1 + 2 * model.config.n_layer
    ops.reverse()  # in the order of the forward, for a single chain of ops
    assert ops.index("dropout") < ops.index("layer_norm")
    attention = model.blocks[0].attention
    x = tg.Tensor(np.ones((1, 5, 12)))
    assert (attention(x).data != attention(x).data).any()


def test_the_three_dropouts_can_be_set_one_by_one():
    x = ids(2, 5)
    for settings, dropped in [
        (dict(dropout=0.3, embd_pdrop=0.0, attn_pdrop=0.0), {"residual"}),
        (dict(embd_pdrop=0.3), {"embedding"}),
        (dict(attn_pdrop=0.3), {"attention"}),
    ]:
        model = small(**settings)
        block = model.blocks[0]
        p = {"residual": block.dropout.p, "embedding": model.dropout.p, "attention": block.attention.dropout}
        assert {name for name, value in p.items() if value == 0.3} == dropped
        assert {name for name, value in p.items() if value == 0.0} == set(p) - dropped
        assert (model(x).data != model(x).data).any()


# --- gradients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_gradient_of_the_loss_is_right_for_every_parameter(norm, tied):
    """Along a random direction in each parameter, the loss changes as its gradient says."""
    model = small(norm=norm, tied=tied)
    x, y = ids(2, 7), ids(2, 7, seed=1)
    model.loss(x, y).backward()
    rng = np.random.default_rng(5)
    h = 1e-6
    for name, p in model.named_parameters():
        direction = rng.standard_normal(p.shape)
        start = p.data.copy()
        sides = []
        for step in (h, -h):
            p.data = start + step * direction
            sides.append(model.loss(x, y).item())
        p.data = start
        measured = (sides[0] - sides[1]) / (2 * h)
        assert (p.grad * direction).sum() == pytest.approx(measured, rel=1e-5, abs=1e-8), name


def test_it_learns_a_batch_by_heart():
    tg.manual_seed(3)
    model = GPT(GPTConfig(V, block_size=8, n_layer=2, n_head=2, n_embd=32))
    optimizer = AdamW(model.named_parameters(), lr=1e-2)
    x = ids(4, 9)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(x[:, :-1], x[:, 1:])
        loss.backward()
        clip_grad_norm(optimizer.parameters(), 1.0)
        optimizer.step()
    assert loss.item() < 0.2


# --- a training step ---------------------------------------------------------------------------------------------


def training_step(model: GPT, optimizer: AdamW, x, y) -> tuple[float, float]:
    optimizer.zero_grad()
    loss = model.loss(x, y)
    loss.backward()
    norm = clip_grad_norm(optimizer.parameters(), 0.1)
    optimizer.step()
    return loss.item(), norm


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_training_step_runs_on_arrays_that_are_not_numpys(norm):
    """Everything that a step does must work on a GPU's arrays, which refuse silent conversions; see strict_array.py."""
    results = []
    for kind in (np.asarray, StrictArray):
        tg.manual_seed(4)
        model = small(norm=norm, dropout=0.2)
        for p in model.parameters():
            p.data = kind(p.data)
        optimizer = AdamW(model.named_parameters(), lr=1e-2)
        with tg.using("reference"):
            losses = [training_step(model, optimizer, kind(ids(2, 7)), kind(ids(2, 7, seed=1))) for _ in range(2)]
        assert all(isinstance(p.data, type(kind(np.ones(1)))) for p in model.parameters())
        results.append((losses, model.state_dict()))
    (losses, state), (strict_losses, strict_state) = results
    np.testing.assert_allclose(losses, strict_losses, rtol=1e-12)
    for name in state:
        np.testing.assert_allclose(strict_state[name], state[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_generation_runs_on_arrays_that_are_not_numpys():
    model = small().eval()
    expected = model.next_logits(ids(1, 4)).data
    for p in model.parameters():
        p.data = StrictArray(p.data)
    cache = model.new_cache()
    with tg.no_grad():
        model.next_logits(StrictArray(ids(1, 4)[:, :3]), cache)
        logits = model.next_logits(StrictArray(ids(1, 4)[:, 3:]), cache)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-10)


@pytest.mark.long
def test_a_training_step_leaves_no_reference_cycles():
    model = small(dropout=0.1)
    optimizer = AdamW(model.named_parameters())
    training_step(model, optimizer, ids(2, 7), ids(2, 7, seed=1))  # whatever loads on first use has loaded
    gc.collect()
    gc.disable()
    try:
        training_step(model, optimizer, ids(2, 7), ids(2, 7, seed=1))
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_debug_mode_finds_no_saved_array_overwritten():
    model = small(dropout=0.1)
    with tg.debug():
        training_step(model, AdamW(model.named_parameters()), ids(2, 7), ids(2, 7, seed=1))


# --- positions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_without_positions_the_order_of_what_came_before_does_not_matter(norm):
    """Attention then sees a set, as far as a position looks back."""
    model, learned = small(norm=norm, positions="none").eval(), small(norm=norm).eval()
    x, swapped = np.array([[1, 2, 3, 4]]), np.array([[2, 1, 3, 4]])
    if len(model.blocks) > 1:
        model.blocks, learned.blocks = model.blocks[:1], learned.blocks[:1]
    np.testing.assert_allclose(model(x).data[:, 2:], model(swapped).data[:, 2:], rtol=1e-9)
    assert np.abs(learned(x).data[:, 2:] - learned(swapped).data[:, 2:]).max() > 1e-4
    assert model.position_embedding is None and "position_embedding.weight" not in model.state_dict()


def test_without_positions_a_cache_and_the_longest_text_are_as_ever():
    model = small(positions="none").eval()
    x, cache = ids(2, 9), model.new_cache(batch_size=2)
    whole = model(x).data
    with tg.no_grad():
        parts = [model(x[:, start : start + 3], cache).data for start in (0, 3, 6)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-9, atol=1e-11)
    with pytest.raises(ValueError, match=r"at most 9 positions \(block_size\), got 10"):
        model(ids(1, 10))


# --- caches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [(9,), (1,) * 9, (4, 1, 1, 3), (2, 7)])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_cache_gives_the_logits_of_the_whole_sequence(norm, pieces):
    model = small(norm=norm).eval()
    x = ids(2, 9)
    whole = model(x).data
    cache = model.new_cache(batch_size=2)
    start = 0
    with tg.no_grad():
        for size in pieces:
            part = model(x[:, start : start + size], cache).data
            np.testing.assert_allclose(part, whole[:, start : start + size], rtol=1e-9, atol=1e-11)
            start += size
    assert cache.length == 9


def test_next_logits_are_those_of_the_last_position():
    model = small()
    np.testing.assert_allclose(model.next_logits(ids(2, 6)).data, model(ids(2, 6)).data[:, -1], rtol=1e-12)


def test_a_cache_is_refused_while_gradients_are_recorded():
    model = small()
    with pytest.raises(RuntimeError, match="no_grad"):
        model(ids(1, 2), model.new_cache())


# --- what is refused ---------------------------------------------------------------------------------------------


def test_more_positions_than_there_are():
    model = small()
    with pytest.raises(ValueError, match=r"at most 9 positions \(block_size\), got 10"):
        model(ids(1, 10))
    cache = model.new_cache()
    with tg.no_grad():
        model(ids(1, 6), cache)
        with pytest.raises(ValueError, match="got 10"):
            model(ids(1, 4), cache)


def test_ids_that_cannot_be():
    model = small()
    with pytest.raises(IndexError, match="vocabulary size 11"):
        model(np.array([[0, 11]]))
    with pytest.raises(IndexError, match="got -1"):
        model(np.array([[0, -1]]))
    with pytest.raises(IndexError, match="targets"):
        model.loss(ids(1, 2), np.array([[0, 11]]))
    for bad in (np.array([1, 2]), np.zeros((1, 2, 3), int), np.zeros((1, 0), int)):
        with pytest.raises(ValueError, match=r"\(B, T\)"):
            model(bad)
    with pytest.raises(TypeError, match="integer"):
        model(np.ones((1, 2), np.float32))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(n_embd=10, n_head=3), "n_embd should be a multiple of n_head (3), not 10"),
        (dict(n_layer=0), "n_layer should be at least 1, not 0"),
        (dict(vocab_size=0), "vocab_size should be at least 1"),
        (dict(block_size=2.5), "block_size should be int, not 2.5"),
        (dict(dropout=1.0), "dropout should be less than 1"),
        (dict(dropout=math.nan), "dropout should be a finite number"),
        (dict(norm="both"), "norm should be one of pre, post, not 'both'"),
        (dict(activation="swish"), "activation should be one of gelu_tanh, gelu, relu"),
        (dict(bias=1), "bias should be bool, not 1"),
        (dict(n_head=True), "n_head should be int, not True"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UserError) as error:
        GPTConfig(**(dict(vocab_size=V) | settings))
    assert message in str(error.value)
