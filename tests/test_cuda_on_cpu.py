"""CUDA C++ on the CPU: kernels give what a GPU would give, and mistakes that a GPU may pass over are errors."""

import platform

import numpy as np
import pytest

from tests import emulated_cuda
from tests.emulated_cuda import _errors, cupy, in_every_order

pytestmark = pytest.mark.skipif(emulated_cuda.COMPILER is None, reason="the emulation needs g++ on Linux")

KERNEL = 'extern "C" __global__ void '


def compiled(code: str, name: str = "f", *options):
    return cupy.RawModule(code=code, options=("-std=c++17", *options)).get_function(name)


def numbers(*shape, dtype=np.float32, seed=0):
    return cupy.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def error(match: str):
    return pytest.raises(_errors.CUDADriverError, match=match)


# --- what it runs ----------------------------------------------------------------------------------------------------


def test_every_thread_of_every_block_runs_once():
    code = (
        KERNEL
        + """f(int* count) {
        const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        count[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1 + thread + 100 * block; }"""
    )
    f = compiled(code)

    def run():
        count = cupy.zeros(2 * 3 * 2 * 24, np.int32)
        f((2, 3, 2), (4, 3, 2), (count,))
        return count.get().reshape(12, 24)

    for got in in_every_order(run):
        np.testing.assert_array_equal(got, 1 + np.arange(24) + 100 * np.arange(12)[:, None])


REVERSED = (
    KERNEL
    + """f(const float* x, float* y) {
    __shared__ float part[64];
    const int i = threadIdx.x, at = blockIdx.x * 64;
    part[i] = x[at + i];
    BARRIER
    y[at + i] = part[63 - i]; }"""
)


def reversed_in_blocks(barrier: str) -> list:
    f, x = compiled(REVERSED, "f", f"-DBARRIER={barrier}"), numbers(192)

    def run():
        y = cupy.empty_like(x)
        f((3,), (64,), (x, y))
        return y.get()

    right = x.get().reshape(3, 64)[:, ::-1].ravel()
    return [np.array_equal(y, right) for y in in_every_order(run)]


def test_a_barrier_holds_in_every_order():
    assert all(reversed_in_blocks("__syncthreads();"))


def test_a_missing_barrier_shows():
    assert not any(reversed_in_blocks(""))


TWICE = (
    KERNEL
    + """f(float* y) {
    __shared__ float of_warp[2];
    const int i = threadIdx.x;
    for (int turn = 0; turn < 2; turn++) {
        if (i % 32 == 0) of_warp[i / 32] = 10 * turn + i / 32;
        __syncthreads();
        y[64 * turn + i] = of_warp[1 - i / 32];
        __syncwarp();
        BARRIER
    } }"""
)


@pytest.mark.parametrize("barrier, holds", [("__syncthreads();", True), ("", False)])
def test_a_warp_that_runs_ahead_writes_over_what_another_has_yet_to_read(barrier, holds):
    f = compiled(TWICE, "f", f"-DBARRIER={barrier}")

    def run():
        y = cupy.empty(128, np.float32)
        f((1,), (64,), (y,))
        return y.get()

    right = np.repeat([1, 0, 11, 10], 32)
    forwards, backwards, *_ = [np.array_equal(y, right) for y in in_every_order(run)]
    assert (forwards, backwards) == (holds, holds)


def test_lanes_of_a_warp_run_one_after_the_other_too():
    code = (
        KERNEL
        + """f(float* y) { __shared__ int part[32]; part[threadIdx.x] = threadIdx.x; WAIT
        y[threadIdx.x] = part[(threadIdx.x + 1) % 32]; }"""
    )
    for wait, right in (("__syncwarp();", True), ("", False)):
        f, y = compiled(code, "f", f"-DWAIT={wait}"), cupy.empty(32, np.float32)
        results = in_every_order(lambda f=f, y=y: f((1,), (32,), (y,)) or y.get())
        assert all(np.array_equal(r, np.roll(np.arange(32), -1)) for r in results) is right


def test_shuffles_and_votes():
    code = (
        KERNEL
        + """f(const double* x, double* y, unsigned* bits) {
        const int i = threadIdx.x, n = blockDim.x;
        const double v = x[i];
        y[i] = __shfl_xor_sync(0xffffffff, v, 5);
        y[n + i] = __shfl_down_sync(0xffffffff, v, 3);
        y[2 * n + i] = __shfl_up_sync(0xffffffff, v, 3, 8);
        y[3 * n + i] = __shfl_sync(0xffffffff, v, 7, 16);
        bits[i] = __ballot_sync(0xffffffff, v > 0);
        bits[n + i] = __any_sync(0xffffffff, v > 10) + 2 * __all_sync(0xffffffff, v > -10);
        bits[2 * n + i] = __reduce_add_sync(0xffffffff, i) + __reduce_max_sync(0xffffffff, i);
        if (i % 32 < 4) bits[3 * n + i] = __reduce_min_sync(0xf, i + 5);
        bits[4 * n + i] = __syncthreads_count(v > 0); }"""
    )
    f, x = compiled(code), numbers(64, dtype=np.float64)
    v, lane = x.get().reshape(2, 32), np.arange(32)
    for y, bits in in_every_order(lambda: _shuffled(f, x)):
        np.testing.assert_array_equal(y[0], v[:, lane ^ 5])
        np.testing.assert_array_equal(y[1], v[:, np.where(lane < 29, lane + 3, lane)])
        np.testing.assert_array_equal(y[2], v[:, np.where(lane % 8 < 3, lane, lane - 3)])
        np.testing.assert_array_equal(y[3], v[:, lane // 16 * 16 + 7])
        np.testing.assert_array_equal(bits[0], np.repeat(np.sum((v > 0) << lane, axis=1)[:, None], 32, axis=1))
        assert (bits[1] == 2).all()
        assert (bits[2, 0] == 31 * 16 + 31).all() and (bits[2, 1] == 31 * 16 + 32 * 32 + 63).all()
        assert (bits[3, 0, :4] == 5).all() and (bits[3, 1, :4] == 37).all()
        assert (bits[4] == np.sum(v > 0)).all()


def _shuffled(f, x):
    y, bits = cupy.empty((4, 2, 32)), cupy.empty((5, 2, 32), np.uint32)
    f((1,), (64,), (x, y, bits))
    return y.get(), bits.get()


def test_atomics_and_vectors():
    code = (
        KERNEL
        + """f(const float4* x, float* sum, int* most) {
        const float4 v = x[threadIdx.x];
        atomicAdd(sum, v.x + v.y + v.z + v.w);
        atomicMax(most, (int)threadIdx.x); }"""
    )
    x, total, most = numbers(50, 4), cupy.zeros(1, np.float32), cupy.zeros(1, np.int32)
    compiled(code)((1,), (50,), (x.view(np.uint8), total, most))
    assert total.item() == pytest.approx(float(x.sum()), rel=1e-5) and most.item() == 49


def test_mathematics_is_overloaded_for_float_and_double():
    code = (
        KERNEL
        + """f(REAL x, REAL* y) {
        y[0] = exp(x); y[1] = tanh(x); y[2] = erf(x); y[3] = rsqrt(x); y[4] = max(x, REAL(2)); y[5] = fma(x, x, x);
        y[6] = log1p(x); y[7] = sizeof(exp(x)) == sizeof(REAL); y[8] = isnan(x - x) || isinf(x); y[9] = fabs(-x); }"""
    )
    for name, dtype in (("float", np.float32), ("double", np.float64)):
        y = cupy.empty(10, dtype)
        compiled(code, "f", f"-DREAL={name}")((1,), (1,), (dtype(0.75), y))
        right = [
            np.exp(0.75),
            np.tanh(0.75),
            0.7111556336535151,
            0.75**-0.5,
            2,
            0.75**2 + 0.75,
            np.log1p(0.75),
            1,
            0,
            0.75,
        ]
        np.testing.assert_allclose(y.get(), right, rtol=4 * np.finfo(dtype).eps)


# --- tensor cores ----------------------------------------------------------------------------------------------------
#
# The layouts as the PTX ISA lists them, element by element: lane -> (row, column) of each register's elements.

A_16 = [(0, 0), (0, 1), (8, 0), (8, 1), (0, 8), (0, 9), (8, 8), (8, 9)]  # + (group, 2 * thread in group)
B_16 = [(0, 0), (1, 0), (8, 0), (9, 0)]  # + (2 * thread in group, group)
A_8, B_8 = [(0, 0), (8, 0), (0, 4), (8, 4)], [(0, 0), (4, 0)]  # + (group, thread), + (thread, group)
D = [(0, 0), (0, 1), (8, 0), (8, 1)]  # + (group, 2 * thread)


def registers(matrix: np.ndarray, places: list, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(32 lanes, elements): what each lane holds of a matrix."""
    return np.stack([matrix[rows + r, columns + c] for r, c in places], axis=1)


@pytest.mark.parametrize("name, k", [("mma_bf16", 16), ("mma_tf32", 8)])
def test_tensor_cores(name, k):
    code = (
        KERNEL
        + """f(const unsigned* a, const unsigned* b, float* d) {
        unsigned a_[4], b_[2];
        float d_[4];
        const int lane = threadIdx.x % 32;
        for (int i = 0; i < 4; i++) a_[i] = a[lane * 4 + i], d_[i] = d[threadIdx.x * 4 + i];
        for (int i = 0; i < 2; i++) b_[i] = b[lane * 2 + i];
        MMA(d_, a_, b_);
        for (int i = 0; i < 4; i++) d[threadIdx.x * 4 + i] = d_[i]; }"""
    )
    group, thread = np.divmod(np.arange(32), 4)
    rng = np.random.default_rng(0)
    a, b, d = rng.standard_normal((16, k)), rng.standard_normal((k, 8)), rng.standard_normal((16, 8))
    if k == 16:
        a, b = (_cut(x, 16) for x in (a, b))
        a_, b_ = registers(a, A_16, group, 2 * thread), registers(b, B_16, 2 * thread, group)
        a_, b_ = ((x.view(np.uint32) >> 16).astype(np.uint16).view(np.uint32) for x in (a_, b_))
    else:
        a_, b_ = (registers(np.float32(a), A_8, group, thread), registers(np.float32(b), B_8, thread, group))
        a_, b_ = a_.view(np.uint32), b_.view(np.uint32)
        a, b = (_cut(x, 13) for x in (a, b))  # the last bits do not count
    d_ = np.tile(registers(np.float32(d), D, group, 2 * thread), (2, 1))
    result = cupy.asarray(d_)
    compiled(code, "f", f"-DMMA={name}")((1,), (64,), (cupy.asarray(a_), cupy.asarray(b_), result))
    right = registers(d + a.astype(float) @ b, D, group, 2 * thread)
    np.testing.assert_allclose(result.get(), np.tile(right, (2, 1)), rtol=1e-5, atol=1e-6)


def _cut(x: np.ndarray, bits: int) -> np.ndarray:
    """float32 without its last bits."""
    return (np.float32(x).view(np.uint32) & np.uint32(0xFFFFFFFF << bits & 0xFFFFFFFF)).view(np.float32)


# --- what it refuses -------------------------------------------------------------------------------------------------

MISTAKES = {
    "a thread that ends": ("if (i == 5) return; __syncthreads();", "deadlock"),
    "two barriers": ("if (i < 32)\n __syncthreads();\n else\n __syncthreads();", "different __syncthreads"),
    "a lane that ends": ("if (i == 5) return; __syncwarp();", "a lane that has ended|deadlock"),
    "a lane at another shuffle": (
        "if (i % 2)\n x[0] = __shfl_sync(0xffffffff, 1, 0);\n else\n x[0] = __shfl_xor_sync(0xffffffff, 1, 1);",
        "different operations",
    ),
    "a lane at a barrier": ("if (i == 5) __syncthreads(); else __syncwarp();", "deadlock"),
    "a lane that is not in its mask": ("__syncwarp(1);", "not in its own mask"),
    "a shuffle from outside the mask": ("if (i % 32 < 16) x[0] = __shfl_xor_sync(0xffff, 1, 16);", "not in the mask"),
    "a trap": ("if (i == 7) __trap();", "thread 7"),
    "a division by zero": ("x[0] = 1 / (int)(i - i);", "division by zero"),
    "an index beyond an array": ("__shared__ int a[64]; a[i + (i == 63)] = 1;", "thread 63.*in the line: "),
    "a misaligned address": ("((float2*)x)->x = 1; ((double*)(x + 1))[0] = i;", "misaligned"),
    "a stack that grows for ever": ("x[0] = down(i);", "out of bounds"),
}  # fmt: skip


ON_X86_ONLY = ("a division by zero",)  # elsewhere it gives 0, and no signal


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_kernel(mistake):
    if mistake in ON_X86_ONLY and platform.machine() != "x86_64":
        pytest.skip("no signal on this processor")
    body, message = MISTAKES[mistake]
    down = "__device__ __noinline__ int down(int i) { volatile char a[999]; a[i] = 1; return down(i + a[i]) + 1; }\n"
    f = compiled(down + KERNEL + f"f(float* x) {{ const int i = threadIdx.x; {body} }}")
    x = cupy.zeros(4, np.float32)

    def run():
        with error(message):
            f((2,), (64,), (x,))

    in_every_order(run)
    fine = compiled(KERNEL + "f(float* x) { __syncthreads(); x[1] = 3; }")
    fine((1,), (64,), (x,))
    assert x[1].item() == 3


TOUCH = KERNEL + "f(float* x, long long i, long long n) { if (n) x[i] = 1; else x[0] += x[i]; }"


@pytest.mark.parametrize("write", [0, 1])
def test_memory_out_of_bounds(write):
    f, x = compiled(TOUCH), cupy.zeros((2, 4), np.float32)
    f((1,), (1,), (x, np.int64(7), np.int64(write)))
    with error(r"f: access to memory out of bounds .* 0 bytes behind the end of argument 0 float32\(2, 4\)"):
        f((1,), (1,), (x, np.int64(8), np.int64(write)))
    with error("out of bounds"):
        f((1,), (1,), (x, np.int64(-2000), np.int64(write)))
    with error("null pointer"):
        f((1,), (1,), (np.intp(0), np.int64(0), np.int64(1)))


def test_memory_just_beside_an_array():
    f, x = compiled(TOUCH), cupy.zeros(5, np.float32)
    for i, side in ((5, "behind"), (7, "behind"), (-1, "before")):
        with error(f"f wrote into memory {side} argument 0"):
            f((1,), (1,), (cupy.zeros(5, np.float32), np.int64(i), np.int64(1)))
        x[:] = 0
        f((1,), (1,), (x, np.int64(i), np.int64(0)))
        assert np.isnan(x[0].item())


REFUSED_ARGUMENTS = {
    "too few": lambda x: (x,),
    "a Python number": lambda x: (x, 1.0, np.int32(1)),
    "a double": lambda x: (x, np.float64(1), np.int32(1)),
    "a float for an int": lambda x: (x, np.float32(1), np.float32(1)),
    "an int for a float": lambda x: (x, np.int32(1), np.int32(1)),
    "an array for a number": lambda x: (x, x, np.int32(1)),
    "a number for an array": lambda x: (np.float64(1), np.float32(1), np.int32(1)),
    "an array of doubles": lambda x: (x.astype(np.float64), np.float32(1), np.int32(1)),
    "an array of integers": lambda x: (x.view(np.int32), np.float32(1), np.int32(1)),
    "an array on the CPU": lambda x: (x.get(), np.float32(1), np.int32(1)),
}


@pytest.mark.parametrize("what", REFUSED_ARGUMENTS)
def test_arguments_that_do_not_fit(what):
    f, x = compiled(KERNEL + "f(float* x, float y, int n) { x[0] = y + n; }"), cupy.zeros(3, np.float32)
    f((1,), (1,), (x, np.float32(2), np.int32(1)))
    assert x[0].item() == 3
    with pytest.raises(TypeError, match="f"):
        f((1,), (1,), REFUSED_ARGUMENTS[what](x))


def test_shared_memory_starts_as_garbage():
    code = (
        KERNEL
        + """f(float* y) { __shared__ float a[2]; extern __shared__ float b[];
        y[blockIdx.x * 2] = a[1]; y[blockIdx.x * 2 + 1] = b[1]; a[1] = b[1] = 1; }"""
    )
    y = cupy.zeros(6, np.float32)
    compiled(code)((3,), (1,), (y,), shared_mem=8)
    assert np.isnan(y.get()).all()


def test_dynamic_shared_memory_has_its_size():
    f = compiled(KERNEL + "f(int n) { extern __shared__ double a[]; a[n] = threadIdx.x; }")
    f((1,), (32,), (np.int32(5),), shared_mem=48)
    with error("out of bounds"):
        f((1,), (32,), (np.int32(6),), shared_mem=48)
    with error("49160 bytes of shared memory"):
        f((1,), (32,), (np.int32(5),), shared_mem=49160)
    f.max_dynamic_shared_size_bytes = 100_000
    f((1,), (32,), (np.int32(12499),), shared_mem=100_000)
    with error("shared memory"):
        f.max_dynamic_shared_size_bytes = 232_449


def test_sizes_of_grids_and_blocks():
    code = "constexpr int MOST = 64;\n" + KERNEL.replace("void", "void __launch_bounds__(2 * (MOST))") + "f(int n) {}"
    f = compiled(code)
    f((1,), (128,), (np.int32(0),))
    with error("129 threads"):
        f((1,), (129,), (np.int32(0),))
    g = compiled(KERNEL + "g(int n) {}", "g")
    for grid, block in (((0,), (32,)), ((1, 70_000), (32,)), ((1,), (0,)), ((1,), (32, 33)), ((1,), (1, 1, 65))):
        with error("grid|threads"):
            g(grid, block, (np.int32(0),))


def test_sources_that_do_not_compile():
    with pytest.raises(_errors.CompileException, match=r"kernel\.cu:1.*not declared"):
        compiled(KERNEL + "f(float* x) { x[0] = INFINITY; }")
    with error("named symbol not found: g"):
        compiled(KERNEL + "f() {}", "g")
