"""The threads that help with kernels, and how the thread that calls a kernel leads them.

The work of a kernel lies open to whoever comes (sharing.py). So nobody has to come: the caller offers it, begins, and
when nothing is left to take it closes the offer and waits for those helpers only that have begun. A helper whose core
is busy with another program then costs the time of one portion at most. In a pool that waits for each of its threads,
as OpenMP's does, every kernel of a training step would wait until that core has time.

Between two kernels a helper waits awake, and looks for the next offer SPINS times; then it sleeps until it is called.
More turns make steps a little faster on an idle machine, and keep others' work off the core on a busy one.

What all of them know lies in a few words of memory, each on a cache line of its own:

    OFFER    how many offers there have been
    GATE     how many helpers are inside, and CLOSED more while there is no offer
    ASLEEP   how many helpers sleep, or are about to
    ENDED    1 when all are to leave for good
    BODY, THREADS, BLOCK    the work: parallel.py's body(thread, threads, block)
"""

import atexit
import ctypes
import threading
from contextlib import suppress

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic, register_jitable

from tinygrad_gpt.kernels.numba.machine.disk_cache import DiskCache
from tinygrad_gpt.kernels.numba.machine.sharing import CACHE_LINE, add

SPINS = 10_000
CLOSED = 1 << 32
OFFER, GATE, ASLEEP, ENDED, BODY, THREADS, BLOCK = range(0, 7 * CACHE_LINE, CACHE_LINE)

_WORD = ir.IntType(64)
_NOTHING, _THREE = (ir.FunctionType(ir.VoidType(), [_WORD] * n) for n in (0, 3))


@intrinsic
def load(typingctx, address):
    """The number there, whichever thread wrote it last."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], _WORD.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def set_to(typingctx, address, number):
    """Write the number there, so that any thread that loads it finds all that was written before."""

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], builder.inttoptr(args[0], _WORD.as_pointer()), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def call_body(typingctx, body, thread, threads, block):
    """Call the function at the address `body`."""

    def codegen(context, builder, signature, args):
        builder.call(builder.inttoptr(args[0], _THREE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell an x86 processor that this is a loop that waits."""

    def codegen(context, builder, signature, args):
        if builder.module.triple.startswith(("x86", "i686")):
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), _NOTHING), [])
        return context.get_dummy_value()

    return types.void(), codegen


@register_jitable
def lead(pool, body, threads, block):
    """Have body(thread, threads, block) run by this thread and by the helpers that come in time."""
    set_to(pool + BODY, body)
    set_to(pool + THREADS, threads)
    set_to(pool + BLOCK, block)
    add(pool + GATE, -CLOSED)
    add(pool + OFFER, 1)
    call_body(body, 0, threads, block)
    add(pool + GATE, CLOSED)
    while load(pool + GATE) != CLOSED:
        pause()


def _help(pool, spins, slept):
    """What a helper does until it is to sleep. `slept` is 1 if it comes from there."""
    add(pool + ASLEEP, -slept)
    seen = load(pool + OFFER) - 1  # perhaps there is one open
    while load(pool + ENDED) == 0:
        turns = 0
        while load(pool + OFFER) == seen and turns < spins:
            pause()
            turns += 1
        if load(pool + OFFER) == seen:
            add(pool + ASLEEP, 1)
            return
        seen = load(pool + OFFER)
        before = add(pool + GATE, 1)  # how many are inside already; CLOSED, and there is nothing to do any more
        if before < load(pool + THREADS) - 1:
            call_body(load(pool + BODY), before + 1, load(pool + THREADS), load(pool + BLOCK))
        add(pool + GATE, -1)


class Pool:
    """Helpers, as many as kernels have asked for so far; all of the process's kernels share them.

    address  of the words above
    """

    def __init__(self):
        self.words = np.zeros(8 * CACHE_LINE // 8, np.int64)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.words))  # helpers look at them until the process is gone
        self.address = self.words.ctypes.data
        self.words[GATE // 8] = CLOSED
        self._helpers: list[tuple[threading.Thread, threading.Lock]] = []  # and the lock on which each sleeps
        self._refused = False  # whether the system gave no more threads
        self._code: CFunc | None = None  # of _help

    def compile(self, stamp: str) -> None:
        """Make ready, or load from disk, what helpers do. Once."""
        self._code = self._code or compiled(_help, types.void(*[types.int64] * 3), stamp)

    def call(self, threads: int) -> None:
        """Have helpers for so many threads, and wake those that sleep. Without a compiled kernel there are none."""
        if self._code and len(self._helpers) < threads - 1 and not self._refused:
            self._hire(threads - 1)
        if self.words[ASLEEP // 8]:
            self._wake()

    def _hire(self, number: int) -> None:
        if not self._helpers:
            atexit.register(self.end)
        while len(self._helpers) < number:
            bed = threading.Lock()
            bed.acquire()
            thread = threading.Thread(target=self._live, args=(bed,), name="tinygrad-gpt kernels", daemon=True)
            self._helpers.append((thread, bed))  # before it starts: Ctrl-C may come while it does
            try:
                thread.start()
            except RuntimeError:  # the work gets done without them
                self._helpers.pop()
                self._refused = True
                return

    def _live(self, bed) -> None:
        slept = 0
        while not self.words[ENDED // 8]:
            self._code.ctypes(self.address, SPINS, slept)
            bed.acquire()
            slept = 1

    def _wake(self) -> None:
        for _, bed in self._helpers:
            with suppress(RuntimeError):  # one that was woken already
                bed.release()

    def end(self) -> None:
        """Send the helpers away, before the memory in which their code lies is freed."""
        self.words[ENDED // 8] = 1
        self._wake()
        for thread, _ in self._helpers:
            if thread.is_alive():
                thread.join(1)


def compiled(function, signature, stamp: str) -> CFunc:
    """The function as machine code with an address, from disk or compiled."""
    code = CFunc(function, (signature.args, signature.return_type), {}, {"nogil": True})
    code._cache = DiskCache(function, stamp)
    code.compile()
    return code


POOL = Pool()  # of this process
