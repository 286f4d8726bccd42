"""Every kernels/cuda/*.cu compiles with NVIDIA's own compiler, and its kernels' variables fit into registers.

The file NAME.py beside a NAME.cu says with what definitions it is compiled, where with any:

    VARIANTS = ({}, {"HEAD": 64, "dtypes": ("float32",), "least": 80})

"dtypes" (both floats, if missing) and "least" (the least compute capability, 75 if missing) are no definitions.
"""

import importlib
from pathlib import Path

import pytest

from tests.gpu import nvrtc
from tests.gpu.on_gpu import WHY_NOT, emulated
from tinygrad_gpt import kernels

FOLDER = Path(kernels.__file__).parent / "cuda"
CAPABILITIES = (75, 80, 90)
MAY_SPILL: dict[tuple[str, str], str] = {}  # (NAME.cu, kernel) -> why it may


def variants(name: str) -> tuple[dict, ...]:
    if not (FOLDER / f"{name}.py").exists():
        return ({},)
    return getattr(importlib.import_module(f"tinygrad_gpt.kernels.cuda.{name}"), "VARIANTS", ({},))


def sources() -> list[tuple[str, str, dict]]:
    """(NAME, dtype, variant) of each source as it is compiled."""
    names = sorted(file.stem for file in FOLDER.glob("*.cu"))
    each = [(name, variant) for name in names for variant in variants(name)]
    return [(name, dtype, v) for name, v in each for dtype in v.get("dtypes", ("float32", "float64"))]


def composed(monkeypatch, name: str, dtype: str, variant: dict) -> tuple[str, tuple]:
    """The code and the options that CuPy is given for it."""
    from tinygrad_gpt.kernels.cuda import _source

    given = {}
    monkeypatch.setattr(_source.cupy, "RawModule", lambda **settings: given.update(settings))
    definitions = {k: v for k, v in variant.items() if k not in ("dtypes", "least")}
    _source.load.__wrapped__(name, dtype, **definitions)  # past its cache
    return given["code"], tuple(given["options"])


SOURCES = [] if WHY_NOT else sources()


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name, dtype, variant", SOURCES)
def test_compiles_and_fits_into_registers(name, dtype, variant, capability, monkeypatch):
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12)")
    if capability < variant.get("least", 75):
        pytest.skip(f"{name} is for compute capability {variant['least']} and up")
    ok, log = nvrtc.compiled(*composed(monkeypatch, name, dtype, variant), capability)
    assert ok, log
    too_many = {kernel: n for kernel, n in nvrtc.spills(log).items() if (name, kernel) not in MAY_SPILL}
    assert not too_many, f"registers spilled (kernel: bytes): {too_many}"


def test_the_compiler_finds_errors_and_spills():
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12)")
    ok, log = nvrtc.compiled('extern "C" __global__ void f(float* x) { x[0] = INFINITY; }', (), 80)
    assert not ok and "INFINITY" in log
    code = (
        'extern "C" __global__ void __launch_bounds__(1024, 2) f(float* x, int n) { float a[99]; LOOP a[i] = x[i * n];'
    )
    code += " for (int k = 0; k < n; k++) { __syncthreads(); LOOP a[i] += x[i * k]; } LOOP x[i] += a[i] * n; }"
    ok, log = nvrtc.compiled(code, ('-DLOOP=_Pragma("unroll") for (int i = 0; i < 99; i++)',), 80)
    assert ok and list(nvrtc.spills(log)) == ["f"]


@pytest.mark.skipif(not emulated, reason="the emulation knows what was compiled")
def test_all_that_the_tests_before_this_compiled_is_listed_as_a_variant(monkeypatch):
    """conftest.py runs this test last."""
    from tests.emulated_cuda import compiled

    first_line = (FOLDER / "common.cuh").read_text(encoding="utf-8").partition("\n")[0]
    listed = {composed(monkeypatch, *source) for source in SOURCES}
    missing = [(code, options) for code, options in compiled - listed if code.startswith(first_line)]
    files = {file.name: file.read_text(encoding="utf-8").partition("\n")[0] for file in FOLDER.glob("*.cu")}
    named = [([name for name, line in files.items() if line in code], options) for code, options in missing]
    assert not named, "not among the VARIANTS that test_sources knows"
