"""The Python side that attention's three kernels share: what forward saves, sizes of tiles, arguments.

A kernel is compiled for a Shape. Its sizes are chosen so that no kernel needs more registers than there are (nvcc
-Xptxas -v), by these wishes in order: 32 rows for each warp, since each byte read from shared memory then serves twice
as many products; two blocks for each multiprocessor; tiles of 64 rows rather than 32; the left operand in registers.
"""

from typing import NamedTuple

import cupy
import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.kernels.cuda.machine.source import Kernels, load, seed_arguments
from tinygrad_gpt.random_stream import LaterSeed, drop_threshold

THREADS = 128
PER_WORD = {"FMA_UNITS": 1, "SPLIT_TF32": 1, "TF32": 1, "BF16": 2}  # numbers in a word of a tile, for each way


class Saved(NamedTuple):
    q: Array  # (B, H, Tq, D)
    k: Array  # (B, H, Tk, D)
    v: Array  # (B, H, Tk, D)
    y: Array  # (B, H, Tq, D)
    lse: Array  # (B, H, Tq)
    mask: Array | None  # boolean, (B, H, Tq, Tk)
    added: Array | None  # what is added to the scores, (B, H, Tq, Tk)
    causal: bool
    scale: float
    dropout: float
    seed: int | LaterSeed
    way: str  # how products are computed: the name of a WAY of warp_matrix.cuh
    added_shape: tuple[int, ...] = ()  # that it was given in


class Shape(NamedTuple):
    """The sizes that a kernel is compiled for: the macros of warp_matrix.cuh."""

    way: str
    dtype: str
    depth: int
    rows: int = 1  # times 16: rows of the result for each warp
    tile: int = 32  # rows of the other side in shared memory at a time
    columns: int = 32  # of the result, for each block
    keep: bool = False  # the left operand in registers
    per_processor: int = 1  # blocks that a multiprocessor is to hold at a time: a limit for registers

    @property
    def straight(self) -> int:
        """Bytes of a tile as it lies."""
        return self.tile * self._row_bytes(self.depth)

    @property
    def turned(self) -> int:
        return self.columns * self._row_bytes(self.tile)

    def _row_bytes(self, numbers: int) -> int:
        return up(numbers * np.dtype(self.dtype).itemsize // PER_WORD[self.way], 128)

    def blocks(self, t: int) -> int:
        """How many blocks it takes for the T rows of one head's result."""
        return -(-t // (self.rows * 16 * (THREADS // 32))) * -(-self.depth // self.columns)

    def definitions(self, vector: bool, added: bool = False) -> dict:
        """The macros. `vector`: rows can be read 16 bytes at a time. `added`: a mask is added to the scores."""
        return dict(
            VECTOR=int(vector), WAY=self.way, DEPTH=self.depth, ROWS=self.rows, TILE=self.tile, COLUMNS=self.columns,
            KEEP=int(self.keep), ADDED=int(added), BLOCKS=self.per_processor, THREADS=THREADS,
        )  # fmt: skip

    def kernels(self, name: str, saved: Saved, *more: Array) -> Kernels:
        """The kernels of NAME.cu, compiled for saved q, k and v and `more` arrays (B, H, T, D)."""
        vector = saved.q.shape[3] % 4 == 0 and all([_is_aligned(x) for x in (*saved[:3], *more)])
        return load(name, self.dtype, **self.definitions(vector, saved.added is not None))


def up(n: int, multiple: int) -> int:
    """n rounded up."""
    return -(-n // multiple) * multiple


# --- arguments ---------------------------------------------------------------------------------------------------


def _is_aligned(x: Array) -> bool:
    """Whether each row of x (B, H, T, D) begins at a multiple of 16 bytes."""
    return x.data.ptr % 16 == 0 and all(stride % 16 == 0 for stride in x.strides[:3])


def strided(*arrays: Array) -> list:
    """Each array (B, H, T, D), and how many elements apart sequences, heads and rows are: STRIDED of scores.cuh."""
    return [part for x in arrays for part in (x, *(stride // x.itemsize for stride in x.strides[:3]))]


def scores(saved: Saved) -> tuple:
    """SCORES_PARAMETERS of scores.cuh."""
    masks = [part for mask in (saved.mask, saved.added) for part in (mask, *_steps(mask))]
    threshold, dropout = drop_threshold(saved.dropout), saved.dropout
    _, h, tq, d = saved.q.shape
    return (
        *masks, int(saved.causal), threshold, 1 / (1 - dropout), *seed_arguments(saved.seed), h, tq,
        saved.k.shape[2], d,
    )  # fmt: skip


def _steps(mask: Array | None) -> tuple[int, ...]:
    """How many elements apart sequences, heads, queries and keys are in a mask."""
    return (0, 0, 0, 0) if mask is None else tuple(stride // mask.itemsize for stride in mask.strides)


def adjacent(x: Array) -> Array:
    """x (B, H, T, D) itself if the elements of each row are adjacent in memory, and how far rows are apart fits in 32
    bits; else a copy."""
    near = abs(x.strides[2]) < 1 << 26
    return x if x.strides[3] == x.itemsize and near else cupy.ascontiguousarray(x)


def heads_last(like: Array, *shape: int) -> Array:
    """An empty array (..., T, H, D), seen as (..., H, T, D)."""
    return cupy.empty(shape, like.dtype).swapaxes(-2, -3)


def row_length(x: Array) -> int:
    """How many elements apart the rows of x (B, H, T, D) are."""
    return x.strides[2] // x.itemsize
