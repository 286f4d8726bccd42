"""P13: does clipping keep the gradient's direction, and bring its length down to the limit?"""

import numpy as np

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check.probes.probed import Probed, Question

QUESTION = Question("P13", "degrees by which clipping turns the gradient")
MOST, LIMIT = 0.1, 1.0


def clipping(clip) -> Probed:
    """clip(params, max_norm) makes one vector of all gradients shorter, in place, if it is longer than max_norm."""
    long, clipped = _clipped(clip, [3.0, 0.1, 12.0])
    turned, length = _angle(long, clipped), float(np.linalg.norm(clipped))
    if turned > MOST:
        why = f"after clipping, the gradient points {turned:.3g} degrees away from where it did"
        return QUESTION.wrong(turned, "0", why, "T15")
    if abs(length - LIMIT) > 1e-3:
        why = f"a gradient of norm {np.linalg.norm(long):.3g} has {length:.4g} after clipping to {LIMIT:g}"
        return QUESTION.wrong(turned, f"0, and a norm of {LIMIT:g}", why, "T16")
    short, kept = _clipped(clip, [0.3, 0.1, 0.2])
    if np.abs(short - kept).max() > 1e-6:
        why = f"a gradient of norm {np.linalg.norm(short):.3g}, below the limit of {LIMIT:g}, is changed all the same"
        return QUESTION.wrong(turned, "0, and short gradients as they were", why)
    return QUESTION.right(turned, "0")


def _clipped(clip, sizes: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of three parameters as one vector, before and after. Each has the given norm."""
    params = [Tensor(np.ones(4, np.float32), requires_grad=True) for _ in sizes]
    for p, size in zip(params, sizes, strict=True):
        p.grad = np.array([0.5, -0.5, 0.5, 0.5], np.float32) * np.float32(size)
    before = np.concatenate([p.grad for p in params])
    clip(params, LIMIT)
    return before, np.concatenate([p.grad for p in params])


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(float), b.astype(float)
    cosine = a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), np.finfo(float).tiny)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
