"""All CUDA C++ that the other tests here have compiled for the emulation compiles with NVIDIA's own compiler too, and
its variables fit into registers; and what it made of it is as quick as meant. conftest.py runs these tests last."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gpu import nvrtc
from tests.gpu.on_gpu import emulated
from tinygrad_gpt import kernels

FOLDER = Path(kernels.__file__).parent / "cuda"
CAPABILITIES = (90, pytest.param(75, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.slow))
# Kernels that in their version for float32 may compute in float64, which on most GPUs is 1/64 as fast: few numbers
MAY_USE_FLOAT64 = {
    ("adamw.cu", "run"),  # the weight decay, a number for each block
    ("cross_entropy.cu", "reduce"),  # of the losses, a number for each row
    ("sum_squares.cu", "pieces"),  # whose result is float64
    ("sum_squares.cu", "sum"),
}
# These options, or files, have kernels read 16 bytes at once, but for the kernels that follow
WIDE = {"-DPACK=4", "-DVECTOR=1", "adamw.cu", "sum_squares.cu"}
MAY_READ_NARROWLY = {
    ("backward.cu", "dy_dot_y"),
    ("one_query.cu", "merge"),
    ("cross_entropy.cu", "reduce"),
    ("embedding.cu", "sort"),
    ("sum_squares.cu", "sum"),
}
# (file, kernel) -> bytes of registers that may be kept in memory
MAY_SPILL = {
    ("layer_norm.cu", "backward"): 12,  # rows of odd lengths, read one number at a time: the slow way anyhow
    ("backward.cu", "dk_dv"): 648,  # heads of 128 channels: two results of them fill all registers
}

needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason="NVRTC is missing: pip install nvidia-cuda-nvrtc-cu12")
needs_emulation = pytest.mark.skipif(not emulated, reason="the emulation knows what was compiled")


def first_line(file: Path) -> str:
    return file.read_text(encoding="utf-8").partition("\n")[0]


def sources() -> list[tuple[str, str, tuple]]:
    """(NAME.cu, code, options) of the package's sources as CuPy was given them."""
    from tests.emulated_cuda import compiled

    names = {first_line(file): file.name for file in sorted(FOLDER.rglob("*.cu"))}
    ours = [
        (code, options) for code, options in compiled if code.startswith(first_line(FOLDER / "machine" / "common.cuh"))
    ]
    return sorted((next(name for line, name in names.items() if line in code), code, o) for code, o in ours)


@needs_emulation
@needs_nvrtc
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_compile_and_fit_into_registers(capability):
    """Those in float64 may spill: they are for checking gradients, not for speed."""
    listed = sources()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        answers = threads.map(lambda source: nvrtc.compiled(*source[1:], capability), listed)
    problems = []
    for (name, _, options), (ptx, log) in zip(listed, answers, strict=True):
        what = f"{name} {' '.join(options)}"
        too_old = f"not supported on .target 'sm_{capability}'" in log or "requires .target sm_80" in log
        if ptx is None and not too_old:
            problems.append(f"{what}: {log}")
        if "-DREAL=float" in options:
            for kernel, size in nvrtc.spills(log).items():
                if size > MAY_SPILL.get((name, kernel), 0):
                    problems.append(f"{what}: {kernel} spills {size} bytes")
            problems += [f"{what}: {problem}" for problem in slow(name, options, ptx or "")]
    assert not problems, "\n".join(problems)


def slow(name: str, options: tuple, ptx: str) -> list[str]:
    """What kernels of NAME.cu that were compiled for float32 should do otherwise."""
    problems = []
    for kernel, code in nvrtc.by_kernel(ptx).items():
        if ".f64" in code and (name, kernel) not in MAY_USE_FLOAT64:
            problems.append(f"{kernel} computes in float64")
        narrow = WIDE & {name, *options} and not re.search(r"ld\.global[.\w]*\.v4", code)
        if narrow and (name, kernel) not in MAY_READ_NARROWLY:
            problems.append(f"{kernel} reads less than 16 bytes at once")
    return problems


@needs_emulation
def test_every_source_was_compiled(request):
    if {item.path.name for item in request.session.items} < {
        file.name for file in Path(__file__).parent.glob("test_*.py")
    }:
        pytest.skip("not all tests ran that compile them")
    assert {name for name, _, _ in sources()} == {file.name for file in FOLDER.rglob("*.cu")}


@needs_nvrtc
def test_the_compiler_finds_errors_and_spills():
    ptx, log = nvrtc.compiled('extern "C" __global__ void f(float* x) { x[0] = INFINITY; }', (), 80)
    assert ptx is None and "INFINITY" in log
    code = (
        'extern "C" __global__ void __launch_bounds__(1024, 2) f(float* x, int n) { float a[99]; LOOP a[i] = x[i * n];'
    )
    code += " for (int k = 0; k < n; k++) { __syncthreads(); LOOP a[i] += x[i * k]; } LOOP x[i] += a[i] * n; }"
    ptx, log = nvrtc.compiled(code, ('-DLOOP=_Pragma("unroll") for (int i = 0; i < 99; i++)',), 80)
    assert ptx and list(nvrtc.spills(log)) == ["f"]


@needs_nvrtc
def test_slow_instructions_are_found():
    code = 'extern "C" __global__ void f(real* x, const real* y) { x[0] = y[1] * 1.1; }'
    ptx, _ = nvrtc.compiled(code, ("-Dreal=float",), 80)
    said = slow("f.cu", ("-DPACK=4",), ptx)
    assert said == ["f computes in float64", "f reads less than 16 bytes at once"]
    ptx, _ = nvrtc.compiled(code.replace("1.1", "1.1f"), ("-Dreal=float",), 80)
    assert slow("f.cu", (), ptx) == [] != slow("f.cu", ("-DPACK=4",), ptx)
