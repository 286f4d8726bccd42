"""Optimisers: from gradients to the next parameters. And learning-rate schedules: from the step to the learning rate.

    optimizer = AdamW(decay_matrices(model.named_parameters(), weight_decay=0.1), lr=1e-3)
    for step in range(steps):
        optimizer.lr = warmup_cosine(step, lr=1e-3, min_lr=1e-4, warmup=100, total=steps)
        optimizer.zero_grad()
        model.loss(x, y).backward()
        norm = grad_norm(optimizer.parameters())
        optimizer.step(clip_scale(norm, 1.0))

Names, arguments, defaults and meanings are PyTorch's. Each file says where it differs.

    optimizer.py     Optimizer: groups of parameters, their arrays and counts, states
    groups.py        parameters as callers give them; two groups, of which only the matrices decay
    sgd.py           gradient descent with momentum
    adam.py          Adam and AdamW
    clipping.py      the common norm of all gradients, and gradients made shorter
    schedules.py     plain functions from the step to its learning rate
    lr_scheduler.py  PyTorch's objects that set the learning rate of every group
"""

from tinygrad_gpt.habits import OPTIMIZERS, missing
from tinygrad_gpt.optim import lr_scheduler
from tinygrad_gpt.optim.adam import Adam, AdamW
from tinygrad_gpt.optim.clipping import clip_grad_norm, clip_scale, grad_norm
from tinygrad_gpt.optim.groups import decay_matrices
from tinygrad_gpt.optim.optimizer import Optimizer
from tinygrad_gpt.optim.schedules import inverse_sqrt, noam, warmup_cosine, warmup_linear
from tinygrad_gpt.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "clip_grad_norm",
    "clip_scale",
    "decay_matrices",
    "grad_norm",
    "inverse_sqrt",
    "lr_scheduler",
    "noam",
    "warmup_cosine",
    "warmup_linear",
]


def __getattr__(name: str):
    raise missing("optim", name, OPTIMIZERS, __all__)
