"""Right pairs of the ops that layers are made of, written otherwise than the reference: the checks must say nothing.

WHEATS holds (op, what is different about it, pair). Each is a class with forward and backward.
"""

import math

import numpy as np

from tinygrad_gpt.ops import cross_entropy as ce
from tinygrad_gpt.ops import dropout as drop
from tinygrad_gpt.random_stream import keep_mask

WHEATS = []


def wheat(op, name):
    def made(pair):
        WHEATS.append((op, name, pair))
        return pair

    return made


# --- softmax and its relatives -----------------------------------------------------------------------------------


@wheat("softmax", "by way of its logarithm, in place on its own buffers")
class SoftmaxByLogarithm:
    @staticmethod
    def forward(x, *, axis=-1):
        logs = x - x.max(axis=axis, keepdims=True)
        logs -= np.log(np.exp(logs).sum(axis=axis, keepdims=True))
        return np.exp(logs), {"logs": logs, "axis": axis}

    @staticmethod
    def backward(dy, saved):
        y = np.exp(saved["logs"])
        dx = y * dy
        dx -= y * dx.sum(axis=saved["axis"], keepdims=True)
        return dx


@wheat("softmax", "the numerators and their sum saved, the quotient differentiated")
class SoftmaxAsAQuotient:
    @staticmethod
    def forward(x, *, axis=-1):
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        total = e.sum(axis=axis, keepdims=True)
        return e / total, (e, total, axis)

    @staticmethod
    def backward(dy, saved):
        e, total, axis = saved
        de = dy / total
        dtotal = -(dy * (e / total)).sum(axis=axis, keepdims=True) / total
        return ((de + dtotal) * e,)


@wheat("softmax", "rows by einsum, the axis brought to the end")
class SoftmaxByEinsum:
    @staticmethod
    def forward(x, *, axis=-1):
        rows = np.moveaxis(x, axis, -1)
        e = np.exp(rows - rows.max(-1)[..., None])
        y = e / np.einsum("...j->...", e)[..., None]
        return np.moveaxis(y, -1, axis), (y, axis)

    @staticmethod
    def backward(dy, saved):
        y, axis = saved
        d = np.moveaxis(dy, axis, -1)
        dx = y * d - y * np.einsum("...j,...j->...", y, d)[..., None]
        return (np.moveaxis(dx, -1, axis).copy(),)


@wheat("log_softmax", "the probabilities saved in place of y")
class LogSoftmaxOfProbabilities:
    @staticmethod
    def forward(x, *, axis=-1):
        d = x - x.max(axis=axis, keepdims=True)
        e = np.exp(d)
        total = e.sum(axis=axis, keepdims=True)
        return d - np.log(total), (e / total, axis)

    @staticmethod
    def backward(dy, saved):
        p, axis = saved
        dx = -p * dy.sum(axis=axis, keepdims=True)
        dx += dy
        return dx


@wheat("logsumexp", "the softmax saved")
class LogsumexpOfSoftmax:
    @staticmethod
    def forward(x, *, axis=None, keepdims=False):
        axes = tuple(range(x.ndim)) if axis is None else axis
        top = x.max(axis=axes, keepdims=True)
        e = np.exp(x - top)
        total = e.sum(axis=axes, keepdims=True)
        y = top + np.log(total)
        return (y if keepdims else y.squeeze(axes)), (e / total, axes)

    @staticmethod
    def backward(dy, saved):
        p, axes = saved
        return (p * dy.reshape(p.sum(axis=axes, keepdims=True).shape),)


@wheat("cross_entropy", "from log-softmax, with the target distribution written out")
class CrossEntropyOfDistributions:
    @staticmethod
    def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
        t, counts = ce.counted(targets, ignore_index)
        z = logits.reshape(len(t), logits.shape[-1])
        z = np.where(counts[:, None], z, 0.0)
        z = z - z.max(axis=-1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        q = np.full_like(z, label_smoothing / z.shape[-1])
        q[range(len(t)), t] += 1 - label_smoothing
        weight = counts.astype(z.dtype)
        if reduction == "mean":
            weight /= weight.sum()
        losses = -np.einsum("rv,rv,r->r", q, log_p, weight)
        y = losses.reshape(targets.shape) if reduction == "none" else losses.sum()
        return y, (log_p, q, weight, logits.shape)

    @staticmethod
    def backward(dy, saved):
        log_p, q, weight, shape = saved
        dz = (np.exp(log_p) - q) * (dy.reshape(-1, 1) * weight[:, None])
        return dz.reshape(shape), None


@wheat("cross_entropy", "only the rows that count are worked on, the gradient made in forward")
class CrossEntropyOfFewRows:
    @staticmethod
    def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
        t, counts = ce.counted(targets, ignore_index)
        rows = np.flatnonzero(counts)
        z = logits.reshape(len(t), logits.shape[-1])[rows]
        z -= z.max(axis=-1, keepdims=True)
        total = np.exp(z).sum(axis=-1)
        smooth = z.mean(axis=-1) * label_smoothing if label_smoothing else 0.0
        loss = np.zeros(len(t), z.dtype)
        loss[rows] = np.log(total) - (1 - label_smoothing) * z[np.arange(len(z)), t[rows]] - smooth
        dz = np.zeros((len(t), logits.shape[-1]), z.dtype)
        dz[rows] = np.exp(z) / total[:, None] - label_smoothing / z.shape[-1]
        np.subtract.at(dz, (rows, t[rows]), 1 - label_smoothing)
        number = z.dtype.type(max(len(rows), 1)) if reduction == "mean" else z.dtype.type(1)
        y = loss.reshape(targets.shape) if reduction == "none" else loss.sum() / number
        return y, (dz, number, logits.shape)

    @staticmethod
    def backward(dy, saved):
        dz, number, shape = saved
        return (dz * (dy.reshape(-1, 1) / number)).reshape(shape), None


@wheat("linear_cross_entropy", "row by row, the gradients made in forward")
class LinearCrossEntropyRowByRow:
    @staticmethod
    def forward(x, weight, targets, bias=None, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
        t, counts = ce.counted(targets, ignore_index)
        rows = x.reshape(len(t), weight.shape[1])
        total, dx, dweight, dbias = (
            x.dtype.type(0),
            np.zeros_like(rows),
            np.zeros_like(weight),
            np.zeros(len(weight), x.dtype),
        )
        number = counts.sum() if reduction == "mean" else 1
        for r in np.flatnonzero(counts):
            z = weight @ rows[r]
            if bias is not None:
                z += bias
            log_p = z - z.max()
            log_p -= np.log(np.exp(log_p).sum())
            q = np.full_like(z, label_smoothing / len(z))
            q[t[r]] += 1 - label_smoothing
            total -= q @ log_p
            dz = np.exp(log_p) - q
            dx[r], dbias = dz @ weight, dbias + dz
            dweight += np.outer(dz, rows[r])
        gradients = [g / x.dtype.type(number) for g in (dx.reshape(x.shape), dweight, dbias)]
        return total / x.dtype.type(number), (*gradients, bias is not None)

    @staticmethod
    def backward(dy, saved):
        dx, dweight, dbias, has_bias = saved
        return dx * dy, dweight * dy, None, dbias * dy if has_bias else None


# --- layer norm --------------------------------------------------------------------------------------------------


@wheat("layer_norm", "one bracket of sums over C")
class LayerNormOfSums:
    @staticmethod
    def forward(x, weight, bias=None, *, eps=1e-5):
        c = x - x.mean(axis=-1, keepdims=True)
        c -= c.mean(axis=-1, keepdims=True)
        r = 1 / np.sqrt((c**2).mean(axis=-1, keepdims=True) + eps)
        y = c * r * weight
        return (y if bias is None else y + bias), (c, r, weight, bias is not None)

    @staticmethod
    def backward(dy, saved):
        c, r, weight, has_bias = saved
        n = c.shape[-1]
        d, x_hat = dy * weight, c * r
        sums = d.sum(axis=-1, keepdims=True) + x_hat * (d * x_hat).sum(axis=-1, keepdims=True)
        rows = d.reshape(-1, n).shape[0] if n else 0
        dweight = np.einsum("rc,rc->c", dy.reshape(rows, n), x_hat.reshape(rows, n))
        return r / n * (n * d - sums), dweight, dy.reshape(rows, n).sum(axis=0) if has_bias else None


@wheat("layer_norm", "step by step through the variance and the mean, x saved and all computed again")
class LayerNormByTheGraph:
    @staticmethod
    def forward(x, weight, bias=None, *, eps=1e-5):
        c = LayerNormByTheGraph.centred(x)
        y = weight * (c / np.sqrt((c * c).mean(axis=-1, keepdims=True) + eps))
        return (y if bias is None else y + bias), (x, weight, bias is not None, eps)

    @staticmethod
    def centred(x):
        c = x - x.mean(axis=-1, keepdims=True)
        return c - c.mean(axis=-1, keepdims=True)

    @staticmethod
    def backward(dy, saved):
        x, weight, has_bias, eps = saved
        c = LayerNormByTheGraph.centred(x)
        std = np.sqrt((c * c).mean(axis=-1, keepdims=True) + eps)
        rows = tuple(range(x.ndim - 1))
        dx_hat = dy * weight
        dvariance = (dx_hat * c).sum(axis=-1, keepdims=True) * (-0.5 / std**3)
        dc = dx_hat / std + dvariance * 2 * c / x.shape[-1]
        dx = dc - dc.mean(axis=-1, keepdims=True)
        return dx, (dy * (c / std)).sum(axis=rows), dy.sum(axis=rows) if has_bias else None


@wheat("add_layer_norm", "the two outputs' gradients added up in place")
class AddLayerNormInPlace:
    @staticmethod
    def forward(x, residual, weight, bias=None, *, eps=1e-5):
        s = x + residual
        y, saved = LayerNormOfSums.forward(s, weight, bias, eps=eps)
        return (s, y), saved

    @staticmethod
    def backward(dys, saved):
        dx, dweight, dbias = LayerNormOfSums.backward(dys[1], saved)
        dx += dys[0]
        return dx, dx.copy(), dweight, dbias


# --- attention ---------------------------------------------------------------------------------------------------


def log_weights(q, k, mask, causal, scale):
    """The logarithm of P, and where a query sees nothing -inf."""
    s = np.einsum("bhqd,bhkd->bhqk", q * scale, k)
    tq, tk = s.shape[-2:]
    if mask is not None:
        s = s + (np.where(mask, 0.0, -np.inf).astype(s.dtype) if mask.dtype == bool else mask)
    if causal:
        s = s + np.triu(np.full((tq, tk), -np.inf, s.dtype), k=tk - tq + 1)
    top = np.max(s, axis=-1, keepdims=True, initial=-np.inf)
    top[np.isinf(top)] = 0
    total = np.exp(s - top).sum(axis=-1, keepdims=True)
    return s - (top + np.log(np.where(total > 0, total, 1)))


def kept(shape, dropout, seed, like):
    """0 where dropout drops a weight, and elsewhere what it multiplies it with."""
    return (keep_mask(seed, shape, dropout, like=like) / (1 - dropout)).astype(like.dtype)


def summed_to(ds, shape):
    extra = ds.ndim - len(shape)
    ds = ds.sum(axis=tuple(range(extra)))
    return ds.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 and ds.shape[i] != 1), keepdims=True)


@wheat("attention", "only the inputs saved, the weights computed again, einsum throughout")
class AttentionComputedAgain:
    @staticmethod
    def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        p = np.exp(log_weights(q, k, mask, causal, scale))
        z = p * kept(p.shape, dropout, seed, p)
        return np.einsum("bhqk,bhkd->bhqd", z, v), (q, k, v, mask, causal, scale, dropout, seed)

    @staticmethod
    def backward(dy, saved):
        q, k, v, mask, causal, scale, dropout, seed = saved
        p = np.exp(log_weights(q, k, mask, causal, scale))
        keep = kept(p.shape, dropout, seed, p)
        dv = np.einsum("bhqk,bhqd->bhkd", p * keep, dy)
        g = p * keep * np.einsum("bhqd,bhkd->bhqk", dy, v)
        ds = g - p * g.sum(axis=-1, keepdims=True)
        dmask = summed_to(ds, mask.shape) if mask is not None and mask.dtype != bool else None
        return np.einsum("bhqk,bhkd->bhqd", scale * ds, k), np.einsum("bhqk,bhqd->bhkd", scale * ds, q), dv, dmask


@wheat("attention", "log-weights saved, softmax's sum taken from dy and y, head by head")
class AttentionHeadByHead:
    @staticmethod
    def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
        scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        logs = log_weights(q, k, mask, causal, scale)
        keep = kept(logs.shape, dropout, seed, logs)
        y = (np.exp(logs) * keep) @ v
        shape = mask.shape if mask is not None and mask.dtype != bool else None
        return y, {"qkv": (q, k, v), "logs": logs, "keep": keep, "y": y, "scale": scale, "mask": shape}

    @staticmethod
    def backward(dy, saved):
        q, k, v = saved["qkv"]
        dq, dk, dv, ds = (np.empty_like(a) for a in (q, k, v, saved["logs"]))
        for b, h in np.ndindex(*q.shape[:2]):
            at = b, h
            p, keep = np.exp(saved["logs"][at]), saved["keep"][at]
            delta = (dy[at] * saved["y"][at]).sum(axis=-1, keepdims=True)  # = Σ_keys P dP, of the flash backward
            dv[at] = (p * keep).T @ dy[at]
            ds[at] = p * (keep * (dy[at] @ v[at].T) - delta)
            dq[at] = saved["scale"] * (ds[at] @ k[at])
            dk[at] = saved["scale"] * (ds[at].T @ q[at])
        return dq, dk, dv, None if saved["mask"] is None else summed_to(ds, saved["mask"])


# --- embedding, dropout, places ----------------------------------------------------------------------------------


def looked_up(ids, weight):
    ids = ids.astype(np.int64)
    return weight[ids], (ids.ravel(), weight.shape)


@wheat("embedding", "np.add.at")
class EmbeddingAddAt:
    forward = staticmethod(looked_up)

    @staticmethod
    def backward(dy, saved):
        ids, shape = saved
        dweight = np.zeros(shape, dy.dtype)
        np.add.at(dweight, ids, dy.reshape(len(ids), shape[1]))
        return None, dweight


@wheat("embedding", "the product with one-hot rows")
class EmbeddingOneHot:
    forward = staticmethod(looked_up)

    @staticmethod
    def backward(dy, saved):
        ids, (v, c) = saved
        onehot = (np.arange(v)[:, None] == ids).astype(dy.dtype)  # (V, R)
        return None, onehot @ dy.reshape(len(ids), c)


@wheat("embedding", "np.bincount, column by column")
class EmbeddingBincount:
    forward = staticmethod(looked_up)

    @staticmethod
    def backward(dy, saved):
        ids, (v, c) = saved
        columns = dy.reshape(len(ids), c).T
        return None, np.stack([np.bincount(ids, column, minlength=v) for column in columns], axis=1).astype(dy.dtype)


@wheat("dropout", "the mask saved as floats, scale and all")
class DropoutOfFloats:
    @staticmethod
    def forward(x, *, p, seed):
        mask = keep_mask(seed, x.shape, p, like=x).astype(x.dtype)
        mask /= 1 - p
        return x * mask, mask

    @staticmethod
    def backward(dy, mask):
        return dy * mask


@wheat("dropout", "forward, applied to dy")
class DropoutTwice:
    @staticmethod
    def forward(x, *, p, seed):
        return drop.forward(x, p=p, seed=seed)

    @staticmethod
    def backward(dy, saved):
        dx, _ = drop.forward(dy, p=saved.p, seed=saved.seed)
        return (dx,)


@wheat("rel_shift", "column by column, each added back to its place")
class RelShiftByPlaces:
    @staticmethod
    def forward(x, *, first, keys):
        t, r = x.shape[-2:]
        y = np.zeros((*x.shape[:-1], keys), x.dtype)
        for i in range(t):
            low, high = max(0, i - first), min(keys, r + i - first)  # the keys that row i has a column for
            if low < high:
                y[..., i, low:high] = x[..., i, first - i + low : first - i + high]
        return y, (x.shape, first)

    @staticmethod
    def backward(dy, saved):
        shape, first = saved
        dx = np.zeros(shape, dy.dtype)
        for i in range(shape[-2]):
            low, high = max(0, i - first), min(dy.shape[-1], shape[-1] + i - first)
            if low < high:
                dx[..., i, first - i + low : first - i + high] += dy[..., i, low:high]
        return dx


@wheat("shift_rows", "the product with zeros and ones that pick the columns")
class ShiftRowsByProduct:
    @staticmethod
    def forward(x, first, *, keys):
        columns = first.astype(np.int64)[..., None] + np.arange(keys)  # (..., T, K)
        pick = (np.arange(x.shape[-1])[:, None] == columns[..., None, :]).astype(x.dtype)  # (..., T, R, K)
        return (x[..., None, :] @ pick)[..., 0, :], pick

    @staticmethod
    def backward(dy, pick):
        return (pick @ dy[..., None])[..., 0], None
