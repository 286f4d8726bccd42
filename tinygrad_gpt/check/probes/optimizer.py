"""P10: do Adam's first steps have the lengths that its equations give?

They are asked of four parameters: two with a constant gradient, one with a gradient of 0, one with a tiny one. With a
constant gradient g the means are m̂ = g and v̂ = g², whatever the betas, so each step is one learning rate long. Most
mistakes show in the first step:

    no bias correction     (1 - β1) / √(1 - β2) learning rates, in place of one
    steps counted from 0   0 / 0
    L2 in place of decay   a gradient of 0 moves a parameter by a learning rate, in place of lr · λ · θ
    eps inside the root    a tiny gradient moves it by far less than half a learning rate
"""

import numpy as np

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check.probes.probed import Probed, Question

QUESTION = Question("P10", "Adam's first steps, how far off in rates")
STEPS, LR, DECAY = 3, 1e-3, 0.1
BETAS, EPS = (0.9, 0.999), 1e-8
GRADIENTS = (0.5, -2.0, 0.0, EPS)
TOLERANCE = 1e-3  # learning rates; float32 has 6e-5 of them at 1


def first_steps(make, *, decoupled: bool = True) -> Probed:
    """The first steps of an Adam or AdamW.

    make       (params, lr=, betas=, eps=, weight_decay=) -> an optimiser with step(), as the class AdamW does
    decoupled  whether weight decay is AdamW's, and not Adam's L2
    """
    with np.errstate(all="ignore"):
        got = _moved(make, GRADIENTS)
    right = _expected(decoupled=decoupled)
    off = float(np.abs(got - right).max() / LR) if np.isfinite(got).all() else np.inf
    expected = f"at most {TOLERANCE:g}"
    if off <= TOLERANCE:
        return QUESTION.right(off, expected)
    if not np.isfinite(got).all():
        return QUESTION.wrong(off, expected, "a first step that is not finite", "T08")
    step, of = np.unravel_index(np.argmax(np.abs(got - right)), got.shape)
    why = (
        f"a gradient of {GRADIENTS[of]:g} moves a parameter of 1 by {got[step, of] / LR:.4g} learning rates in step "
        f"{step + 1}; it should be {right[step, of] / LR:.4g}"
    )
    return QUESTION.wrong(off, expected, why, *_mistakes(make, got, right, decoupled))


def _moved(make, gradients) -> np.ndarray:
    """How far each step moves each parameter, whose elements begin at 1: (STEPS, parameters)."""
    params = [Tensor(np.ones(3, np.float32), requires_grad=True) for _ in gradients]
    optimizer = make(params, lr=LR, betas=BETAS, eps=EPS, weight_decay=DECAY)
    moved = []
    for _ in range(STEPS):
        before = np.array([p.data.astype(float).mean() for p in params])
        for p, g in zip(params, gradients, strict=True):
            p.grad = np.full(3, g, np.float32)
        optimizer.step()
        moved.append(np.array([p.data.astype(float).mean() for p in params]) - before)
    return np.array(moved)


def _expected(
    *, decoupled: bool = True, corrected: bool = True, eps_inside: bool = False, first: int = 1, scale: float = 1.0
) -> np.ndarray:
    """The same by the papers (Kingma and Ba, 2015; Loshchilov and Hutter, 2019), or with a mistake."""
    θ, m, v = np.ones(4), np.zeros(4), np.zeros(4)
    (b1, b2), moved = BETAS, []
    for t in range(first, first + STEPS):
        g = np.array(GRADIENTS) + (0 if decoupled else DECAY * θ)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        m_hat, v_hat = (m / (1 - b1**t), v / (1 - b2**t)) if corrected else (m, v)
        root = np.sqrt(v_hat + EPS) if eps_inside else np.sqrt(v_hat) + EPS
        step = -LR * m_hat / root - (LR * DECAY * θ if decoupled else 0)
        θ, moved = θ + step, [*moved, step]
    return np.array(moved)


def _mistakes(make, got: np.ndarray, right: np.ndarray, decoupled: bool) -> tuple[str, ...]:
    """The mistakes whose steps these are."""
    made = {
        "T07": dict(decoupled=decoupled, corrected=False),
        "T09": dict(decoupled=decoupled, eps_inside=True),
        "T10": dict(decoupled=not decoupled),
        "T08": dict(decoupled=decoupled, first=2),
    }
    for id, how in made.items():
        if np.abs(got - _expected(**how)).max() <= TOLERANCE * LR:
            return (id,)
    alone = np.concatenate([_moved(make, [g]) for g in GRADIENTS], axis=1)
    return ("T12",) if np.abs(alone - right).max() <= TOLERANCE * LR else ()
