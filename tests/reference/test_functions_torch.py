"""The functions that PyTorch has by the same name: the same values, gradients, defaults and order of arguments."""

import inspect
import itertools
import math

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor

torch = pytest.importorskip("torch")
TF = torch.nn.functional

pytestmark = pytest.mark.reference


def agree(ours, theirs, *arrays, seed=0, tolerance=1e-11):
    """Run both on the same arrays, float64 ones with gradients, and compare output, dtype and every gradient."""
    results, dy = [], None
    for function, make in (
        (ours, lambda a: Tensor(a.copy(), requires_grad=True) if a.dtype == np.float64 else Tensor(a.copy())),
        (theirs, lambda a: torch.tensor(a, requires_grad=a.dtype == np.float64)),
    ):
        inputs = [make(np.array(a)) for a in arrays]
        y = function(*inputs)
        value = y.data if isinstance(y, Tensor) else y.detach().numpy()
        if y.requires_grad:
            dy = np.random.default_rng(seed).standard_normal(y.shape) if dy is None else dy
            y.backward(dy if isinstance(y, Tensor) else torch.tensor(dy))
        results.append([value, *[np.asarray(x.grad) for x in inputs if x.requires_grad and y.requires_grad]])
    for got, right in zip(*results, strict=True):
        assert got.shape == right.shape and got.dtype == right.dtype
        np.testing.assert_allclose(got, right, rtol=tolerance, atol=tolerance / 10)


def normal(*shape, seed=1):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def ids(below, *shape, seed=1):
    return np.random.default_rng([seed, *shape]).integers(0, below, shape)


X, ZEROS = normal(2, 3, 5), np.round(normal(4, 5) * 0.7)  # ZEROS: small integers, many of them 0 or equal
FLAT = np.ones((3, 4)) * [[2.0], [0.0], [-1.0]]

ELEMENTWISE = {
    "sin": (F.sin, torch.sin),
    "cos": (F.cos, torch.cos),
    "softplus": (F.softplus, TF.softplus),
    "softplus, beta": (lambda x: F.softplus(x, 0.7), lambda x: TF.softplus(x, 0.7)),
    "logsigmoid": (F.logsigmoid, TF.logsigmoid),
    "rsqrt": (lambda x: F.rsqrt(x * x + 0.1), lambda x: torch.rsqrt(x * x + 0.1)),
    "clamp": (lambda x: F.clamp(x, -1, 1), lambda x: torch.clamp(x, -1, 1)),
    "clamp, min": (lambda x: F.clamp(x, min=0), lambda x: torch.clamp(x, min=0)),
    "clamp, max": (lambda x: F.clamp(x, max=0.3), lambda x: torch.clamp(x, max=0.3)),
    "clamp, crossed": (lambda x: F.clamp(x, 1, -1), lambda x: torch.clamp(x, 1, -1)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name):
    for x in (X, 3 * normal(7), ZEROS, np.array(0.4), np.zeros((0, 3))):
        agree(*ELEMENTWISE[name], x)


def test_clamp_at_its_bounds_and_of_nan():
    agree(*ELEMENTWISE["clamp"], np.array([math.nan, -1, 0, 1, 2, math.inf]))
    agree(*ELEMENTWISE["clamp"], np.array([-3, 0, 1, 2]))
    agree(lambda x: F.clamp(x, 0.5), lambda x: torch.clamp(x, 0.5), np.float32([0, 1]))


def test_minimum():
    agree(F.minimum, torch.minimum, X, normal(3, 1))
    agree(F.minimum, torch.minimum, ZEROS, ZEROS[::-1])


DIMS = [0, 1, -1, (0, 2), (1, -1), (0, 1, 2)]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("dim", DIMS)
def test_reductions_over(dim, keep):
    for x in (X, np.round(X)):
        agree(lambda x: F.logsumexp(x, dim, keep), lambda x: torch.logsumexp(x, dim, keep), x)
        for correction in (0, 1):
            settings = {"correction": correction, "keepdim": keep}
            agree(lambda x, s=settings: F.std(x, dim, **s), lambda x, s=settings: torch.std(x, dim, **s), x)
        for p in ("fro", 2, 1, math.inf, 3, 1.5):
            if p == "fro" and dim == (0, 1, 2):
                continue  # PyTorch's is a matrix's then, and takes two axes
            agree(lambda x, p=p: F.norm(x, p, dim, keep), lambda x, p=p: torch.norm(x, p, dim, keep), x)
        if isinstance(dim, int):
            agree(lambda x: F.prod(x, dim, keep), lambda x: torch.prod(x, dim, keep), x)
            agree(lambda x: F.cumsum(x, dim), lambda x: torch.cumsum(x, dim), x)


def test_reductions_by_default():
    for ours, theirs in ((F.prod, torch.prod), (F.std, torch.std), (F.norm, torch.norm)):
        for x in (X, ZEROS, normal(7)):
            agree(ours, theirs, x)


def test_kinks_of_reductions():
    """Zeros in a product, a vector of length 0, numbers without deviation, infinities under a logarithm."""
    for zeros in ([[0.0, 2, 3]], [[0.0, 2, 0]], [[0.0, 0, 0]], [[1.0, 2, 3], [4, 0, 6]]):
        agree(lambda x: F.prod(x, 1), lambda x: torch.prod(x, 1), np.array(zeros))
        agree(F.prod, torch.prod, np.array(zeros))
    for p in (2, 1, math.inf, 3, 1.5):
        for x in (np.zeros(3), np.array([0.0, 1, -2, 2]), ZEROS):
            agree(lambda x, p=p: F.norm(x, p, -1), lambda x, p=p: torch.norm(x, p, -1), x)
    agree(lambda x: F.std(x, 1), lambda x: torch.std(x, 1), FLAT)
    infinite = np.array([[-np.inf, -np.inf], [np.inf, 1], [1, 2], [-np.inf, 1]])
    with np.errstate(all="ignore"):
        agree(lambda x: F.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), infinite)


def test_of_integers():
    x = np.array([[3, 0, 2], [1, 5, 5]])
    for axis in (0, 1):
        agree(lambda x, a=axis: F.cumsum(x, a), lambda x, a=axis: torch.cumsum(x, a), x)
        agree(lambda x, a=axis: F.prod(x, a), lambda x, a=axis: torch.prod(x, a), x)
        agree(lambda x, a=axis: F.cumsum(x, a), lambda x, a=axis: torch.cumsum(x, a), x > 1)
    agree(lambda x: F.gather(x, 1, [[0], [2]]), lambda x: torch.gather(x, 1, torch.tensor([[0], [2]])), x)
    for i in range(2):
        agree(lambda x, i=i: F.sort(x)[i], lambda x, i=i: torch.sort(x, stable=True)[i], x)
    agree(lambda x: F.topk(x, 2).values, lambda x: torch.topk(x, 2).values, x)
    agree(F.tril, torch.tril, x)
    agree(F.triu, torch.triu, x > 1)


# --- pick and order -----------------------------------------------------------------------------------------------


def test_shift_rows():
    first = np.random.default_rng(0).integers(0, 5, (2, 3, 4))
    columns = torch.from_numpy(first)[..., None] + torch.arange(6)
    agree(lambda x: F.shift_rows(x, first, 6), lambda x: torch.gather(x, -1, columns), normal(2, 3, 4, 10))


def test_rel_shift():
    """The tricks of the two models' own code: a column of zeros, a matrix viewed anew, its first row dropped."""

    def transformer_xl(x):
        b, h, t, k = x.shape
        padded = torch.cat([x.new_zeros(b, h, t, 1), x], dim=-1).view(b, h, k + 1, t)
        return padded[:, :, 1:].reshape(b, h, t, k)

    def xlnet(x):
        b, h, t, r = x.shape
        return x.reshape(b, h, r, t)[:, :, 1:].reshape(b, h, t, r - 1)[..., : r - t]

    for t, k in ((4, 4), (4, 7), (1, 5), (5, 5)):
        seen = np.tri(t, k, k - t)  # Transformer-XL's has rubbish right of the diagonal
        agree(
            lambda x, t=t, k=k, seen=seen: F.rel_shift(x, t - 1, k) * seen,
            lambda x, seen=seen: transformer_xl(x) * torch.tensor(seen),
            normal(2, 3, t, k),
        )
        agree(lambda x, t=t, k=k: F.rel_shift(x, t, k), xlnet, normal(2, 3, t, k + t))


def test_gather():
    for dim, shape in [(0, (4, 3, 5)), (1, (2, 7, 5)), (-1, (2, 3, 1)), (2, (1, 2, 6)), (1, (2, 0, 5))]:
        index = ids(X.shape[dim], *shape)
        agree(lambda x, i, d=dim: F.gather(x, d, i), lambda x, i, d=dim: torch.gather(x, d, i), X, index)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_sort(dim, descending):
    for x in (normal(4, 5), ZEROS, np.where(ZEROS == 1, math.nan, ZEROS)):
        for i in range(2):
            agree(
                lambda x, i=i: F.sort(x, dim, descending)[i],
                lambda x, i=i: torch.sort(x, dim=dim, descending=descending, stable=True)[i],
                x,
            )
        agree(
            lambda x: F.argsort(x, dim, descending),
            lambda x: torch.argsort(x, dim=dim, descending=descending, stable=True),
            x,
        )


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_topk(dim, largest):
    for k, i in itertools.product((0, 1, 2), range(2)):
        agree(lambda x, k=k, i=i: F.topk(x, k, dim, largest)[i], lambda x, k=k, i=i: x.topk(k, dim, largest)[i], X)
    agree(lambda x: F.topk(x, 2).values, lambda x: torch.topk(x, 2).values, ZEROS + normal(4, 5) / 9)


def test_what_sort_and_topk_give_has_names():
    values, indices = F.topk(X, 2)
    assert F.topk(X, 2).values.data.tolist() == values.data.tolist()
    assert F.sort(X).indices.dtype == indices.dtype == np.int64


def test_one_hot():
    agree(F.one_hot, TF.one_hot, ids(4, 2, 3))
    agree(lambda x: F.one_hot(x, 7), lambda x: TF.one_hot(x, 7), ids(4, 2, 3))


def test_masks_and_triangles():
    mask = X > 0.3
    agree(lambda x: F.masked_fill(x, mask, -math.inf), lambda x: x.masked_fill(torch.tensor(mask), -math.inf), X)
    agree(lambda x: F.masked_fill(x, mask[0], 2), lambda x: x.masked_fill(torch.tensor(mask[0]), 2), X)
    for diagonal in (-2, -1, 0, 1, 9):
        agree(lambda x, d=diagonal: F.tril(x, d), lambda x, d=diagonal: torch.tril(x, d), X)
        agree(lambda x, d=diagonal: F.triu(x, d), lambda x, d=diagonal: torch.triu(x, d), X)


def test_repeat_interleave():
    for repeats, dim in ((3, None), (2, 0), (1, 1), (0, 1), (2, -1)):
        agree(
            lambda x, r=repeats, d=dim: F.repeat_interleave(x, r, d),
            lambda x, r=repeats, d=dim: torch.repeat_interleave(x, r, d),
            X,
        )
    agree(
        lambda x: F.repeat_interleave(x, [2, 0, 1], 1),
        lambda x: torch.repeat_interleave(x, torch.tensor([2, 0, 1]), 1),
        X,
    )


@pytest.mark.parametrize("how", [(1, 2), (0, 0), (0, 3, 1, 0), (1, -2), (-1, 1, 0, -1), (1, 1, 1, 1, 1, 1), ()])
def test_pad(how):
    agree(lambda x: F.pad(x, how), lambda x: TF.pad(x, how), X)
    agree(lambda x: F.pad(x, how, value=-math.inf), lambda x: TF.pad(x, how, value=-math.inf), X)
    agree(lambda x: F.pad(x, how, "constant", 7), lambda x: TF.pad(x, how, "constant", 7), ids(4, 2, 3, 5))


# --- vectors ------------------------------------------------------------------------------------------------------

EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 5)),
    ("ij,jk", (2, 3), (3, 5)),
    ("Zb,ba", (2, 3), (3, 5)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 7, 5)),
    ("ii", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("ij->", (2, 3)),
    ("ij,kj->k", (2, 3), (5, 3)),
    ("i,,j->ji", (3,), (), (2,)),
    ("...ij,...jk->...ik", (4, 2, 3), (6, 1, 3, 5)),
    ("...i,...i", (2, 1, 3), (4, 3)),
    ("...i->i", (2, 4, 3)),
    ("b...d,d...->...b", (2, 3, 4, 5), (5, 4)),
    ("i...,...i->...", (3, 4), (2, 1, 3)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)),
    ("bi,oij,bj->bo", (2, 3), (4, 3, 5), (2, 5)),
    ("ij,ij->i", (2, 3), (1, 3)),
    ("ij,ij->", (2, 1), (2, 3)),
    (" i j , j k -> i k ", (2, 3), (3, 5)),
    ("ij,jk->ik", (2, 0), (0, 3)),
]


@pytest.mark.parametrize("subscripts, shapes", [(s, shapes) for s, *shapes in EINSUMS])
def test_einsum(subscripts, shapes):
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    agree(lambda *xs: F.einsum(subscripts, *xs), lambda *xs: torch.einsum(subscripts, *xs), *arrays)


def test_einsum_of_random_subscripts():
    rng = np.random.default_rng(5)
    sizes = dict(zip("abcd", (2, 3, 4, 5), strict=True))
    for _ in range(60):
        terms = ["".join(rng.permutation(list("abcd"))[: rng.integers(0, 4)]) for _ in range(rng.integers(1, 4))]
        there = sorted(set("".join(terms)))
        out = "".join(rng.permutation(there)[: rng.integers(0, len(there) + 1)]) if there else ""
        subscripts = f"{','.join(terms)}->{out}"
        arrays = [rng.standard_normal([sizes[c] if rng.random() < 0.8 else 1 for c in term]) for term in terms]
        agree(lambda *xs, s=subscripts: F.einsum(s, *xs), lambda *xs, s=subscripts: torch.einsum(s, *xs), *arrays)


def test_einsum_of_a_list():
    a, b = normal(2, 3), normal(3, 5)
    agree(lambda a, b: F.einsum("ij,jk", [a, b]), lambda a, b: torch.einsum("ij,jk", [a, b]), a, b)


def test_outer():
    agree(F.outer, torch.outer, normal(3), normal(5))
    agree(F.outer, torch.outer, normal(0), normal(5))


def test_normalize_and_cosine_similarity():
    for x in (X, normal(4, 5), np.zeros((2, 3)), 1e-13 * normal(2, 3)):
        agree(F.normalize, TF.normalize, x)
    for p, dim in ((1, 0), (3.0, -1), (math.inf, 0)):
        agree(lambda x, p=p, d=dim: F.normalize(x, p, d), lambda x, p=p, d=dim: TF.normalize(x, p, d), X)
    for a, b in (((4, 5), (4, 5)), ((2, 3, 5), (3, 5)), ((4, 5), (1, 5))):
        agree(F.cosine_similarity, TF.cosine_similarity, normal(*a), normal(*b, seed=2))
    agree(F.cosine_similarity, TF.cosine_similarity, np.zeros((2, 3)), normal(2, 3))
    agree(lambda a, b: F.cosine_similarity(a, b, -1), lambda a, b: TF.cosine_similarity(a, b, -1), X, X[::-1])


# --- layers -------------------------------------------------------------------------------------------------------


def test_rms_norm():
    for shape, eps in (((5,), None), ((5,), 1e-3), ((3, 5), None)):
        agree(lambda x, s=shape, e=eps: F.rms_norm(x, s, eps=e), lambda x, s=shape, e=eps: TF.rms_norm(x, s, eps=e), X)
        agree(lambda x, w, s=shape: F.rms_norm(x, s, w), lambda x, w, s=shape: TF.rms_norm(x, s, w), X, normal(*shape))
    agree(lambda x: F.rms_norm(x, (3,)), lambda x: TF.rms_norm(x, (3,)), np.zeros((2, 3)))


SDPA = {
    "four axes": ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)),
    "as many queries as keys": ((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
    "more queries": ((1, 2, 7, 4), (1, 2, 3, 4), (1, 2, 3, 4)),
    "three axes": ((3, 5, 4), (3, 7, 4), (3, 7, 4)),
    "two axes": ((5, 4), (7, 4), (7, 4)),
    "wide values": ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)),
    "narrow values": ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 1)),
    "leading axes that broadcast": ((2, 3, 5, 4), (2, 1, 7, 4), (3, 7, 4)),
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", SDPA)
def test_scaled_dot_product_attention(name, causal):
    ours, theirs = F.scaled_dot_product_attention, TF.scaled_dot_product_attention
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(SDPA[name])]
    (tq, tk), lead = (arrays[0].shape[-2], arrays[1].shape[-2]), arrays[0].shape[:-2]
    for scale in (None, 0.3):
        settings = {"is_causal": causal, "scale": scale}
        agree(lambda *a, s=settings: ours(*a, **s), lambda *a, s=settings: theirs(*a, **s), *arrays)
    if causal:
        return  # or a mask
    for shape in ((tq, tk), (*lead, tq, tk), (*lead[:1], *[1] * len(lead[1:]), 1, tk)):
        mask = np.random.default_rng(4).random(shape) < 0.6
        mask[..., 0] = True
        agree(lambda *a, m=mask: ours(*a, m), lambda *a, m=mask: theirs(*a, torch.tensor(m)), *arrays)
        agree(ours, theirs, *arrays, normal(*shape, seed=5))


def test_scaled_dot_product_attention_of_groups_of_heads():
    for heads, own in ((6, 2), (6, 1), (4, 4)):
        arrays = normal(2, heads, 5, 4), normal(2, own, 5, 4, seed=2), normal(2, own, 5, 4, seed=3)
        settings = {"is_causal": True, "enable_gqa": True}
        agree(
            lambda *a, s=settings: F.scaled_dot_product_attention(*a, **s),
            lambda *a, s=settings: TF.scaled_dot_product_attention(*a, **s),
            *arrays,
        )


def test_a_query_that_may_attend_to_nothing():
    mask = np.array([[True, False, False], [False, False, False]])
    agree(
        lambda *a: F.scaled_dot_product_attention(*a, mask),
        lambda *a: TF.scaled_dot_product_attention(*a, torch.tensor(mask)),
        *(normal(1, 1, 2, 4), normal(1, 1, 3, 4), normal(1, 1, 3, 4, seed=2)),
    )


# --- losses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(reduction):
    how = {"reduction": reduction}
    target = np.round(normal(2, 3, seed=7), 1)
    for x in (normal(2, 3), target):
        agree(lambda x, t: F.mse_loss(x, t, **how), lambda x, t: TF.mse_loss(x, t, **how), x, target)
        agree(lambda x, t: F.l1_loss(x, t, **how), lambda x, t: TF.l1_loss(x, t, **how), x, target)
    ours, theirs = F.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits
    weight, share = np.float64([0.5, 2, 0]), np.random.default_rng(3).random((2, 3))
    for x in (normal(2, 3), np.array([[0.0, -0.0, 40], [-40, 800, -800]])):
        for t in (share, np.round(share)):
            agree(lambda x, t: ours(x, t, **how), lambda x, t: theirs(x, t, **how), x, t)
            agree(
                lambda x, t: ours(x, t, weight, pos_weight=weight + 1, **how),
                lambda x, t: theirs(x, t, torch.tensor(weight), pos_weight=torch.tensor(weight + 1), **how),
                x,
                t,
            )


@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum", "none"])
@pytest.mark.filterwarnings("ignore:reduction")
def test_kl_div(reduction):
    logits, p = normal(4, 3), np.random.default_rng(3).random((4, 3))
    settings = {"reduction": reduction}
    agree(lambda x, t: F.kl_div(x, t, **settings), lambda x, t: TF.kl_div(x, t, **settings), logits, p)
    p[0, 1] = p[2] = 0
    agree(lambda x: F.kl_div(x, p, **settings), lambda x: TF.kl_div(x, torch.tensor(p), **settings), logits)
    settings["log_target"] = True
    agree(lambda x, t: F.kl_div(x, t, **settings), lambda x, t: TF.kl_div(x, t, **settings), logits, normal(4, 3))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_nll_loss(ignore_index, reduction):
    targets, weight = np.array([1, 4, ignore_index, 0, 2, ignore_index]), np.array([0.5, 2, 1, 0, 3])
    how = {"reduction": reduction, "ignore_index": ignore_index}
    scores = TF.log_softmax(torch.tensor(normal(6, 5)), -1).numpy()
    agree(lambda x: F.nll_loss(x, targets, **how), lambda x: TF.nll_loss(x, torch.tensor(targets), **how), scores)
    agree(
        lambda x: F.nll_loss(x, targets, weight, **how),
        lambda x: TF.nll_loss(x, torch.tensor(targets), torch.tensor(weight), **how),
        scores,
    )
    agree(lambda x: F.nll_loss(x, 3, reduction=reduction), lambda x: TF.nll_loss(x, torch.tensor(3)), scores[0])


# --- defaults -----------------------------------------------------------------------------------------------------

DEFAULTS = {  # those whose signature PyTorch shows
    name: getattr(TF, name)
    for name in (
        *("normalize", "softplus", "mse_loss", "l1_loss", "nll_loss", "kl_div", "binary_cross_entropy_with_logits"),
        *("rms_norm", "norm", "pad"),
    )
    if hasattr(TF, name)
} | {"norm": torch.functional.norm}


@pytest.mark.parametrize("name", DEFAULTS)
def test_arguments_with_one_name_have_one_default(name):
    try:
        theirs = inspect.signature(DEFAULTS[name]).parameters
    except ValueError:
        pytest.skip("PyTorch shows no signature")
    for parameter in inspect.signature(getattr(F, name)).parameters.values():
        if parameter.name in theirs:
            assert parameter.default == theirs[parameter.name].default, parameter
