"""Vector instructions by hand: the two inner loops that a compiler doesn't find by itself.

    multiply_1 ... 3  a block of c in registers: c[:4, :n] = start + a[:4, :k] @ b[:k, :n], n 1 ... 3 vectors
    tall_1 ... 3      the same for TALL rows at once
    transpose         LANES rows of LANES numbers, turned in registers

Both are built for LLVM (the compiler behind Numba) as vectors of LANES numbers, so they run on any processor. What the
processor has decides how large vectors and blocks are. Both work on a place (`at`): where an array's element is, and
how far it is from there to the next row and column.

Why blocks. A processor with AVX-512 multiplies and adds two vectors of 16 numbers in a cycle, but also loads only two.
In the loop below each step of the sum loads 3 vectors of b and 8 numbers of a for 24 multiply-adds, so that it is the
arithmetic that is busy. The 24 sums stay in registers from the first step to the last; with b's 3 vectors and the
numbers of a on their way they fill the 32 that there are. (Where there are 16, as with AVX2, 12 sums of 4 rows, with
b's 3 vectors and one number of a, fill those; with 2 vectors in a row, 8 sums would be too few to keep two
multiply-adds in each cycle going, of which each takes 4.) A block of 4 by 4 vectors would load as little for each
multiply-add, but twice as much of b, which comes from the second-level cache. (Goto and van de Geijn, "Anatomy of
high-performance matrix multiplication", 2008, section 6; BLIS calls it the micro-kernel.)

A turn of the loop makes two steps of the sum, because addresses and turns are counted by units that also multiply.
"""

import functools

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic


@functools.cache
def _features() -> frozenset[str]:
    """What the processor that Numba compiles for can do, in LLVM's words."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(f.removeprefix("+") for f in features.split(",") if f.startswith("+"))


def has(feature: str) -> bool:
    """Whether that processor has, say, "avx512f" (vectors of 16 floats) or "avx512bf16" (dot products of bfloat16)."""
    return feature in _features()


AVX_512 = has("avx512f")
VECTOR_BYTES = 64 if AVX_512 else 32 if has("avx") else 16
REGISTERS = 32 if AVX_512 or has("neon") else 16

ROWS = 4  # of a block
TALL = 8 if REGISTERS == 32 else 4  # rows of a block where there are many; a multiple of ROWS
VECTORS = 3  # of each row of a block, at most


@intrinsic
def lanes(typingctx, x):
    """How many of the numbers that array or address x holds fill a vector."""

    def codegen(context, builder, signature, args):
        return ir.Constant(ir.IntType(64), _lanes(context.get_data_type(x.dtype)))

    return types.intp(x), codegen


def _lanes(number: ir.Type) -> int:
    return VECTOR_BYTES // (4 if isinstance(number, ir.FloatType) else 8)


@intrinsic
def at(typingctx, x, i, j):
    """The place of x[i, j] in a matrix of any strides: (address, numbers to the next row, and to the next column).

    A place does not keep the array alive: use it only of arrays that the function was given, or uses again later.
    """
    place = types.Tuple((types.CPointer(x.dtype), types.intp, types.intp))

    def codegen(context, builder, signature, args):
        array = context.make_array(x)(context, builder, args[0])
        strides = cgutils.unpack_tuple(builder, array.strides, 2)
        offset = builder.add(builder.mul(args[1], strides[0]), builder.mul(args[2], strides[1]))
        start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        address = builder.bitcast(builder.gep(start, [offset]), array.data.type)
        size = ir.Constant(offset.type, context.get_abi_sizeof(array.data.type.pointee))
        steps = [builder.sdiv(stride, size) for stride in strides]
        return context.make_tuple(builder, place, [address, *steps])

    return place(x, types.intp, types.intp), codegen


@intrinsic
def offset(typingctx, place, i, j):
    """The place i rows and j columns further."""

    def codegen(context, builder, signature, args):
        address, row, column = cgutils.unpack_tuple(builder, args[0], 3)
        offset = builder.add(builder.mul(args[1], row), builder.mul(args[2], column))
        return context.make_tuple(builder, place, [builder.gep(address, [offset]), row, column])

    return place(place, types.intp, types.intp), codegen


def register_loop(builder, end, by: int, values: list, body, start=None) -> list:
    """A loop whose values stay in registers: for i = start, start + by, ... < end (start is 0 unless given) they become
    body(i, values). Returns what they are at the end."""
    start = end.type(0) if start is None else start
    before, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed(">", end, start), loop, after)

    builder.position_at_end(loop)
    i, inside = builder.phi(end.type), [builder.phi(value.type) for value in values]
    later = body(i, inside)
    next_i = builder.add(i, end.type(by))
    for phi, first, following in zip([i, *inside], [start, *values], [next_i, *later], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", next_i, end), loop, after)

    builder.position_at_end(after)
    results = [builder.phi(value.type) for value in values]
    for phi, first, following in zip(results, values, later, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(following, loop)
    return results


def splat(builder, number, n: int):
    """A vector of n times the same number."""
    undefined = ir.Constant(ir.VectorType(number.type, n), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.VectorType(ir.IntType(32), n)(None))


def _multiply_of(height: int, vectors: int):
    """The intrinsic for blocks of this many rows, with this many vectors in each."""

    @intrinsic
    def multiply(typingctx, c, start, a, b, k):
        """c[r, :] = start[r, :] + sum over k of a[r, k] b[k, :], r < height, none if k < 1; rows of c, start and b are
        contiguous."""

        def codegen(context, builder, signature, args):
            (c, c_row, _), (start, start_row, _), (a, a_row, a_step), (b, b_step, _) = (
                cgutils.unpack_tuple(builder, place, 3) for place in args[:4]
            )
            vector = ir.VectorType(c.type.pointee, _lanes(c.type.pointee))
            size = context.get_abi_sizeof(c.type.pointee)
            columns = [ir.Constant(ir.IntType(64), v * vector.count) for v in range(vectors)]

            def vectors_at(row):
                return [builder.bitcast(builder.gep(row, [column]), vector.as_pointer()) for column in columns]

            def rows_from(first, step):
                return [builder.gep(first, [builder.mul(step, ir.Constant(step.type, r))]) for r in range(height)]

            def load(row):
                return [builder.load(address, align=size) for address in vectors_at(row)]

            def add(step, sums):
                b_blocks = load(builder.gep(b, [builder.mul(step, b_step)]))
                column_of_a = builder.gep(a, [builder.mul(step, a_step)])
                a_blocks = [splat(builder, builder.load(x), vector.count) for x in rows_from(column_of_a, a_row)]
                products = [builder.fmul(x, y, flags=("contract",)) for x in a_blocks for y in b_blocks]
                return [builder.fadd(s, p, flags=("contract",)) for s, p in zip(sums, products, strict=True)]

            def add_two(step, sums):
                return add(builder.add(step, step.type(1)), add(step, sums))

            before = [value for row in rows_from(start, start_row) for value in load(row)]
            zero, one = args[4].type(0), args[4].type(1)
            k = builder.select(builder.icmp_signed(">", args[4], zero), args[4], zero)
            pairs = builder.and_(k, builder.not_(one))
            results = register_loop(builder, pairs, 2, before, add_two)
            results = register_loop(builder, k, 1, results, add, start=pairs)
            addresses = [address for row in rows_from(c, c_row) for address in vectors_at(row)]
            for result, address in zip(results, addresses, strict=True):
                builder.store(result, address, align=size)
            return context.get_dummy_value()

        return types.void(c, start, a, b, types.intp), codegen

    return multiply


multiply_1, multiply_2, multiply_3 = (_multiply_of(ROWS, vectors) for vectors in (1, 2, 3))
tall_1, tall_2, tall_3 = (_multiply_of(TALL, vectors) for vectors in (1, 2, 3))


@intrinsic
def transpose(typingctx, x, out):
    """out[j, i] = x[i, j] for i, j < LANES; rows of both are contiguous."""

    def codegen(context, builder, signature, args):
        (x, x_row, _), (out, out_row, _) = (cgutils.unpack_tuple(builder, place, 3) for place in args)
        n = _lanes(x.type.pointee)
        vector = ir.VectorType(x.type.pointee, n)
        size = context.get_abi_sizeof(x.type.pointee)

        def row(first, step, i):
            address = builder.gep(first, [builder.mul(step, ir.Constant(step.type, i))])
            return builder.bitcast(address, vector.as_pointer())

        rows = [builder.load(row(x, x_row, i), align=size) for i in range(n)]
        for i, column in enumerate(turned(builder, rows)):
            builder.store(column, row(out, out_row, i), align=size)
        return context.get_dummy_value()

    return types.void(x, out), codegen


def turned(builder, rows: list) -> list:
    """The columns of a square in registers: n vectors of n numbers, n a power of 2.

    It takes log2(n) rounds. In the round of distance d, each square of 2d rows and columns swaps its two quarters off
    the diagonal: lanes with bit d of row i change places with lanes without it of row i + d.
    """
    rows, n = list(rows), len(rows)

    def pick(a, b, lanes):  # lanes from n on are those of b
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), n), lanes))

    d = 1
    while d < n:
        for i in (i for i in range(n) if not i & d):
            a, b = rows[i], rows[i + d]
            rows[i] = pick(a, b, [lane if not lane & d else n + (lane - d) for lane in range(n)])
            rows[i + d] = pick(a, b, [lane + d if not lane & d else n + lane for lane in range(n)])
        d *= 2
    return rows
