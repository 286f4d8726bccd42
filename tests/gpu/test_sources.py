"""All CUDA C++ that the other tests here have compiled for the emulation compiles with NVIDIA's own compiler too, and
its variables fit into registers. conftest.py runs these tests last."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gpu import nvrtc
from tests.gpu.on_gpu import emulated
from tinygrad_gpt import kernels

FOLDER = Path(kernels.__file__).parent / "cuda"
CAPABILITIES = (90, pytest.param(75, marks=pytest.mark.slow), pytest.param(80, marks=pytest.mark.slow))
# (file, kernel) -> bytes of registers that may be kept in memory
MAY_SPILL = {
    ("layer_norm.cu", "backward"): 12,  # rows of odd lengths, read one number at a time: the slow way anyhow
    ("attention_backward.cu", "dk_dv"): 72,  # float64, and heads of 128 channels: two results fill all registers
}

needs_nvrtc = pytest.mark.skipif(nvrtc.library() is None, reason="NVRTC is missing: pip install nvidia-cuda-nvrtc-cu12")
needs_emulation = pytest.mark.skipif(not emulated, reason="the emulation knows what was compiled")


def first_line(file: str) -> str:
    return (FOLDER / file).read_text(encoding="utf-8").partition("\n")[0]


def sources() -> list[tuple[str, str, tuple]]:
    """(NAME.cu, code, options) of the package's sources as CuPy was given them."""
    from tests.emulated_cuda import compiled

    names = {first_line(file.name): file.name for file in sorted(FOLDER.glob("*.cu"))}
    ours = [(code, options) for code, options in compiled if code.startswith(first_line("common.cuh"))]
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
    for (name, _, options), (ok, log) in zip(listed, answers, strict=True):
        what = f"{name} {' '.join(options)}"
        if not ok and f"not supported on .target 'sm_{capability}'" not in log and "requires .target sm_80" not in log:
            problems.append(f"{what}: {log}")
        for kernel, size in nvrtc.spills(log).items():
            if size > MAY_SPILL.get((name, kernel), 0) and "-DREAL=float" in options:
                problems.append(f"{what}: {kernel} spills {size} bytes")
    assert not problems, "\n".join(problems)


@needs_emulation
def test_every_source_was_compiled(request):
    if {item.path.name for item in request.session.items} < {
        file.name for file in Path(__file__).parent.glob("test_*.py")
    }:
        pytest.skip("not all tests ran that compile them")
    assert {name for name, _, _ in sources()} == {file.name for file in FOLDER.glob("*.cu")}


@needs_nvrtc
def test_the_compiler_finds_errors_and_spills():
    ok, log = nvrtc.compiled('extern "C" __global__ void f(float* x) { x[0] = INFINITY; }', (), 80)
    assert not ok and "INFINITY" in log
    code = (
        'extern "C" __global__ void __launch_bounds__(1024, 2) f(float* x, int n) { float a[99]; LOOP a[i] = x[i * n];'
    )
    code += " for (int k = 0; k < n; k++) { __syncthreads(); LOOP a[i] += x[i * k]; } LOOP x[i] += a[i] * n; }"
    ok, log = nvrtc.compiled(code, ('-DLOOP=_Pragma("unroll") for (int i = 0; i < 99; i++)',), 80)
    assert ok and list(nvrtc.spills(log)) == ["f"]
