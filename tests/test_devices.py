"""Devices by name, and what is said where there is no GPU: without CuPy, and with stand-ins for broken ones."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt import array, devices
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.nn import Linear


class CudaError(RuntimeError):
    """As CuPy's CUDARuntimeError says it."""


def fake_cupy(driver=12090, built_for=12090, count=1, cannot=None):
    """A CuPy of which only so much is there as is asked; `count` and `cannot` may be errors that it raises."""

    def raising(x):
        if isinstance(x, Exception):
            raise x
        return x

    def arange(n, dtype):
        raising(cannot)
        return np.arange(n, dtype=dtype)

    properties = {"name": b"NVIDIA Test 9000", "totalGlobalMem": 8 << 30, "major": 9, "minor": 0}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: raising(count),
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: built_for,
        getDeviceProperties=lambda number: properties,
    )
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime), arange=arange, asarray=StrictArray, __version__="14.2.0"
    )


@pytest.fixture
def cupy(monkeypatch):
    """cupy(None): there is none; cupy(module): it is this one."""
    find = importlib.util.find_spec

    def is_there(name, *rest):
        return sys.modules.get("cupy") if name == "cupy" else find(name, *rest)

    def use(module):
        monkeypatch.setitem(sys.modules, "cupy", module)
        forget()

    def forget():
        devices.why_no_gpu.cache_clear()
        devices._properties.cache_clear()

    monkeypatch.setattr(importlib.util, "find_spec", is_there)
    yield use
    forget()


INSUFFICIENT = CudaError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")
NO_DEVICE = CudaError("cudaErrorNoDevice: no CUDA-capable device is detected")
NO_NVRTC = RuntimeError('CuPy is lost\n\nFailure finding "libnvrtc.so.12"\n')
BROKEN = {
    "no CuPy": (None, ("CuPy is not installed", 'tinygrad-gpt[cuda12]" for CUDA 12', '[cuda13]" for CUDA 13')),
    "no driver": (fake_cupy(driver=0, count=INSUFFICIENT), ("there is no NVIDIA driver", "--gpus all")),
    "a driver for CUDA 12 and CuPy for 13": (
        fake_cupy(driver=12080, built_for=13000, count=INSUFFICIENT),
        ("takes CUDA up to 12.8", "is for CUDA 13.0", "install a newer driver, or", "tinygrad-gpt[cuda12]"),
    ),
    "an old driver": (
        fake_cupy(driver=11040, built_for=12090, count=INSUFFICIENT),
        ("takes CUDA up to 11.4", "is for CUDA 12.9: install a newer driver"),
    ),
    "no GPU": (fake_cupy(count=NO_DEVICE), ("CUDA finds none", "no CUDA-capable device", "CUDA_VISIBLE_DEVICES")),
    "no library": (
        fake_cupy(cannot=NO_NVRTC, driver=13000, built_for=13000),
        ('RuntimeError: Failure finding "libnvrtc.so.12"', 'pip install "tinygrad-gpt[cuda13]"'),
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_missing_is_said_in_a_line(cupy, how):
    module, parts = BROKEN[how]
    cupy(module)
    with pytest.raises(UserError, match=r"^the device cuda cannot be used, cpu can: ") as raised:
        tg.device("cuda")
    assert "\n" not in str(raised.value)
    for part in parts:
        assert part in str(raised.value)
    assert tg.device("auto") == tg.device("cpu") and devices.usable() == (tg.device("cpu"),)
    assert devices.describe_gpu() == "none: " + str(raised.value).partition(": ")[2]
    with pytest.raises(UserError, match="cuda cannot be used"):
        Linear(2, 3).to("cuda")


def test_a_cupy_that_does_not_load(cupy, monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('long\\nand at last: libcuda is not here')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    cupy(fake_cupy())
    spec = sys.modules.pop("cupy")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: spec)
    with pytest.raises(UserError, match=r"does not load \(ImportError: and at last: libcuda is not here\): install it"):
        tg.device("cuda")


def test_here_a_card_can_be_used_or_there_is_one_line_about_why_not():
    """Whatever this machine has: nothing, CuPy without a driver, or all of it."""
    reason = devices.why_no_gpu()
    assert (reason is None) == (tg.device("auto").kind == "cuda")
    assert reason is None or (reason and "\n" not in reason)


def test_a_card_that_can_be_used(cupy):
    cupy(fake_cupy())
    gpu = tg.device("cuda")
    assert gpu == tg.device("auto") == tg.device("cuda:0") == tg.device(gpu) != tg.device("cpu")
    assert (str(gpu), gpu.title) == ("cuda", "NVIDIA Test 9000") and {gpu: 1}[tg.device("auto")] == 1
    assert devices.usable() == (tg.device("cpu"), gpu) and devices.compute_capability() == (9, 0)
    assert devices.describe_gpu() == (
        "NVIDIA Test 9000, 8 GiB, compute capability 9.0, driver for CUDA 12.9, CuPy 14.2.0 for CUDA 12.9"
    )


def test_the_cpu():
    cpu, x = tg.device("cpu"), np.ones(3)
    assert (str(cpu), cpu.title) == ("cpu", "the CPU") and cpu == array.device_of(x) == tg.tensor(x).device
    assert cpu.move_here(x) is x and cpu.memory_in_use() == cpu.memory_kept() == 0 and cpu.synchronize() is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "expected one of cpu, cuda, auto, got 'gpu'$"),
        ("cuda:1", "got 'cuda:1'; another GPU than the first is chosen by CUDA_VISIBLE_DEVICES"),
        (0, "got 0"),
    ],
)
def test_names_of_no_device(name, message):
    with pytest.raises(ValueError, match=message):
        tg.device(name)


# --- moving --------------------------------------------------------------------------------------------------------


class Tied(tg.nn.Module):
    def __init__(self):
        self.first, self.second = Linear(3, 3), Linear(3, 3)
        self.second.weight = self.first.weight


def test_a_model_moves_and_comes_back(cupy):
    """To arrays that are as strict as CuPy's."""
    cupy(fake_cupy())
    model = Tied()
    before, parameters = {name: a.copy() for name, a in model.state_dict().items()}, list(model.parameters())
    parameters[0].grad = np.zeros((3, 3), np.float32)
    assert model.to("cuda") is model
    assert list(model.parameters()) == parameters and all(p.grad is None for p in parameters)
    assert all(isinstance(p.data, StrictArray) for p in parameters)
    assert model.second.weight is model.first.weight
    model.to(tg.device("cpu"))
    for name, a in model.state_dict().items():
        assert isinstance(a, np.ndarray)
        np.testing.assert_array_equal(a, before[name])


def test_where_it_is_already_nothing_is_copied():
    model = Linear(2, 3)
    data = model.weight.data
    assert model.to("cpu").weight.data is data and model.to(np.float32).weight.data is data
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert x.to("cpu") is x and x.to("cpu", np.float32) is x and x.to(device="cpu") is x and x.float() is x
    assert x.detach().to("float64").dtype == x.detach().to("cpu", np.float64).dtype == np.float64
    with pytest.raises(TypeError, match=r"requires a gradient, and none flows back .*x\.detach\(\)"):
        x.to("float64")
    with tg.no_grad():
        assert not x.to("float64").requires_grad
    assert tg.tensor(X := [1.7, 0.0]).to(dtype=np.int64).tolist() == [1, 0] and tg.tensor(X).bool().tolist() == [1, 0]


@pytest.mark.parametrize("to", ["gpu", "float16", None, 3])
def test_neither_a_dtype_nor_a_device(to):
    for thing in (Linear(2, 3), tg.tensor([1.0])):
        with pytest.raises(TypeError, match="expected float32, float64 or a device"):
            thing.to(to)
    with pytest.raises(ValueError, match="chosen by CUDA_VISIBLE_DEVICES"):
        tg.tensor([1.0]).to("cuda:3")


def test_integers_follow_the_floats():
    """Batches stay NumPy's; an op brings them to where the weights are. So do masks and indices."""
    weight = tg.Tensor(StrictArray(np.arange(12.0).reshape(4, 3)), requires_grad=True)
    ids, mask = np.array([[2, 0], [2, 1]]), np.array([True, False, True, False])
    x = tg.functional.embedding(ids, weight)
    assert x.data.tolist() == weight.data.get()[ids].tolist()
    from_file = ids.view(np.memmap)  # as tokens may come
    loss = tg.functional.cross_entropy(x, from_file) + weight[mask].sum() + weight[np.array([1, 1])].sum()
    loss.backward()
    right = tg.Tensor(weight.data.get(), requires_grad=True)
    x = tg.functional.embedding(ids, right)
    (tg.functional.cross_entropy(x, ids) + right[mask].sum() + right[np.array([1, 1])].sum()).backward()
    np.testing.assert_allclose(weight.grad.get(), right.grad, rtol=1e-12)


def test_ids_from_the_cpu_are_checked_before_they_follow():
    weight = StrictArray(np.ones((4, 3)))
    with pytest.raises(IndexError, match=r"expected ids in 0 \.\. 3"):
        tg.functional.embedding(np.array([4]), weight)
    with pytest.raises(ValueError, match="at least one target that counts"):
        tg.functional.cross_entropy(weight, np.full(4, -100))


def test_floats_on_both_sides_are_an_error():
    weight = StrictArray(np.ones((4, 3)))
    with pytest.raises(TypeError, match=r"linear: expected inputs on one device, got float64\(2, 3\) on the CPU and"):
        tg.functional.linear(np.ones((2, 3)), weight)


@pytest.mark.parametrize("make", [tg.optim.AdamW, lambda p: tg.optim.SGD(p, 0.1, momentum=0.9)])
def test_an_optimiser_that_was_made_before_the_model_moved(cupy, make):
    cupy(fake_cupy())
    layer = Linear(2, 3)
    optimizer = make(layer.named_parameters())
    layer.to("cuda")
    for p in layer.parameters():
        p.grad = np.ones_like(p.data)
    with pytest.raises(ValueError, match=r"the parameters \(weight and all others\) have moved to another device"):
        optimizer.step()
    optimizer = make(layer.named_parameters())
    optimizer.step()


# --- nobody imports CuPy unasked -----------------------------------------------------------------------------------


@pytest.mark.long
def test_cupy_is_not_imported_before_a_card_is_asked_for():
    code = """
import sys
import numpy as np
import tinygrad_gpt as tg
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.optim import AdamW
tg.device("cpu")
model = GPT(GPTConfig(5, block_size=4, n_layer=1, n_head=1, n_embd=4)).to("cpu")
optimizer = AdamW(model.parameters())
model.loss(np.ones((1, 4), int), np.ones((1, 4), int)).backward()
optimizer.step()
print("cupy" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
