"""The product of two tiles that lie in the cache: the inner loop of attention.

    add_product(c, a, b, m, k, n)      c[:m, :n] += a[:m, :k] @ b[:k, :n]

Four rows of c and four steps of the sum at a time. The sixteen elements of a that this takes stay in registers. Each
vector of b that is loaded serves four multiply-adds, and each of c that is loaded and stored serves four: without that
the loop would wait for the cache instead of computing. The innermost loop runs along rows of b and c, which the
compiler turns into vectors. Its length need not be a multiple of a vector, but is fastest as a multiple of LANES.
"""

from tinygrad_gpt.kernels.numba._compile import helper
from tinygrad_gpt.kernels.numba._layout import as_contiguous

LANES = 16  # float32 numbers in the widest vector, AVX-512's
UNROLLED = 4  # m and k must be multiples of this


@helper(inlined=False)
def add_product(c, a, b, m, k, n):
    """c[:m, :n] += a[:m, :k] @ b[:k, :n], for m and k multiples of UNROLLED; rows of b and c are contiguous.

    `a` may be the transpose of a contiguous array: its elements are read one by one anyway.
    """
    for i in range(0, m, UNROLLED):
        c0, c1 = as_contiguous(c[i]), as_contiguous(c[i + 1])
        c2, c3 = as_contiguous(c[i + 2]), as_contiguous(c[i + 3])
        for d in range(0, k, UNROLLED):
            b0, b1 = as_contiguous(b[d]), as_contiguous(b[d + 1])
            b2, b3 = as_contiguous(b[d + 2]), as_contiguous(b[d + 3])
            a00, a01, a02, a03 = a[i, d], a[i, d + 1], a[i, d + 2], a[i, d + 3]
            a10, a11, a12, a13 = a[i + 1, d], a[i + 1, d + 1], a[i + 1, d + 2], a[i + 1, d + 3]
            a20, a21, a22, a23 = a[i + 2, d], a[i + 2, d + 1], a[i + 2, d + 2], a[i + 2, d + 3]
            a30, a31, a32, a33 = a[i + 3, d], a[i + 3, d + 1], a[i + 3, d + 2], a[i + 3, d + 3]
            for j in range(n):
                x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
                c0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                c1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                c2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                c3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3


@helper()
def rounded_up(n, multiple):
    """The least multiple that is not less than n."""
    return (n + multiple - 1) // multiple * multiple
