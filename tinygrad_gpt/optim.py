"""Optimisers: from gradients to the next parameters. And learning-rate schedules: from the step to the learning rate.

    optimizer = AdamW(model.named_parameters(), lr=1e-3, weight_decay=0.1)
    for step in range(steps):
        optimizer.lr = warmup_cosine(step, lr=1e-3, min_lr=1e-4, warmup=100, total=steps)
        optimizer.zero_grad()
        model.loss(x, y).backward()
        norm = grad_norm(optimizer.parameters())
        optimizer.step(clip_scale(norm, 1.0))

g is a parameter's gradient, θ its value. Without a gradient, value, running means and step count stay.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import is_row, number, shown
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.habits import OPTIMIZER, tells
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.state_dict import check_state, plain_state


@tells(OPTIMIZER)
class Optimizer:
    """Base of the optimisers: named parameters, and for each of them arrays of its shape and a count of updates.

    params  Tensors, or (name, Tensor) pairs as `Module.named_parameters()` gives them; names are for `state_dict`
    lr      learning rate; may be set before every step

    A subclass names its arrays in SLOTS and writes `update`.
    """

    SLOTS: tuple[str, ...] = ()

    def __init__(self, params: Iterable, lr: float):
        self.lr = lr
        self.params = _named(type(self).__name__, params)
        self.slots = {slot: {n: np.zeros_like(p.data) for n, p in self.params.items()} for slot in self.SLOTS}
        self.steps = dict.fromkeys(self.params, 0)

    @property
    def lr(self) -> float:
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = number(type(self).__name__, "lr", lr, low=0)

    def update(self, names: list[str], grad_scale: float) -> None:
        """Change the parameters of these names in place, by grad_scale times their gradients. self.steps[name] counts
        this update already."""
        raise NotImplementedError

    def step(self, grad_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient, with grad_scale times that gradient (see clip_scale).

        Raises ValueError if their data have another shape, dtype or device than when this optimiser was made.
        """
        grad_scale = number("step", "grad_scale", grad_scale)
        names = [name for name, p in self.params.items() if p.grad is not None]
        self._check_alike(names)
        before = dict(self.steps)
        for name in names:
            self.steps[name] += 1
        try:
            self.update(names, grad_scale)
        except Exception:
            self.steps = before  # a refused update does not count
            raise

    def _check_alike(self, names: list[str]) -> None:
        """Check that arrays fit their parameters: NumPy might broadcast, and a kernel works on addresses."""
        slots = list(self.slots.values())
        for name in names:
            p = self.params[name]
            kind, shape, dtype = type(p.data), p.data.shape, p.data.dtype
            for a in (p.grad, *[named[name] for named in slots]):
                if type(a) is not kind or a.shape != shape or (a.dtype is not dtype and a.dtype != dtype):
                    if a is not p.grad and type(a) is not kind:  # a model moves as a whole
                        raise ValueError(
                            f"step: the parameters ({name} and all others) have moved to another device since this "
                            "optimiser was made: make it after model.to(...)"
                        )
                    where = next((slot for slot, named in self.slots.items() if named[name] is a), ".grad")
                    wanted = "a gradient" if a is p.grad else f"the running mean {where}"
                    todo = "call zero_grad()" if a is p.grad else "make a new optimiser"
                    raise ValueError(
                        f"step: expected {wanted} of {p.dtype}{tuple(p.shape)} like the parameter {name}, "
                        f"got {shown(a)} in {where}: {todo} when .data is replaced"
                    )

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.params.values():
            p.grad = None

    def parameters(self) -> list[Tensor]:
        """The Tensors that this optimiser updates."""
        return list(self.params.values())

    def state_dict(self) -> dict[str, Array]:
        """What the next step depends on besides parameters and settings: `SLOT.NAME` for each array, and `steps`, the
        updates of each parameter. On the CPU these are the optimiser's own arrays: copy them to keep a snapshot."""
        arrays = {f"{slot}.{n}": to_numpy(a) for slot, named in self.slots.items() for n, a in named.items()}
        return {**arrays, "steps": np.array(list(self.steps.values()), dtype=np.int64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned. Raises ValueError that lists what is missing, unexpected or of
        another shape, and loads nothing then."""
        expected, state = self.state_dict(), plain_state(state)
        check_state(type(self).__name__, expected, state)
        for slot, named in self.slots.items():
            for name, array in named.items():
                array[...] = np.asarray(state[f"{slot}.{name}"], dtype=array.dtype, like=array)
        self.steps = {name: int(n) for name, n in zip(self.params, state["steps"], strict=True)}


class SGD(Optimizer):
    """Gradient descent with momentum:

        g ← g + weight_decay · θ
        u ← momentum · u + g            (u = g without momentum)
        θ ← θ - lr · u

    The form of Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), with the
    learning rate outside u as in PyTorch, so that a change of lr acts at once. weight_decay acts on all parameters.
    """

    SLOTS = ("momentum",)

    def __init__(self, params: Iterable, lr: float, momentum: float = 0.0, weight_decay: float = 0.0):
        self.momentum = number("SGD", "momentum", momentum, low=0, below=1)
        self.weight_decay = number("SGD", "weight_decay", weight_decay, low=0)
        super().__init__(params, lr)

    def update(self, names, grad_scale):
        for name in names:
            param, grad = self.params[name].data, self.params[name].grad
            if grad_scale != 1:
                grad = grad_scale * grad
            if self.weight_decay:
                grad = grad + self.weight_decay * param
            if self.momentum:
                u = self.slots["momentum"][name]
                u *= self.momentum
                u += grad
                grad = u
            param -= self.lr * grad


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019); the equations stand in ops/adamw.py.

    betas         how much of the running means of g and of g² is kept each step
    eps           added to the root of the mean square
    weight_decay  a step shrinks a parameter by lr · weight_decay of itself ...
    decays        ... where this function of (name, Tensor) says so. By default in tensors with two axes or more: the
                  matrices of linear layers, and embeddings, but not biases and layer norms
    """

    SLOTS = ("m", "v")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decays: Callable[[str, Tensor], bool] = lambda name, p: p.ndim >= 2,
    ):
        me = type(self).__name__
        if not is_row(betas) or len(betas) != 2:
            raise TypeError(f"{me}: expected two numbers as betas, such as (0.9, 0.999), got {shown(betas)}")
        self.betas = tuple([number(me, f"beta{i}", beta, low=0, below=1) for i, beta in enumerate(betas, 1)])
        self.eps, weight_decay = number(me, "eps", eps, low=0), number(me, "weight_decay", weight_decay, low=0)
        if not callable(decays):
            raise TypeError(f"{me}: expected a function of (name, Tensor) as decays, got {shown(decays)}")
        super().__init__(params, lr)
        self.weight_decay = {name: weight_decay if decays(name, p) else 0.0 for name, p in self.params.items()}

    def update(self, names, grad_scale):
        registry.run(
            "adamw",
            [self.params[n].data for n in names],
            [self.params[n].grad for n in names],
            [self.slots["m"][n] for n in names],
            [self.slots["v"][n] for n in names],
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decays=[self.weight_decay[n] for n in names],
            steps=[self.steps[n] for n in names],
            grad_scale=grad_scale,
        )


class Adam(AdamW):
    """Adam (Kingma and Ba, 2015): AdamW without decay."""

    def __init__(
        self, params: Iterable, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ):
        super().__init__(params, lr, betas, eps, weight_decay=0.0)


# --- clipping ----------------------------------------------------------------------------------------------------


def grad_norm(params: Iterable[Tensor]) -> float:
    """The common norm of all gradients, √(Σ over parameters Σ g²), summed in float64."""
    grads = [p.grad for p in _tensors("grad_norm", params)]
    return math.sqrt(float(registry.run("sum_squares", *[grad for grad in grads if grad is not None])))


def clip_scale(norm: float, max_norm: float) -> float:
    """The factor for gradients of this common norm that brings it down to at most `max_norm`:

        max_norm / (norm + 1e-6) where that is a reduction, else 1

    (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, section 3.2; the
    1e-6 is PyTorch's.) The gradients keep their direction. For a norm that is not finite, too, the factor is 1.

    Raises ValueError for a max_norm that is not positive.
    """
    norm = number("clip_scale", "norm", norm, finite=False)
    max_norm = number("clip_scale", "max_norm", max_norm, above=0, finite=False)
    return min(1.0, max_norm / (norm + 1e-6)) if math.isfinite(norm) else 1.0


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients down, in place, so that their common norm is at most `max_norm`. Returns the norm before.

    `optimizer.step(clip_scale(grad_norm(params), max_norm))` makes the same update without writing to the gradients:
    one pass over them less. If the norm is not finite, they stay as they are, to show which of them is to blame.
    """
    params = [p for p in _tensors("clip_grad_norm", params) if p.grad is not None]
    norm = grad_norm(params)
    scale = clip_scale(norm, max_norm)
    if scale < 1:
        for p in params:
            p.grad *= scale
    return norm


# --- schedules: plain functions from the step, counted from 0, to the learning rate of that step ------------------


def warmup_cosine(step: int, *, lr: float, min_lr: float = 0.0, warmup: int = 0, total: int) -> float:
    """Up in a straight line over `warmup` steps to `lr`, down half a cosine to `min_lr` at step `total`, and on at it.

        min_lr + ½ (lr - min_lr) (1 + cos(π s)),    s = (step - warmup) / (total - warmup)

    (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5, without restarts.)
    The first step, 0, has lr / (warmup + 1), not 0.
    """

    def down(lr, min_lr, s):
        return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * s))

    return _warmup("warmup_cosine", down, step=step, lr=lr, min_lr=min_lr, warmup=warmup, total=total)


def warmup_linear(step: int, *, lr: float, min_lr: float = 0.0, warmup: int = 0, total: int) -> float:
    """Up in a straight line over `warmup` steps to `lr`, then down in another to `min_lr` at step `total`, and on at
    min_lr. (Devlin et al., "BERT", 2019, appendix A.2, with min_lr = 0.)"""

    def down(lr, min_lr, s):
        return lr + (min_lr - lr) * s

    return _warmup("warmup_linear", down, step=step, lr=lr, min_lr=min_lr, warmup=warmup, total=total)


def noam(step: int, *, d_model: int, warmup: int, scale: float = 1.0) -> float:
    """Up in a straight line over `warmup` steps, then down with the inverse root of the step:

        scale · d_model^-½ · min(s^-½, s · warmup^-1½),    s = step + 1

    (Vaswani et al., "Attention is all you need", 2017, equation 3, which counts steps from 1.)
    """
    s, warmup = number("noam", "step", step, low=0) + 1, number("noam", "warmup", warmup, low=0)
    d_model, scale = number("noam", "d_model", d_model, above=0), number("noam", "scale", scale)
    return scale * d_model**-0.5 * min(s**-0.5, s * max(warmup, 1) ** -1.5)


def _warmup(me: str, down: Callable, **given) -> float:
    """lr on the way up, then down(lr, min_lr, s), with s from 0 at `warmup` to 1 at `total` and after it."""
    step, lr, min_lr, warmup, total = [number(me, name, value, low=0) for name, value in given.items()]
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    return down(lr, min_lr, min(1.0, (step - warmup) / max(1, total - warmup)))


# --- shared ------------------------------------------------------------------------------------------------------


def _named(me: str, params: Iterable) -> dict[str, Tensor]:
    """Tensors, or (name, Tensor) pairs, as a dictionary; Tensors without names are numbered."""
    named, seen = {}, set()
    for i, item in enumerate(_several(me, params)):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (str(i), item)
        if not isinstance(p, Tensor) or not p.requires_grad or not p.is_leaf:
            what = "a computed Tensor" if isinstance(p, Tensor) and not p.is_leaf else shown(p)
            if isinstance(p, Mapping):
                what = "a group of them (each takes an optimiser of its own)"
            raise TypeError(
                f"{me}: expected Tensors that are trained (leaves that require gradients), got {what} as {name}"
            )
        if name in named or id(p) in seen:
            raise ValueError(f"{me}: the parameter {name} was given twice")
        named[name] = p
        seen.add(id(p))
    if not named:
        raise ValueError(f"{me}: expected at least one parameter to update, got none (a generator gives its own once)")
    return named


def _several(me: str, params: Iterable) -> Iterable:
    """`params` itself. Raises TypeError if iterating over it would not give parameters."""
    if hasattr(params, "parameters") or callable(params):
        raise TypeError(f"{me}: expected the parameters of a model, got {shown(params)}: write model.parameters()")
    if isinstance(params, Mapping):
        raise TypeError(f"{me}: expected Tensors or (name, Tensor) pairs, got a dictionary: write its .items()")
    if isinstance(params, Tensor | str) or not hasattr(params, "__iter__"):
        raise TypeError(f"{me}: expected Tensors or (name, Tensor) pairs, got {shown(params)}: put Tensors in a list")
    return params


def _tensors(me: str, params: Iterable[Tensor]) -> list[Tensor]:
    params = list(_several(me, params))
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError(f"{me}: expected Tensors, got {shown(p)}")
    return params
