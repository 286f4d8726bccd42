"""A step of AdamW, beside the package's."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.kernels import registry

LR, DECAY = 1e-3, 0.01


def ours(w, g, m, v, step):
    """The package's step, which works in place."""
    w, m, v = w.copy(), m.copy(), v.copy()
    settings = dict(lr=LR, beta1=0.9, beta2=0.999, eps=1e-8, weight_decays=[DECAY], steps=[step])
    registry.reference("adamw").run([w], [g], [m], [v], **settings)
    return w, m, v


def cases():
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    zero, m, v = np.zeros((3, 5)), 0.1 * rng.normal(size=(3, 5)), rng.uniform(0.1, 1, size=(3, 5))
    tiny = np.array([1e-8, -1e-8, 3e-9])
    for name, given in {
        "the first step": (w, g, zero, zero, 1),
        "the tenth step": (w, g, m, v, 10),
        "a gradient of 0 at the first step": (w, zero, zero, zero, 1),
        "gradients as small as eps": (np.ones(3), tiny, np.zeros(3), np.zeros(3), 1),
        "one number": (np.array(2.0), np.array(-0.5), np.array(0.0), np.array(0.0), 1),
    }.items():
        yield Case(name, given, right=ours(*given))
    frozen = tuple(a.copy() for a in (w, g, m, v))
    for a in frozen:
        a.flags.writeable = False
    yield Case("arrays that must stay as they are", (*frozen, 10), right=ours(*frozen, 10))


def means(g, m, v):
    return 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2


@wrong(
    "T07",
    "no bias correction: m and v start at 0, and are used as they are",
    why="after one step m is only a tenth of the gradient and √v only a thirtieth: the step is 3.16 times lr",
    look="at the first step, what is m / √v for a gradient of 1?",
)
def not_corrected(w, g, m, v, step):
    m, v = means(g, m, v)
    return w * (1 - LR * DECAY) - LR * m / (np.sqrt(v) + 1e-8), m, v


@wrong(
    "T08",
    "the step counts from 0: β^(step - 1) in the correction",
    why="1 - β^0 is 0, so the first step divides by 0",
    look="what is 1 - β1^step at the first step?",
)
def counted_from_zero(w, g, m, v, step):
    m, v = means(g, m, v)
    m_hat, v_hat = m / np.float64(1 - 0.9 ** (step - 1)), v / np.float64(1 - 0.999 ** (step - 1))
    return w * (1 - LR * DECAY) - LR * m_hat / (np.sqrt(v_hat) + 1e-8), m, v


@wrong(
    "T09",
    "eps inside the root: √(v + eps)",
    why="the root makes 1e-4 of an eps of 1e-8, which stops every element whose gradients are smaller",
    look="how far does an element move whose gradient is always 1e-8?",
)
def eps_in_root(w, g, m, v, step):
    m, v = means(g, m, v)
    m_hat, v_hat = m / (1 - 0.9**step), v / (1 - 0.999**step)
    return w * (1 - LR * DECAY) - LR * m_hat / np.sqrt(v_hat + 1e-8), m, v


@wrong(
    "T10",
    "L2 in place of decay: decay · w is added to the gradient",
    why="there √v divides it, so a parameter with a gradient of 0 moves by lr instead of lr · decay · w",
    look="where does w go when its gradient is 0?",
)
def decay_in_gradient(w, g, m, v, step):
    m, v = means(g + DECAY * w, m, v)
    return w - LR * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v


@wrong(
    "AW01",
    "no decay",
    why="AdamW shrinks a parameter by lr · decay of itself at every step, whatever its gradient",
    look="where does w go when its gradient is 0?",
)
def no_decay(w, g, m, v, step):
    m, v = means(g, m, v)
    return w - LR * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v
