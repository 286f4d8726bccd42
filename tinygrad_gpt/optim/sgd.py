"""SGD: gradient descent with momentum."""

from collections.abc import Iterable

from tinygrad_gpt.arguments import flag, number
from tinygrad_gpt.optim.optimizer import Optimizer, refuse_what_is_not_here


class SGD(Optimizer):
    """Gradient descent with momentum:

        g ← g + weight_decay · θ
        u ← momentum · u + (1 - dampening) · g    (u = g at a parameter's first update)
        θ ← θ - lr · u                            (with nesterov: lr · (g + momentum · u); without momentum: lr · g)

    The form of Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), with the
    learning rate outside u as in PyTorch, so that a change of lr acts at once. weight_decay acts on all parameters.
    """

    SLOTS = ("momentum",)

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **others,
    ):
        refuse_what_is_not_here(type(self).__name__, others)
        settings = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)
        super().__init__(params, settings)

    def checked(self, group):
        me = type(self).__name__
        settings = {
            "lr": number(me, "lr", group["lr"], low=0),
            "momentum": number(me, "momentum", group["momentum"], low=0, below=1),
            "dampening": number(me, "dampening", group["dampening"]),
            "weight_decay": number(me, "weight_decay", group["weight_decay"], low=0),
            "nesterov": flag(me, "nesterov", group["nesterov"]),
        }
        got = f"momentum {settings['momentum']:g} and dampening {settings['dampening']:g}"
        if settings["nesterov"] and (settings["momentum"] == 0 or settings["dampening"] != 0):
            raise ValueError(f"{me}: expected a momentum > 0 and dampening 0 with nesterov, got {got}")
        return settings

    def update(self, names, settings, grad_scale):
        for name in names:
            param, grad, of = self.params[name].data, self.params[name].grad, settings[name]
            if grad_scale != 1:
                grad = grad_scale * grad
            if of["weight_decay"]:
                grad = grad + of["weight_decay"] * param
            if of["momentum"]:
                u = self.slots["momentum"][name]
                u *= of["momentum"]
                u += grad if self.steps[name] == 1 or not of["dampening"] else (1 - of["dampening"]) * grad
                grad = grad + of["momentum"] * u if of["nesterov"] else u
            param -= of["lr"] * grad
