"""cupy.RawModule and cupy.RawKernel: g++ compiles the CUDA C++, ctypes calls it."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from tests.emulated_cuda import _capture, _memory
from tests.emulated_cuda._array import ndarray
from tests.emulated_cuda._errors import CompileException, CUDADriverError

FOLDER = Path(__file__).parent
COMPILER = shutil.which("g++") if sys.platform == "linux" else None
FLAGS = ("-std=gnu++17", "-O1", "-g1", "-fPIC", "-shared", "-DCUDA_ON_CPU", "-ffp-contract=off", "-fwrapv")
FLAGS += ("-fno-strict-aliasing", "-w", "-Wl,-Bsymbolic")
FLAGS += ("-fsanitize=alignment,bounds-strict,shift-exponent", "-fsanitize-undefined-trap-on-error")
MEMORY_FAULT = 2  # what a launch returns then; see fibers.h
DEFAULT_SHARED, MOST_SHARED, MOST_THREADS = 48 << 10, 227 << 10, 1024
HEAD = re.compile(r'extern\s+"C"\s+__global__\s+void\b')
DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w:\s]+?)\s+(\w+)\s*\[\s*\]\s*;")

FORWARDS, BACKWARDS = 0, 1  # orders of threads and blocks; larger numbers shuffle them, each its own way
compiled: set[tuple[str, tuple]] = set()  # (code, options) of all that was compiled in this process
_order = int(os.environ.get("EMULATED_CUDA_ORDER", FORWARDS))


@contextmanager
def order(number: int) -> Iterator[None]:
    """Between two barriers, and from block to block, threads run forwards (0), backwards (1) or shuffled (a seed)."""
    global _order
    before, _order = _order, number
    try:
        yield
    finally:
        _order = before


def in_every_order(run: Callable) -> list:
    """What `run()` gives with threads running forwards, backwards and shuffled. A kernel that lacks a barrier, or that
    relies on the order of blocks, gives different results."""
    results = []
    for number in (FORWARDS, BACKWARDS, 2, 3):
        with order(number):
            results.append(run())
    return results


class RawModule:
    """cupy.RawModule(code=..., options=...)."""

    __module__ = "cupy"

    def __init__(self, *, code: str, options: tuple = (), backend: str = "nvrtc", name_expressions=None, jitify=False):
        if name_expressions:
            raise NotImplementedError("name_expressions in the emulation")
        self.code, self.options = code, tuple(options)

    def compile(self, log_stream=None) -> None:
        _library(self.code, self.options)

    def get_function(self, name: str) -> "Function":
        library, bounds = _library(self.code, self.options)
        if name not in bounds:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND", f"named symbol not found: {name}")
        return Function(library, name, self.code)


class RawKernel:
    """cupy.RawKernel(code, name, options)."""

    __module__ = "cupy"

    def __new__(cls, code: str, name: str, options: tuple = (), backend: str = "nvrtc", **settings):
        return RawModule(code=code, options=options).get_function(name)


class Parameter(ctypes.Structure):
    """As in fibers.h."""

    _fields_ = (
        ("size", ctypes.c_int),
        ("kind", ctypes.c_char),
        ("pointee_kind", ctypes.c_char),
        ("pointee_size", ctypes.c_int),
    )


class Fault(ctypes.Structure):
    """As in fibers.h."""

    _fields_ = (("address", ctypes.c_size_t), ("instruction", ctypes.c_size_t))


class Function:
    """A kernel: `function(grid, block, arguments, shared_mem=0, stream=None)`."""

    def __init__(self, library, name: str, code: str):
        self._library, self._code = library, code
        self.name, self.max_dynamic_shared_size_bytes = name, DEFAULT_SHARED
        self._run = getattr(library, f"emulated_launch_{name}")
        self._bounds = getattr(library, f"emulated_bounds_{name}")()
        parameters = (Parameter * 64)()
        count = getattr(library, f"emulated_parameters_{name}")(parameters)
        self._parameters = parameters[:count]

    max_threads_per_block = property(lambda self: self._bounds)

    def __setattr__(self, attribute, value):
        if attribute == "max_dynamic_shared_size_bytes" and value > MOST_SHARED:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"{self.name}: {value} bytes of shared memory")
        super().__setattr__(attribute, value)

    def __call__(self, grid, block, args, *, shared_mem: int = 0, stream=None, enable_cooperative_groups=False) -> None:
        grid, block = ((*map(int, sizes), 1, 1)[:3] for sizes in (grid, block))
        self._check(grid, block, shared_mem)
        values = self._values(args)
        self._launch(grid, block, args, values, shared_mem)
        _capture.record(lambda: self._launch(grid, block, (), values, shared_mem))

    def _check(self, grid: tuple, block: tuple, shared: int) -> None:
        limits = (2**31 - 1, 65535, 65535)
        if any(not 0 < n <= most for n, most in zip(grid, limits, strict=True)) or min(block) < 1 or block[2] > 64:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"{self.name}: grid {grid}, block {block}")
        threads = block[0] * block[1] * block[2]
        if threads > min(self._bounds, MOST_THREADS):
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"{self.name}: {threads} threads in a block")
        if shared > self.max_dynamic_shared_size_bytes:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE", f"{self.name}: {shared} bytes of shared memory")

    def _values(self, args: tuple) -> list[bytes]:
        if len(args) != len(self._parameters):
            raise TypeError(f"{self.name} takes {len(self._parameters)} arguments, got {len(args)}")
        values = []
        for number, (given, wanted) in enumerate(zip(args, self._parameters, strict=True)):
            problem = _mismatch(given, wanted)
            if problem:
                raise TypeError(f"{self.name}, argument {number}: {problem}")
            if isinstance(given, ndarray):
                given = np.uint64(given.data.ptr)
            values.append(given.tobytes())
        return values

    def _launch(self, grid, block, args, values, shared) -> None:
        pointers = (ctypes.c_char_p * max(len(values), 1))(*values)
        message, fault = ctypes.create_string_buffer(500), Fault()
        sizes = ((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block))
        failed = self._run(*sizes, shared, pointers, ctypes.c_long(_order), message, 500, ctypes.byref(fault))
        if failed:
            text = f"{self.name}: {message.value.decode()}"
            if failed == MEMORY_FAULT:
                text += _whereabouts(fault.address, args)
            status = "CUDA_ERROR_ILLEGAL_ADDRESS" if failed == MEMORY_FAULT else "CUDA_ERROR_LAUNCH_FAILED"
            raise CUDADriverError(status, text + _line(self._library, self._code, fault.instruction))
        for number, a in enumerate(args):
            memory = _memory.memory_of(a._a) if isinstance(a, ndarray) else None
            if memory is not None and memory.overwritten():
                text = f"{self.name} wrote into memory {memory.overwritten()} argument {number}"
                raise CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS", text)


def _mismatch(given, wanted: Parameter) -> str | None:
    """Why an argument is not what the parameter takes, or None. (The real CuPy passes bytes on without looking.)"""
    kind = wanted.kind.decode()
    if isinstance(given, ndarray):
        if kind != "p":
            return "an array where the kernel takes a number"
        pointee = wanted.pointee_kind.decode()
        fits = given.itemsize == wanted.pointee_size and (pointee == "f") == (given.dtype.kind == "f")
        raw = wanted.pointee_size == 0 or given.itemsize == 1 or pointee == "s"
        return None if fits or raw else f"an array of {given.dtype} where the kernel takes another type"
    by_value = isinstance(given, np.ndarray) and given.size == 1  # a structure
    if not isinstance(given, np.generic) and not by_value:
        return f"{type(given).__name__} {given!r} has no size; give a number of NumPy's"
    if kind == "p":
        return None if given.dtype in (np.intp, np.uintp) else f"{given.dtype} where the kernel takes a pointer"
    if given.itemsize != wanted.size or (kind in "fi" and (kind == "f") != (given.dtype.kind == "f")):
        return f"{given.dtype} where the kernel takes {wanted.size} bytes of kind {kind}"
    return None


def _whereabouts(address: int, args: tuple) -> str:
    """Beside which argument an address lies."""
    near = []
    for number, a in enumerate(args):
        memory = _memory.memory_of(a._a) if isinstance(a, ndarray) else None
        if memory is not None:
            behind = address - (memory.address + memory.size)
            away = behind if behind >= 0 else memory.address - address
            side = "behind the end of" if behind >= 0 else "before the start of"
            near.append((abs(away), f", {abs(away)} bytes {side} argument {number} {a.dtype}{a.shape}"))
    null = f", at {address:#x}: a null pointer" if address < 1 << 16 else ""
    return null or (min(near)[1] if near and min(near)[0] < 1 << 30 else f", at {address:#x}")


def _line(library, code: str, instruction: int) -> str:
    """The line of the source to which a machine instruction belongs, where that can be told."""
    if not instruction or shutil.which("addr2line") is None:
        return ""
    command = ["addr2line", "-i", "-e", library._name, hex(instruction)]
    answer = subprocess.run(command, capture_output=True, text=True).stdout
    lines = [int(number) for number in re.findall(r"kernel\.c\w+:(\d+)", answer)]  # g++ mixes up the file's two names
    lines = [number for number in lines if 0 < number <= len(code.splitlines())]
    return f", in the line: {code.splitlines()[lines[0] - 1].strip()}" if lines else ""


@cache
def _library(code: str, options: tuple):
    """(the compiled source as a library, its kernels' bounds)."""
    if COMPILER is None:
        raise CompileException("the emulation needs g++ on Linux")
    compiled.add((code, options))
    bounds = _bounds(code)
    rewritten = DYNAMIC_SHARED.sub(r"\1* const \2 = (\1*)emulated::dynamic_shared;", code)
    # In a namespace without a name, templates' static variables may lie in the section of shared memory.
    text = f'#include "cuda_on_cpu.h"\nnamespace {{\n#line 1 "kernel.cu"\n{rewritten}\n}}\n'
    text += "".join(f"EMULATED_KERNEL({name}, {bound})\n" for name, bound in bounds.items())
    macros = [option for option in options if option.startswith(("-D", "-U"))]
    return ctypes.PyDLL(str(_compiled(text, (*FLAGS, *macros)))), bounds


def _compiled(text: str, flags: tuple) -> Path:
    headers = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("fibers.h", "cuda_on_cpu.h"))
    key = hashlib.sha256(repr((text, headers, flags, COMPILER)).encode()).hexdigest()[:32]
    folder = Path(tempfile.gettempdir()) / f"emulated-cuda-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            source, made = Path(work) / "kernel.cpp", Path(work) / "kernel.so"
            source.write_text(text, encoding="utf-8")
            command = [COMPILER, *flags, f"-I{FOLDER}", str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise CompileException(done.stderr)
            made.rename(library)
    return library


def _bounds(code: str) -> dict[str, str]:
    """Name of each kernel -> how many threads a block of it may have, as an expression of C++."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", code, flags=re.DOTALL)
    found = {}
    for head in HEAD.finditer(code):
        rest, bound = code[head.end() :].lstrip(), str(MOST_THREADS)
        if rest.startswith("__launch_bounds__"):
            start = rest.index("(")
            end, depth = start, 0
            for end in range(start, len(rest)):
                depth += {"(": 1, ")": -1}.get(rest[end], 0)
                if depth == 0:
                    break
            bound, rest = rest[start + 1 : end], rest[end + 1 :].lstrip()
        found[re.match(r"\w+", rest)[0]] = bound
    return found
