"""Adam and AdamW: steps as long as the learning rate, whatever a gradient's scale. The equations stand in ops/adamw.py.

A step visits all parameters in one pass of the routine `adamw`, where their learning rate, betas and eps are the same.
"""

from collections.abc import Iterable

from tinygrad_gpt.arguments import is_row, number, shown
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.optim.optimizer import Optimizer, refuse_what_is_not_here


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015).

    betas         how much of the running means of g and of g² is kept each step
    eps           added to the root of the mean square
    weight_decay  g ← g + weight_decay · θ first: the gradient of ½ weight_decay θ², "L2". AdamW decays otherwise

    All but params are settings of a group, and may be changed there.
    """

    SLOTS = ("m", "v")
    decoupled = False  # whether weight_decay shrinks the parameter itself

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **others,
    ):
        refuse_what_is_not_here(type(self).__name__, others)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def checked(self, group):
        me, betas = type(self).__name__, group["betas"]
        if not is_row(betas) or len(betas) != 2:
            raise TypeError(f"{me}: expected two numbers as betas, such as (0.9, 0.999), got {shown(betas)}")
        return {
            "lr": number(me, "lr", group["lr"], low=0),
            "betas": tuple([number(me, f"beta{i}", beta, low=0, below=1) for i, beta in enumerate(betas, 1)]),
            "eps": number(me, "eps", group["eps"], low=0),
            "weight_decay": number(me, "weight_decay", group["weight_decay"], low=0),
        }

    def update(self, names, settings, grad_scale):
        alike = {}
        for name in names:
            of = settings[name]
            alike.setdefault((of["lr"], of["betas"], of["eps"]), []).append(name)
        for (lr, betas, eps), names in alike.items():
            decays = [settings[name]["weight_decay"] for name in names]
            grads, scale = [self.params[name].grad for name in names], grad_scale
            params = [self.params[name].data for name in names]
            if not self.decoupled and any(decays):
                grads = [
                    scale * g + decay * p if decay else scale * g
                    for g, decay, p in zip(grads, decays, params, strict=True)
                ]
                scale = 1.0
            registry.run(
                "adamw",
                params,
                grads,
                [self.slots["m"][name] for name in names],
                [self.slots["v"][name] for name in names],
                lr=lr,
                beta1=betas[0],
                beta2=betas[1],
                eps=eps,
                weight_decays=decays if self.decoupled else [0.0] * len(names),
                steps=[self.steps[name] for name in names],
                grad_scale=scale,
            )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): a step shrinks every parameter by
    lr · weight_decay of itself, and does not mix that into the gradient, as Adam does.

    It acts on all parameters, as in PyTorch. `AdamW(decay_matrices(model.named_parameters(), 0.1))` spares biases and
    norms (groups.py).
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        **others,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, **others)
