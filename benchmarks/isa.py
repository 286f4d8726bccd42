"""Which vector instructions the sides of a benchmark compute with, so that a machine can stand in for a lesser one.

    python benchmarks/train_step.py --isa avx2        pins every side to AVX2, whatever the processor has besides
    eval "$(python benchmarks/isa.py avx2)"           does so to whatever this shell starts from now on

Each library has a setting of its own, read when it loads. So a pinned benchmark starts itself anew, with all of them in
its environment, and its sides inherit them:

    Numba     compiles for the first processor that has these instructions, without what came later
    OpenBLAS  multiplies as on that processor; NumPy runs no loop of its own that was made for later ones
    PyTorch   ATen's kernels, oneDNN's, MKL's, and the code that torch.compile writes and its C++ compiler makes of it
    JAX       the code that XLA generates

A setting may be ignored: MKL's holds on Intel's processors only (on AMD's it multiplies in AVX2's vectors always), and
JAX calls libraries that XLA did not generate. So each side is looked at before it ends (`seen`). Its libraries say what
they use, as far as they do, and it multiplies float32 matrices: who is faster than a core's arithmetic allows in the
pinned vectors computes with wider ones. (Not on processors that take two turns for a vector of 16, such as AMD's Zen 4:
there wider vectors multiply no faster.)
"""

import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

PINNED = "BENCHMARK_ISA"  # the variable that tells all processes of a pinned benchmark
SIZE, SECONDS = 768, 0.3  # of the matrices that a side multiplies, and how much processor time it does so for
TOLERANCE = 1.25  # times a core's arithmetic: clocks vary, vectors of twice the width have up to twice the speed


@dataclass(frozen=True)
class Isa:
    """A set of vector instructions, and what libraries call it.

    title      its name
    needs      LLVM's features that make it up
    processor  the first one that has it, as LLVM and GCC call it
    openblas   the same, as OpenBLAS does
    numpy      NumPy's names of what it adds to AVX2's
    onednn     oneDNN's name
    """

    title: str
    needs: tuple[str, ...]
    processor: str
    openblas: str
    numpy: tuple[str, ...]
    onednn: str


ISAS = {
    "avx2": Isa("AVX2", ("avx2", "fma"), "haswell", "Haswell", (), "AVX2"),
    "avx512": Isa(
        "AVX-512",
        ("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
        "skylake-avx512",
        "SkylakeX",
        ("X86_V4", "AVX512F", "AVX512CD", "AVX512_SKX"),
        "AVX512_CORE",
    ),
}
LATER = ("avx512", "avx10", "amx")  # than AVX2: how the names of LLVM's features begin
OPENBLAS_512 = ("SkylakeX", "Cooperlake", "SapphireRapids")  # its processors whose kernels have vectors of 16 floats


def is_512(loops: str) -> bool:
    """Whether NumPy's loops of this name are for AVX-512."""
    return "512" in loops or loops == "X86_V4"


# --- pinning -----------------------------------------------------------------------------------------------------


def offered() -> list[str]:
    """The names of what this processor can be pinned to: none but on x86-64."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    return [name for name, isa in ISAS.items() if all(features.get(feature) for feature in isa.needs)]


def checked(name: str) -> str:
    """The name, if this processor can be pinned to it. Raises SystemExit if not."""
    if name not in offered():
        raise SystemExit(f"--isa {name}: there is none of that name here; there are: {', '.join(offered()) or 'none'}")
    return name


def title(name: str) -> str:
    """What people call it."""
    return ISAS[name].title if name in ISAS else name


def pinned() -> str | None:
    """The name of what this process is pinned to."""
    return os.environ.get(PINNED)


def pins(name: str) -> dict[str, str]:
    """The environment that pins the processes in it. Raises SystemExit if this processor has no such instructions."""
    isa = ISAS[checked(name)]
    import llvmlite.binding
    from numpy._core._multiarray_umath import __cpu_dispatch__ as numpys_loops

    here = llvmlite.binding.get_host_cpu_features()
    features = {f: on and (not f.startswith(LATER) or f in isa.needs) for f, on in here.items()}
    too_new = [loops for loops in numpys_loops if is_512(loops) and loops not in isa.numpy]
    return {
        PINNED: name,
        "NUMBA_CPU_NAME": isa.processor,
        "NUMBA_CPU_FEATURES": ",".join(f"{'+' if on else '-'}{feature}" for feature, on in sorted(features.items())),
        "OPENBLAS_CORETYPE": isa.openblas,
        "NPY_DISABLE_CPU_FEATURES": " ".join(too_new),
        "ATEN_CPU_CAPABILITY": name,  # and torch.compile's vectors
        "TORCHINDUCTOR_CPP_MARCH": isa.processor,
        "ONEDNN_MAX_CPU_ISA": isa.onednn,
        "MKL_ENABLE_INSTRUCTIONS": name.upper(),
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa={name.upper()}".strip(),
    }


# --- seeing whether a side obeys ---------------------------------------------------------------------------------


def seen() -> dict[str, dict]:
    """What this process computes with, of the libraries that it has loaded.

    said     library -> the name of the instructions that it says it uses
    gflops   library -> GFLOP of a product of float32 matrices per second of a core's time
    """
    return {"said": dict(_said()), "gflops": {library: _gflops(product) for library, product in _products()}}


def _said():
    """(library, name of its instructions) of those that tell."""
    loaded = sys.modules
    if "numba" in loaded:
        from numba.core.registry import cpu_target

        features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
        yield "Numba", "avx512" if "+avx512f" in features else "avx2" if "+avx2" in features else "less"
    if registers := loaded.get("tinygrad_gpt.kernels.numba.product.registers"):
        yield "our vectors", {64: "avx512", 32: "avx2"}.get(registers.VECTOR_BYTES, "less")
    if "numpy" in loaded:
        from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

        loops = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
        yield "NumPy", "avx512" if any(map(is_512, loops)) else "avx2" if __cpu_features__.get("AVX2") else "less"
        yield from _openblas()
    if "torch" in loaded:
        import torch

        yield "ATen", torch.backends.cpu.get_cpu_capability().lower()
    if "torch._inductor.compile_fx" in loaded:  # which something was compiled with
        from torch._inductor.cpu_vec_isa import pick_vec_isa

        yield "torch.compile", str(pick_vec_isa()).split(" ")[0]


def _openblas():
    """The same of OpenBLAS, where threadpoolctl is installed, which knows how to ask it."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return
    for library in threadpool_info():
        if library["internal_api"] == "openblas":
            yield "OpenBLAS", "avx512" if library["architecture"] in OPENBLAS_512 else "avx2"


def _products():
    """(library, function that multiplies two float32 matrices with it) of those that can."""
    loaded = sys.modules
    if "numpy" in loaded:
        import numpy as np

        a = np.ones((SIZE, SIZE), np.float32)
        yield "NumPy", lambda: a @ a
        if "tinygrad_gpt.kernels.registry" in loaded:
            from tinygrad_gpt.kernels import registry

            yield "tinygrad_gpt", lambda: registry.choose("linear", (a, a), {}).forward(a, a)
    if "torch" in loaded:
        import torch

        b = torch.ones(SIZE, SIZE)
        yield "PyTorch", lambda: b @ b
    if "jax" in loaded:
        import jax

        c = jax.numpy.ones((SIZE, SIZE), "float32")
        yield "JAX", lambda: (c @ c).block_until_ready()


def _gflops(product: Callable[[], object]) -> float:
    """GFLOP per second of processor time, of all threads together, which other work on the machine hardly changes."""
    product()
    calls, began = 0, time.process_time()
    while (seconds := time.process_time() - began) < SECONDS:
        product()
        calls += 1
    return 2e-9 * calls * SIZE**3 / seconds


def disobeys(name: str, seen: dict[str, dict], most: float) -> list[str]:
    """Why what was `seen` of a side is not this instruction set, each reason a clause; `most` is the GFLOP per second
    that a core's arithmetic allows in it."""
    said, gflops = seen["said"], seen["gflops"]
    reasons = [f"{library} uses {title(other)}" for library, other in said.items() if other != name]
    for library, rate in gflops.items():
        if rate > TOLERANCE * most:
            reasons.append(f"{library} multiplies at {rate:.0f} GFLOP/s a core, and its arithmetic allows {most:.0f}")
    return reasons if said or gflops else ["nothing shows what it computes with"]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: python benchmarks/isa.py {' | '.join(ISAS)}")
    for variable, value in pins(sys.argv[1]).items():
        print(f"export {variable}={shlex.quote(value)}")
