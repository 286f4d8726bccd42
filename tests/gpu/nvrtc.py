"""NVIDIA's compiler for kernels, NVRTC, as a library: it needs no GPU, and compiles just as CuPy has it do.

It comes with CUDA, and alone as `pip install nvidia-cuda-nvrtc-cu12`.
"""

import ctypes
import ctypes.util
import hashlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

# What CuPy adds to the options that it is given
OPTIONS = ("-ftz=true", "--device-as-default-execution-space")

LINES = r"^.*\.entry.*|^.*ld\.global.*|^(?!\s*\.reg).*\.f64.*"


@cache
def library():
    """The library, or None where there is none."""
    folders = []
    for package in ("nvidia.cuda_nvrtc", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        folders += [Path(p) / "lib" for p in (spec.submodule_search_locations if spec else ())]
    if shutil.which("nvcc"):
        folders.append(Path(shutil.which("nvcc")).resolve().parents[1] / "lib64")
    files = [file for folder in folders for file in sorted(folder.glob("libnvrtc.so*"))]
    for name in [*map(str, files), ctypes.util.find_library("nvrtc")]:
        try:
            return ctypes.CDLL(name) if name else None
        except OSError:
            continue
    return None


def compiled(code: str, options: tuple, capability: int) -> tuple[str | None, str]:
    """(what it became for this compute capability, say 80, of PTX, the lines that name kernels, read global memory or
    have to do with float64, or None where it does not compile; what the compiler has to say). Kept on disk: large
    kernels take seconds."""
    version = (ctypes.c_int * 2)()
    library().nvrtcVersion(version, ctypes.byref(version, 4))
    key = hashlib.sha256(repr((code, options, capability, OPTIONS, LINES, *version)).encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / f"nvrtc-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = folder / f"{key}.json"
    if not kept.exists():
        own = kept.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(_compiled(code, options, capability)), encoding="utf-8")
        own.replace(kept)
    return tuple(json.loads(kept.read_text(encoding="utf-8")))


def _compiled(code: str, options: tuple, capability: int) -> tuple[str | None, str]:
    nvrtc, program = library(), ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None) == 0
    options = (*options, *OPTIONS, f"-arch=sm_{capability}", "--ptxas-options=-v")
    status = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*map(str.encode, options))
    )
    log, ptx = (_text(program, part) if part == "ProgramLog" or status == 0 else None for part in ("ProgramLog", "PTX"))
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return None if ptx is None else "\n".join(re.findall(LINES, ptx, re.MULTILINE)), log


def _text(program, part: str) -> str:
    nvrtc, size = library(), ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{part}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{part}")(program, text)
    return text.value.decode()


def by_kernel(ptx: str) -> dict[str, str]:
    """Kernel -> its instructions."""
    return {part.partition("(")[0]: part for part in ptx.split(".visible .entry ")[1:]}


def spills(log: str) -> dict[str, int]:
    """Kernel -> bytes of variables that are kept in memory, for the kernels that have any: since registers did not
    suffice, or since they are arrays of which the compiler cannot tell which element is meant."""
    found, sizes = {}, re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
    for part in log.split("Function properties for ")[1:]:
        found[part.split()[0]] = max(map(int, sizes.search(part).groups()))
    return {kernel: size for kernel, size in found.items() if size}
