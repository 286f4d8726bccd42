"""Looking inside a model by the paths of its modules: what they return, attention weights, gradients."""

import threading

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.models import GPT, GPT2, GPT1ForClassification, GPTConfig, Transformer, TransformerConfig
from tinygrad_gpt.nn import Linear, Module

IDS = np.random.default_rng(0).integers(0, 7, (2, 5))
SHAPE = dict(vocab_size=7, block_size=6, n_layer=2, n_head=2, n_embd=8)


def make_model(**settings) -> GPT:
    tg.manual_seed(3)
    return GPT(GPTConfig(**SHAPE | settings))


@pytest.fixture(params=["pre", "post"])
def model(request):
    return make_model(norm=request.param)


# --- paths -----------------------------------------------------------------------------------------------------------


def test_every_module_has_a_path(model):
    paths = dict(model.named_modules())
    assert paths[""] is model and paths["blocks.1.attention.qkv"] is model.blocks[1].attention.qkv
    assert list(paths.values()) == list(model.modules())
    assert all(model.path_of(module) == path for path, module in paths.items())


def test_a_path_is_seen_from_the_module_that_is_asked(model):
    assert model.blocks[1].path_of(model.blocks[1].attention) == "attention"
    with pytest.raises(ValueError, match="GPT: this Linear is not inside"):
        model.path_of(Linear(2, 2))


# --- outputs, weights, gradients -------------------------------------------------------------------------------------


def test_outputs_are_what_the_modules_return(model):
    with model.watching("blocks.*", "dropout") as seen:
        features = model.features(IDS)
    assert list(seen) == ["dropout", "blocks.0", "blocks.1"]
    again = model.blocks[1](seen["blocks.0"].output)
    assert (again.data == seen["blocks.1"].output.data).all()
    last = again if model.final_norm is None else model.final_norm(again)
    assert (last.data == features.data).all()


def test_nothing_else_is_changed(model):
    def results():
        loss = model.loss(IDS, IDS)
        loss.backward()
        grads = [p.grad for p in model.parameters()]
        model.zero_grad()
        return [loss.data, *grads]

    before = results()
    with model.watching():
        watched = results()
    assert all((a == b).all() for a, b in zip(before, watched, strict=True))


def test_attention_shows_its_weights(model):
    with model.watching("blocks.*.attention", "head") as seen:
        model(IDS)
    for i in range(2):
        weights = seen[f"blocks.{i}.attention"].weights
        assert weights.shape == (2, 2, 5, 5) and not weights.requires_grad
        np.testing.assert_allclose(weights.data.sum(-1), 1, rtol=1e-6)
        assert (np.triu(weights.data, 1) == 0).all()
    assert seen["head"].weights is None


def test_gradients_are_there_after_backward(model):
    with model.watching("blocks.*", "blocks.*.feed_forward.up", "head") as seen:
        loss = model.loss(IDS, IDS)
    assert seen["blocks.0"].grad is None
    loss.backward()
    logits = tg.Tensor(seen["head"].output.data, requires_grad=True)
    F.cross_entropy(logits, IDS).backward()
    assert (seen["head"].grad == logits.grad).all()
    for x in seen.values():
        assert x.grad.shape == x.output.shape and x.grad.any()
    # d loss / d bias is the sum of d loss / d output over the positions.
    up = seen["blocks.1.feed_forward.up"].grad
    np.testing.assert_allclose(up.sum((0, 1)), model.blocks[1].feed_forward.up.bias.grad, atol=1e-6)


def test_the_gradient_is_the_slope_of_the_loss():
    model = make_model().to(np.float64)
    with model.watching("dropout") as seen:
        model.loss(IDS, IDS).backward()
    direction, step = np.random.default_rng(1).normal(size=(2, 5, 8)), 1e-6

    def loss(t):
        x = tg.Tensor(seen["dropout"].output.data + t * direction)
        for block in model.blocks:
            x = block(x)
        return F.cross_entropy(model.head(model.final_norm(x)), IDS).item()

    slope = (loss(step) - loss(-step)) / (2 * step)
    assert abs(slope - (seen["dropout"].grad * direction).sum()) < 1e-7


@pytest.mark.parametrize("activation", ["gelu_tanh", "relu"])
def test_all_modules_can_be_watched_those_in_fused_ops_too(activation):
    model = make_model(activation=activation)
    with model.watching() as seen:
        model(IDS)
    assert set(seen) == {path for path, _ in model.named_modules()}
    ff, norm = seen["blocks.0.feed_forward"], seen["blocks.0.feed_forward_norm"]
    assert (seen["blocks.0.feed_forward.down"].output.data == ff.output.data).all()
    assert (model.blocks[0].feed_forward(norm.output).data == ff.output.data).all()
    assert seen["position_embedding"].output.shape == (5, 8)


def test_the_last_call_counts(model):
    with model.watching("head") as seen:
        model(IDS)
        model(IDS[:, :2])
    assert seen["head"].output.shape == (2, 2, 7)


def test_with_a_cache_the_weights_reach_back(model):
    with tg.no_grad(), model.watching("blocks.*.attention") as seen:
        cache = model.new_cache(2)
        model(IDS[:, :3], cache)
        model(IDS[:, 3:], cache)
        assert seen["blocks.1.attention"].weights.shape == (2, 2, 2, 5)
        model(IDS)
    whole = seen["blocks.1.attention"].weights.data
    np.testing.assert_allclose(whole.sum(-1), 1, rtol=1e-6)


def test_a_module_that_returns_several_tensors():
    class Two(Module):
        def forward(self, x):
            return x * 2, x * 3

    model, x = Two(), tg.Tensor(np.ones(2), requires_grad=True)
    with model.watching("") as seen:
        a, b = model(x)
        (a + b * 2).sum().backward()
    assert [g.tolist() for g in seen[""].grad] == [[1, 1], [2, 2]]


def test_a_model_inside_another():
    model = GPT1ForClassification(make_model(norm="post"), 3)
    with model.watching("body.blocks.*.attention", "score") as seen:
        model.loss(IDS, np.array([4, 4]), np.array([0, 2])).total.backward()
    assert list(seen) == ["body.blocks.0.attention", "body.blocks.1.attention", "score"]
    assert seen["score"].grad.shape == (2, 3) and seen["body.blocks.0.attention"].grad.any()


# --- recomputation ---------------------------------------------------------------------------------------------------


def test_recomputation_changes_nothing_that_is_seen():
    def look(recompute):
        model = make_model(dropout=0.3)
        model.recompute = recompute
        tg.manual_seed(8)
        with model.watching("blocks.*", "blocks.*.attention") as seen:
            loss = model.loss(IDS, IDS)
        loss.backward()
        return [a for x in seen.values() for a in (x.output.data, x.grad)]

    assert all((a == b).all() for a, b in zip(look(False), look(True), strict=True))


def test_hidden_states_lead_back_to_the_embeddings_with_recomputation():
    tg.manual_seed(3)
    model = GPT2(GPTConfig(**SHAPE))
    model.recompute = True
    model(IDS, output_hidden_states=True).hidden_states[1].sum().backward()
    assert model.token_embedding.weight.grad.any()


# --- who watches, and how long ---------------------------------------------------------------------------------------


def test_two_may_watch_at_once(model):
    with model.watching("head") as outer:
        with model.blocks[0].watching("attention") as inner:
            model(IDS)
        assert list(outer) == ["head"] and list(inner) == ["attention"]
        model(IDS[:1])
    assert len(outer["head"].output) == 1 and len(inner["attention"].output) == 2


def test_after_an_error_nobody_watches(model):
    with pytest.raises(IndexError), model.watching("head") as seen:
        model(IDS + 100)
    model(IDS)
    assert not seen and not tg.modes.watches.get()


def test_a_thread_watches_for_itself(model):
    with model.watching("head") as seen:
        other = threading.Thread(target=model, args=(IDS,))
        other.start()
        other.join()
    assert not seen


def test_nothing_is_kept_on_the_modules(model):
    before = [dict(vars(module)) for module in model.modules()]
    with model.watching():
        model(IDS)
        assert [vars(module) for module in model.modules()] == before


def test_a_module_that_is_called_for_two_texts_shows_the_last_call():
    """As a Transformer's embedding, of the source and of the target. Each half alone shows its own."""
    translator = Transformer(TransformerConfig(11, 8, 1, 1, 2, 2, 8, 8, max_position_embeddings=9)).eval()
    source, target = np.array([[3, 4, 5, 1]]), np.array([[0, 6]])
    with translator.watching("token_embedding") as seen:
        translator(source, target)
    assert seen["token_embedding"].output.shape == (1, 2, 8)
    with translator.watching("token_embedding") as seen:
        encoded = translator.encode(source)
    assert seen["token_embedding"].output.shape == (1, 4, 8)
    with translator.watching("token_embedding") as seen:
        translator.decode(target, encoded)
    assert seen["token_embedding"].output.shape == (1, 2, 8)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("blocks.*.attn", r"no module is at 'blocks.\*.attn': did you mean blocks.\*.attention"),
        ("blocks.2", r"no module is at 'blocks.2': did you mean blocks.\*"),
        ("zzzzzzzz", r"named_modules\(\) lists all paths"),
        ("blocks", "no module is at 'blocks'"),
    ],
)
def test_a_pattern_that_fits_nothing(model, pattern, message):
    with pytest.raises(ValueError, match=message), model.watching("head", pattern):
        pass


def test_a_pattern_that_is_not_a_text(model):
    with pytest.raises(TypeError, match="expected paths of modules as texts, got"), model.watching(model.head):
        pass


def test_a_path_that_was_not_seen(model):
    with model.watching("head") as seen, pytest.raises(KeyError, match="head is watched, but it was not called"):
        seen["head"]
    with pytest.raises(KeyError, match=r"'blocks.0' is not watched, but head"):
        seen["blocks.0"]
