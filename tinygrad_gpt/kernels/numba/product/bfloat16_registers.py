"""The innermost steps of a product of bfloat16 numbers: packing operands, and adding up products in vectors.

A bfloat16 is the upper half of a float32: sign, 8 bits of exponent, 7 of fraction. It has float32's range at a relative
precision of 2⁻⁸, and rounding is all that converting takes; packing does it. Two of them that follow one another along
the sum are packed as a pair, a word of 32 bits, the first in its lower half. The dot product of AVX512_BF16 adds both
products of 16 pairs to 16 float32 sums in one instruction, twice the work of a float32 multiply-add.

The packed form is (groups, pairs, LANES): pair p of row (or column) LANES g + l is packed[g, p, l]. The 16 pairs that
an instruction takes are neighbours, and the sum runs straight through memory. The result's block stays in registers
meanwhile (registers.py says why): 24 of the 32 hold its 8 x 48 numbers. Each vector of columns, once loaded, serves 8
instructions. A processor with tiles (bfloat16_tiles.py) takes 16 pairs of 16 rows at once, row after row: there each
square of a, 16 pairs by 16 rows, is packed turned.

The steps are written in LLVM's own words, through llvmlite, since Numba has none for these instructions. They take
numbers below 2⁻¹²⁶ for 0. A nan stays a nan.
"""

import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine.compile import helper
from tinygrad_gpt.kernels.numba.product.registers import register_loop, splat, turned

LANES = 16  # pairs, or float32 sums, in a vector
ROWS = 8  # of the result, in registers
MOST_GROUPS = 3  # of LANES columns of the result, in registers
VECTOR = 4 * LANES  # bytes

_INT64, _INT32 = ir.IntType(64), ir.IntType(32)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_PAIRS = ir.VectorType(_INT32, LANES)
_HALVES = ir.VectorType(ir.IntType(16), 2 * LANES)  # bfloat16 numbers, two to a pair
_ADDRESS = types.int64


def _load(builder, type_, address, offset: int = 0):
    """Load from an address in memory that need not be a multiple of the size."""
    return builder.load(_pointer(builder, type_, address, offset), align=4)


def _store(builder, value, address, offset: int = 0) -> None:
    builder.store(value, _pointer(builder, value.type, address, offset), align=4)


def _pointer(builder, type_, address, offset):
    return builder.inttoptr(builder.add(address, ir.Constant(_INT64, offset)), type_.as_pointer())


def _step_on(builder, address, step, count: int):
    return builder.add(address, builder.mul(step, ir.Constant(_INT64, count)))


def _shuffle(builder, first, second, order):
    """Elements of two vectors in a new order, in which those of the second count on from the first's."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_INT32, len(order)), list(order)))


def _to_bfloat16(builder, first, second):
    """Two vectors of float32 -> their bfloat16 numbers, one after the other: to the nearest, at a tie to the even."""
    kind = ir.FunctionType(_HALVES, (_FLOATS, _FLOATS))
    convert = builder.module.declare_intrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", (), kind)
    return builder.call(convert, (second, first))  # the instruction takes the upper half first


# --- packing -----------------------------------------------------------------------------------------------------


def _packs(by_rows: bool, by_pairs: bool):
    """The intrinsic that rounds and packs 16 rows of 32 numbers, or 16 columns: packed[p, l] is pair p of line l, or,
    turned, packed[l, p] is.

    x, packed  addresses of the first element: x is 16 x 32 floats, or 32 x 16
    step       bytes from one row of x to the next
    """

    @intrinsic
    def pack(typingctx, x, step, packed):
        def codegen(context, builder, signature, args):
            x, step, packed = args
            in_turns = [i for lane in range(LANES) for i in (lane, lane + LANES)]
            vectors = []  # of pairs: of each row, or of each two rows
            for _ in range(LANES):
                if by_rows:
                    both = _to_bfloat16(builder, _load(builder, _FLOATS, x), _load(builder, _FLOATS, x, VECTOR))
                else:
                    first, x = _load(builder, _FLOATS, x), builder.add(x, step)
                    both = _to_bfloat16(builder, first, _load(builder, _FLOATS, x))
                    both = _shuffle(builder, both, both, in_turns)
                vectors.append(builder.bitcast(both, _PAIRS))
                x = builder.add(x, step)
            for i, pairs in enumerate(turned(builder, vectors) if by_rows == by_pairs else vectors):
                _store(builder, pairs, packed, VECTOR * i)
            return context.get_dummy_value()

        return types.void(_ADDRESS, types.int64, _ADDRESS), codegen

    return pack


pack_rows, pack_columns = _packs(True, True), _packs(False, True)
pack_rows_turned, pack_columns_turned = _packs(True, False), _packs(False, False)


# --- the product -------------------------------------------------------------------------------------------------


def _add_products(groups: int):
    """The step for 8 rows by 16 `groups` columns of the result: c = start + Σ_p a[p] b[p].

    pairs              how many there are in a sum
    a                  address of the first of 8 rows in a packed group
    b, b_step          address of the first packed group of columns; bytes from one group to the next
    start, start_step  address of what sums begin with, of c itself or of a bias; bytes from one row to the next
    c, c_step          the same of the result
    """

    @intrinsic
    def add_products(typingctx, pairs, a, b, b_step, start, start_step, c, c_step):
        def codegen(context, builder, signature, args):
            pairs, a, b, b_step, start, start_step, c, c_step = args
            block = [(row, group) for row in range(ROWS) for group in range(groups)]
            begin = [
                _load(builder, _FLOATS, _step_on(builder, start, start_step, row), VECTOR * group)
                for row, group in block
            ]

            def add(here, sums):  # pair p is a vector of each group, here = VECTOR p bytes from the first
                columns = [
                    _load(builder, _PAIRS, builder.add(_step_on(builder, b, b_step, group), here))
                    for group in range(groups)
                ]
                a_pairs = builder.add(a, here)
                rows = [splat(builder, _load(builder, _INT32, a_pairs, 4 * row), LANES) for row in range(ROWS)]
                return [
                    _add_dot_product(builder, total, rows[row], columns[group])
                    for total, (row, group) in zip(sums, block, strict=True)
                ]

            end = builder.mul(pairs, ir.Constant(_INT64, VECTOR))
            added = register_loop(builder, end, VECTOR, begin, add)
            for total, (row, group) in zip(added, block, strict=True):
                _store(builder, total, _step_on(builder, c, c_step, row), VECTOR * group)
            return context.get_dummy_value()

        return types.void(*8 * (types.int64,)), codegen

    return add_products


def _add_dot_product(builder, total, a, b):
    """total + a₀ b₀ + a₁ b₁ in every lane, for its pairs (a₀, a₁) and (b₀, b₁)."""
    signature = ir.FunctionType(_FLOATS, (_FLOATS, _PAIRS, _PAIRS))
    dot = builder.module.declare_intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", (), signature)
    return builder.call(dot, (total, a, b))


_add_1, _add_2, _add_3 = (_add_products(groups) for groups in (1, 2, 3))


@helper()
def add_products(groups, pairs, a, b, step, start, start_step, c, c_step):
    """The step for 1, 2 or 3 groups of columns."""
    if groups == 3:
        _add_3(pairs, a, b, step, start, start_step, c, c_step)
    elif groups == 2:
        _add_2(pairs, a, b, step, start, start_step, c, c_step)
    else:
        _add_1(pairs, a, b, step, start, start_step, c, c_step)


@helper()
def begin():
    """What a thread does before the first step: nothing."""


@helper()
def end():
    """What a thread does after the last step: nothing."""
