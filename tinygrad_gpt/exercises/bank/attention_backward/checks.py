"""Attention's backward, line by line, beside the package's attention and softmax."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.kernels import registry


def ours(q, k, v, dy):
    """dv, dq and dk are those of the op; the two between them those of matmul and softmax."""
    op, softmax, matmul = (registry.reference(name) for name in ("attention", "softmax", "matmul"))
    saved = op.forward(*(a[None, None] for a in (q, k, v)))[1]
    dq, dk, dv = (g[0, 0] for g in op.backward(dy[None, None], saved)[:3])
    p, of_softmax = softmax.forward(q @ k.T / np.sqrt(q.shape[-1]))
    dp, _ = matmul.backward(dy, matmul.forward(p, v)[1])
    return {"dv": dv, "dp": dp, "ds": softmax.backward(dp, of_softmax)[0], "dq": dq, "dk": dk}


def cases():
    rng = np.random.default_rng(0)
    for name, queries, keys, size in (
        ("as many queries as keys", 3, 3, 5),
        ("more queries than keys", 5, 3, 7),
        ("one query", 1, 5, 3),
        ("more keys than channels", 5, 7, 3),
    ):
        given = tuple(rng.normal(size=(n, size)) for n in (queries, keys, keys, queries))
        yield Case(name, given, right=ours(*given))


def forward(q, k):
    scale = 1 / np.sqrt(q.shape[-1])
    e = np.exp(q @ k.T * scale)
    return e / np.sum(e, axis=-1, keepdims=True), scale


def backward(q, k, v, dy, *, ds=None, in_dq=1, in_dk=1, of_p=np.transpose):
    """The right one, but for what is given."""
    p, scale = forward(q, k)
    dp = dy @ v.T
    ds = (p * (dp - np.sum(p * dp, axis=-1, keepdims=True))) if ds is None else ds(p, dp)
    return {"dv": of_p(p) @ dy, "dp": dp, "ds": ds, "dq": ds @ k * scale**in_dq, "dk": ds.T @ q * scale**in_dk}


@wrong(
    "A01",
    "softmax's sum is lost in ds: p dp",
    why="the weights of a row share what they are divided by, so what one gains the others lose",
    look="what does each row of ds add up to, and what should it?",
)
def no_sum(q, k, v, dy):
    return backward(q, k, v, dy, ds=lambda p, dp: p * dp)


@wrong(
    "A02",
    "1/√D is lost in dq and dk",
    why="s is q kᵀ times 1/√D, so whatever goes back through that line is multiplied by it",
    look="which factor stands in the line of s that does not stand in yours?",
)
def no_scale(q, k, v, dy):
    return backward(q, k, v, dy, in_dq=0, in_dk=0)


@wrong(
    "A03",
    "1/√D comes in twice",
    why="the factor is in the line of s once, and that line is gone through once",
    look="where do you multiply by the scale, and is it in ds already?",
)
def scale_twice(q, k, v, dy):
    return backward(q, k, v, dy, in_dq=2, in_dk=2)


@wrong(
    "A04",
    "dq and dk are exchanged",
    why="the gradient of q has a row for each query",
    look="which shape has dq, where there are more keys than queries?",
)
def exchanged(q, k, v, dy):
    found = backward(q, k, v, dy)
    return found | {"dq": found["dk"], "dk": found["dq"]}


@wrong(
    "A05",
    "dp is taken for ds: softmax is left out",
    why="between p and s lies softmax, and its backward between dp and ds",
    look="which forward line turns s into p, and where is its backward?",
)
def no_softmax(q, k, v, dy):
    return backward(q, k, v, dy, ds=lambda p, dp: dp)


@wrong(
    "A06",
    "dv with p where pᵀ belongs",
    why="v_j is used by all queries with the weights of column j: pᵀ gathers them",
    look="which shape has dv, where there are more queries than keys?",
)
def not_transposed(q, k, v, dy):
    return backward(q, k, v, dy, of_p=lambda p: p)


@wrong(
    "A07",
    "dk with ds where dsᵀ belongs",
    why="k_j is used by all queries with the scores of column j: dsᵀ gathers them",
    look="which shape has dk, where there are more queries than keys?",
)
def scores_not_transposed(q, k, v, dy):
    found = backward(q, k, v, dy)
    return found | {"dk": found["ds"] @ q / np.sqrt(q.shape[-1])}


@wrong(
    "A08",
    "softmax's sum runs over the queries instead of the keys",
    why="softmax makes each row sum to 1, so its backward sums along the row",
    look="along which axis do the weights sum to 1?",
)
def over_queries(q, k, v, dy):
    return backward(q, k, v, dy, ds=lambda p, dp: p * (dp - np.sum(p * dp, axis=0, keepdims=True)))
