"""Tensors and models on the GPU: moving, mixing, memory, and what is not looked at there."""

import itertools

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.gpu.on_gpu import emulated, to_cpu, to_gpu
from tinygrad_gpt import array, devices, memory
from tinygrad_gpt import functional as F
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.nn import Linear

RNG = np.random.default_rng(0)


def test_the_card():
    gpu = tg.device("cuda")
    assert gpu == tg.device("auto") and gpu.title in devices.describe_gpu()
    major, minor = devices.compute_capability()
    assert major >= 5 and 0 <= minor <= 9
    x = gpu.move_here(np.ones((1000, 1000), np.float32))
    gpu.synchronize()
    assert array.place(x) == "cuda" and array.device_of(x) == gpu and gpu.move_here(x) is x
    assert gpu.memory_kept() >= gpu.memory_in_use() >= x.nbytes
    assert isinstance(tg.device("cpu").move_here(x), np.ndarray)


@pytest.mark.skipif(not emulated, reason="only the emulation can be broken")
@pytest.mark.parametrize(("status", "said"), [(35, "the driver takes CUDA up to 12.0"), (100, "no NVIDIA driver")])
def test_a_machine_without_one(status, said):
    from tests.emulated_cuda._runtime import broken

    try:
        devices.why_no_gpu.cache_clear()
        with broken(status), pytest.raises(UserError, match=said):
            tg.device("cuda")
    finally:
        devices.why_no_gpu.cache_clear()


def test_tensors_move():
    x = tg.tensor([1.0, 2.0]).to("cuda")
    assert x.device == tg.device("cuda") and x.to("cuda") is x and x.cuda() is x
    assert x.to("cpu").data.tolist() == x.numpy().tolist() == [1.0, 2.0]
    assert x.to(np.float64).device == x.device and x.to(np.float64).dtype == np.float64
    assert repr(x) == "Tensor([1., 2.], float32)"
    assert (x + 1).data.tolist() == [2.0, 3.0] and (2 * x).sum().item() == 6.0
    assert (x > 1).tolist() == [False, True]


def test_models_move_and_stay_tied():
    model = GPT(GPTConfig(7, block_size=4, n_layer=1, n_head=2, n_embd=8))
    before, parameters = {name: a.copy() for name, a in model.state_dict().items()}, list(model.parameters())
    model.to("cuda")
    assert list(model.parameters()) == parameters and all(p.device.kind == "cuda" for p in parameters)
    assert model.head.weight is model.token_embedding.weight
    for name, a in model.state_dict().items():
        assert isinstance(a, np.ndarray)
        np.testing.assert_array_equal(a, before[name])
    model.load_state_dict({name: a + 1 for name, a in before.items()})
    np.testing.assert_array_equal(model.to("cpu").final_norm.weight.data, before["final_norm.weight"] + 1)


def test_ids_come_from_either_side():
    weight, ids = RNG.standard_normal((5, 3)), np.array([[4, 0], [4, 2]])
    for given in (ids, to_gpu(ids), ids.astype(np.uint16), ids.tolist()):
        x = tg.Tensor(to_gpu(weight), requires_grad=True)
        y = F.embedding(given, x)
        np.testing.assert_array_equal(to_cpu(y.data), weight[ids])
        loss = F.cross_entropy(y, np.array([[0, 1], [2, -100]])) + x[np.array([1, 1, 3])].sum()
        loss.backward()
        right = tg.Tensor(weight, requires_grad=True)
        y = F.embedding(ids, right)
        (F.cross_entropy(y, np.array([[0, 1], [2, -100]])) + right[np.array([1, 1, 3])].sum()).backward()
        np.testing.assert_allclose(to_cpu(x.grad), right.grad, rtol=1e-12)


def test_ids_are_checked_on_the_cpu_and_not_looked_at_on_the_gpu():
    weight = tg.tensor(np.ones((5, 3), np.float32)).to("cuda")
    with pytest.raises(IndexError, match="vocabulary size 5"):
        F.embedding(np.array([5]), weight)
    with pytest.raises(ValueError, match="at least one target that counts"):
        F.cross_entropy(weight, np.full(5, -100))
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.cross_entropy(weight, to_gpu(np.full(5, -100))).item())  # nobody has looked


def test_floats_on_both_sides_are_an_error():
    layer = Linear(3, 2).to("cuda")
    with pytest.raises(TypeError, match=r"linear: expected inputs on one device, got float32\(4, 3\) on the CPU"):
        layer(np.ones((4, 3), np.float32))
    with pytest.raises(TypeError, match="mul: expected inputs on one device"):
        tg.tensor([1.0]) * tg.tensor([1.0]).to("cuda")


# --- memory --------------------------------------------------------------------------------------------------------


def test_cuts_of_one_array_are_joined_without_a_copy():
    for order in [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 0, 2)]:
        whole = to_gpu(np.arange(6.0**4).reshape(6, 6, 6, 6)).transpose(order)
        for axis in range(4):
            before = (slice(None),) * axis
            pieces = [whole[(*before, slice(begin, end))] for begin, end in ((0, 2), (2, 3), (3, 6))]
            joined = memory.concatenate_views(pieces, axis)
            assert memory.address(joined) == memory.address(whole) and joined.strides == whole.strides
            assert memory.owner(joined) is memory.owner(whole)  # or the tape would take it for new
            np.testing.assert_array_equal(to_cpu(joined), to_cpu(whole))
            other = memory.concatenate_views(pieces[::-1], axis)
            np.testing.assert_array_equal(to_cpu(other), np.concatenate(to_cpu(pieces[::-1]), axis))
            assert memory.owner(other) is not memory.owner(whole)


def test_who_else_holds_memory():
    def saved():
        return (to_gpu(np.ones((2, 3))),)

    mine = saved()
    assert memory.nobody_else_holds(mine, 0)
    view = mine[0].reshape(3, 2)
    assert not memory.nobody_else_holds(mine, 0)
    del view
    assert memory.nobody_else_holds(mine, 0)
    also = mine[0]
    assert not memory.nobody_else_holds(mine, 0)
    del also
    assert memory.nobody_else_holds((saved()[0].reshape(3, 2),), 0)
    assert not memory.nobody_else_holds((np.broadcast_to(saved()[0][:1], (2, 3)),), 0)


def test_new_gradients_are_taken_over_without_a_copy():
    seen = []

    def backward(dy, saved):
        seen.append(dy * 2)
        return (seen[-1].reshape(3, 4),)  # a view, but of memory that is new

    version = tg.register("tanh", lambda x: (x.reshape(12), None), backward)
    try:
        x = tg.Tensor(to_gpu(np.ones((3, 4))), requires_grad=True)
        F.tanh(x).sum().backward()
    finally:
        tg.unregister(version)
    assert memory.address(x.grad) == memory.address(seen[0])


def test_memory_that_is_shared_is_never_added_to():
    """Gradients that are dy itself, a part of it, or one number broadcast to many, on the way to several uses."""

    def grads(bring):
        x, w = (tg.Tensor(bring(RNG_VALUES + i), requires_grad=True) for i in range(2))
        parts = F.chunk(x, 3, dim=1)
        joined = F.concatenate(parts, axis=1)
        y = joined + w
        loss = (y * y).sum() + x.sum() + w.sum() + joined.sum() + F.reshape(y, (12,)).sum() + parts[1].mean()
        loss.backward()
        return x.grad, w.grad

    for got, right in zip(grads(to_gpu), grads(lambda x: x), strict=True):
        np.testing.assert_allclose(to_cpu(got), right, rtol=1e-12)


RNG_VALUES = RNG.standard_normal((2, 6))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_gradient_that_another_waits_for_is_not_added_to(order):
    """A sum sends its dy both ways; reshape passes it on as a view, to where another gradient is to be added."""
    u, v = (tg.Tensor(to_gpu(RNG_VALUES + i), requires_grad=True) for i in range(2))
    x, w = F.exp(u), F.exp(v)
    s = F.reshape(F.reshape(x, (12,)), (2, 6)) + w
    terms = (s * s).sum(), (x * x).sum(), (w * w).sum()
    (terms[order[0]] + terms[order[1]] + terms[order[2]]).backward()
    x, w = x.numpy(), w.numpy()
    np.testing.assert_allclose(to_cpu(u.grad), 2 * (x + w + x) * x, rtol=1e-12)
    np.testing.assert_allclose(to_cpu(v.grad), 2 * (x + w + w) * w, rtol=1e-12)


def test_dropout_drops_the_same_on_both():
    x = np.ones((7, 33), np.float32)
    results = []
    for bring in (to_gpu, lambda x: x):
        tg.manual_seed(5)
        leaf = tg.Tensor(bring(x), requires_grad=True)
        y = F.dropout(leaf, 0.3)
        y.sum().backward()
        results.append((array.to_numpy(y.data), array.to_numpy(leaf.grad)))
    for got, right in zip(*results, strict=True):
        np.testing.assert_array_equal(got, right)


def test_debug_leaves_arrays_on_the_gpu_as_they_are():
    with tg.debug():
        x = tg.Tensor(to_gpu(np.ones(3)), requires_grad=True)
        (x * x).sum().backward()
    assert to_cpu(x.grad).tolist() == [2, 2, 2]
