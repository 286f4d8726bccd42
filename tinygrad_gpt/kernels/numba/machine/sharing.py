"""How the threads that run a kernel share its work: `for i in my_part(share, n)`.

Each thread begins with a part of its own, contiguous and as large as the others', so that it meets in its caches what
it wrote there in the kernel before. It takes that part in PORTIONS. A thread that is through with its own takes what is
left of the others': nobody waits long for one whose core has other work to do, too. Which thread does a piece of work
is then a matter of chance, so a kernel must not let it matter.

A share is (thread, threads, taken). At the address `taken` there is a number for each thread, on a cache line of its
own: how many of its pieces are taken, by whomever. It counts for one loop, so a kernel has one loop over its part.
"""

from numba import types
from numba.core import cgutils
from numba.core.imputils import RefType, iternext_impl
from numba.extending import intrinsic, lower_builtin, models, register_model

SHARE = types.UniTuple(types.int64, 3)
PORTIONS = 16  # of a thread's part
CACHE_LINE = 64  # bytes


@intrinsic
def my_part(typingctx, share, n):
    """Inside a kernel, in one loop: the pieces of range(n) that this thread does, in no particular order."""

    def codegen(context, builder, signature, args):
        use_whole_vectors(builder.function)
        part = cgutils.create_struct_proxy(part_type)(context, builder)
        part.share, part.n = args
        for field in ("i", "end", "others"):
            setattr(part, field, cgutils.alloca_once_value(builder, zero))
        return part._getvalue()

    zero, part_type = cgutils.intp_t(0), Part()
    return part_type(SHARE, types.int64), codegen


def use_whole_vectors(function) -> None:
    """Have LLVM fill the widest vectors of the processor in the loops of this function, a kernel's. Left to itself, it
    takes half of AVX-512's on Intel's processors, of which the first slowed down when they filled them."""
    set.add(function.attributes, '"prefer-vector-width"="512"')  # llvmlite's own `add` takes only names that it knows


class Part(types.SimpleIteratorType):
    """The iterator: piece i is next, until `end`, where the portion ends; `others` parts are done with."""

    def __init__(self):
        super().__init__("Part", types.int64)


@register_model(Part)
class _PartModel(models.StructModel):
    def __init__(self, dmm, fe_type):
        number = types.EphemeralPointer(types.int64)
        fields = [("share", SHARE), ("n", types.int64), ("i", number), ("end", number), ("others", number)]
        super().__init__(dmm, fe_type, fields)


@lower_builtin("getiter", Part)
def _iterator(context, builder, signature, args):
    return args[0]


@lower_builtin("iternext", Part)
@iternext_impl(RefType.UNTRACKED)
def _next(context, builder, signature, args, result):
    part = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0])
    with builder.if_then(builder.icmp_signed(">=", builder.load(part.i), builder.load(part.end)), likely=False):
        three = types.UniTuple(types.int64, 3)
        given = part.share, part.n, builder.load(part.others)
        found = context.compile_internal(builder, _next_portion, three(SHARE, types.int64, types.int64), given)
        for place, value in zip((part.i, part.end, part.others), cgutils.unpack_tuple(builder, found, 3), strict=True):
            builder.store(value, place)
    i = builder.load(part.i)
    result.set_valid(builder.icmp_signed("<", i, builder.load(part.end)))
    result.yield_(i)
    builder.store(builder.add(i, i.type(1)), part.i)


def _next_portion(share, n, others):
    """(start, end, others) of the next portion of this thread; an empty one when all are taken."""
    thread, threads, taken = share
    while others < threads:
        owner = (thread + others) % threads
        first, end = n * owner // threads, n * (owner + 1) // threads
        portion = max(1, (end - first) // PORTIONS)
        start = first + add(taken + owner * CACHE_LINE, portion)
        if start < end:
            return start, min(start + portion, end), others
        others += 1
    return 0, 0, others


@intrinsic
def add(typingctx, address, number):
    """Add to the number there, and return what it was; no other thread comes between."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], cgutils.intp_t.as_pointer())
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen
