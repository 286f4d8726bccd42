"""The AdamW update and the sum of squares on the GPU: one launch for many arrays of many sizes."""

import numpy as np
import pytest

from tests.gpu.on_gpu import emulated, to_cpu, to_gpu
from tinygrad_gpt.kernels import registry

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = [(), (1,), (3,), (0,), (3, 5), (4099,), (8191,), (2, 4096), (8193,), *((n, 3) for n in range(1, 70))]
SETTINGS = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8}


def arrays(dtype, seed=0) -> list:
    """Parameters, gradients, and their running means, in the shapes above."""
    rng = np.random.default_rng(seed)
    lists = [[np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES] for _ in range(4)]
    return [*lists[:3], [np.abs(v, out=v) for v in lists[3]]]


def cuda(routine: str, *given, **settings):
    version = registry.choose(routine, given, settings)
    assert version.name == "cuda"
    return version.forward(*given, **settings)


@DTYPES
def test_adamw(dtype):
    params, _, ms, vs = right = arrays(dtype)
    on_gpu = to_gpu(right)
    decays = [0.1 * (i % 3) for i in range(len(SHAPES))]
    for step in range(1, 4):
        grads = arrays(dtype, step)[1]
        steps = [step + 4 * (i % 7 == 0) for i in range(len(SHAPES))]  # some have had four updates more
        settings = SETTINGS | {"weight_decays": decays, "steps": steps, "grad_scale": 1 / step}
        registry.reference("adamw").run(params, grads, ms, vs, **settings)
        cuda("adamw", on_gpu[0], to_gpu(grads), *on_gpu[2:], **settings)
    for got, wanted in zip(to_cpu(on_gpu), right, strict=True):
        for a, b in zip(got, wanted, strict=True):
            tolerance = 1e-12 if dtype == np.float64 else 3e-6
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_adamw_of_arrays_at_odd_addresses_and_of_gradients_that_lie_otherwise():
    rng = np.random.default_rng(0)
    lists = [[rng.random((5, 8)).astype(np.float32)] for _ in range(4)]
    on_gpu = [[to_gpu(np.zeros(41, np.float32))[1:].reshape(5, 8)] for _ in lists]
    for (place,), (x,) in zip(on_gpu, lists, strict=True):
        place[...] = to_gpu(x)
    on_gpu[1] = [to_gpu(np.ascontiguousarray(lists[1][0].T)).T]
    settings = SETTINGS | {"weight_decays": [0.1], "steps": [1]}
    registry.reference("adamw").run(*lists, **settings)
    cuda("adamw", *on_gpu, **settings)
    for (got,), (wanted,) in zip(on_gpu, lists, strict=True):
        np.testing.assert_allclose(to_cpu(got), wanted, rtol=1e-5, atol=1e-6)


def test_what_is_left_to_the_reference():
    apart = [[to_gpu(np.ones((6, 4), np.float32))[::2]] for _ in range(4)]
    settings = SETTINGS | {"weight_decays": [0.1], "steps": [1]}
    assert registry.choose("adamw", tuple(apart), settings).name == "reference"
    mixed = to_gpu([np.ones(3, np.float32), np.ones(3)])
    assert registry.choose("sum_squares", tuple(mixed), {}).name == "reference"
    assert float(registry.run("sum_squares", *mixed)) == 6
    before = to_cpu(apart[0][0])
    registry.run("adamw", *apart, **settings)
    assert (to_cpu(apart[0][0]) < before).all()


@DTYPES
def test_sum_squares_stays_on_the_gpu(dtype):
    import cupy

    some = arrays(dtype)[0]
    total = cuda("sum_squares", *to_gpu(some))
    assert isinstance(total, cupy.ndarray) and total.shape == () and total.dtype == np.float64
    assert float(total) == pytest.approx(registry.reference("sum_squares").run(*some), rel=1e-12)


def test_sum_squares_at_its_edges():
    assert float(cuda("sum_squares", *to_gpu([np.full(10, 1e30, np.float32)]))) == pytest.approx(1e61)
    assert float(cuda("sum_squares", *to_gpu([np.zeros((0, 3), np.float32)]))) == 0
    assert np.isnan(float(cuda("sum_squares", *to_gpu([np.array([1, np.nan, 2], np.float32)]))))
    x = np.random.default_rng(0).random((7, 6)).astype(np.float32)
    odd = to_gpu(np.append(0, x).astype(np.float32))[1:]
    for view in (odd, to_gpu(x).T, to_gpu(np.repeat(x, 2, axis=1))[:, ::2]):
        assert float(cuda("sum_squares", view)) == pytest.approx(np.sum(x.astype(np.float64) ** 2), rel=1e-12)


@pytest.mark.skipif(not emulated, reason="a GPU chooses the order of its threads by itself")
def test_the_order_of_threads_changes_nothing():
    from tests import emulated_cuda

    def bits():
        on_gpu = to_gpu(arrays(np.float32))
        total = cuda("sum_squares", *on_gpu[0])
        cuda("adamw", *on_gpu, **SETTINGS, weight_decays=[0.1] * len(SHAPES), steps=[2] * len(SHAPES))
        return [to_cpu(total).tobytes(), *(a.tobytes() for some in to_cpu(on_gpu) for a in some)]

    first, *others = emulated_cuda.in_every_order(bits)
    assert all(other == first for other in others)


def test_sum_squares_can_be_recorded_in_a_graph():
    import cupy

    some = to_gpu(arrays(np.float32)[0])
    right = float(cuda("sum_squares", *some))
    with cupy.cuda.Stream() as stream:
        stream.begin_capture()
        total = cuda("sum_squares", *some)
        graph = stream.end_capture()
        for x in some:
            x *= 2
        graph.launch()
        stream.synchronize()
        assert float(total) == pytest.approx(4 * right, rel=1e-6)
