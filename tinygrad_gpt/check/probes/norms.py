"""P17: do the norms of a block stand where its config says: before each half, or after it?

A layer norm leaves channels with a mean of 0. After the residual sum it is the last thing that a block does, so what a
"post" block returns has no mean; what a "pre" block returns is a sum that no norm has touched.
"""

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject
from tinygrad_gpt.nn import LayerNorm

QUESTION = Question("P17", "the mean of a block's channels, of their deviation")
NONE = 1e-3  # float32 leaves 1e-6 of it; a sum of C random channels has 1/√C


def norms(subject: Subject) -> Probed:
    """Blocks (the Modules of a list) return what their config says. Asked of new weights, whose norms' biases are 0."""
    said = _said(subject.model.config)
    if said is None:
        return QUESTION.not_asked("its config does not say where its norms stand")
    means = _means(subject)
    if not means:
        return QUESTION.not_asked("it has no blocks with layer norms")
    path, mean = (max if said == "post" else min)(means.items(), key=lambda item: item[1])
    expected = f"at most {NONE:g}" if said == "post" else f"above {NONE:g}"
    if (mean <= NONE) == (said == "post"):
        return QUESTION.right(mean, expected)
    does = "does not end with a norm" if said == "post" else "ends with a norm, which the residual stream has to pass"
    where = "after" if said == "post" else "before"
    why = f"the config says that norms stand {where} each half of a block, and {path} {does}"
    return QUESTION.wrong(mean, expected, why, "N14")


def _said(config) -> str | None:
    """Where the config says that norms stand: "pre" or "post"."""
    if isinstance(getattr(config, "pre_lnorm", None), bool):
        return "pre" if config.pre_lnorm else "post"
    norm = getattr(config, "norm", None)
    return norm if norm in ("pre", "post") else None


def _means(subject: Subject) -> dict[str, float]:
    """For each block the largest |mean| of the channels of a place, as a share of their standard deviation."""
    lists = ((path, module) for path, module in subject.model.named_modules() if path.split(".")[-1].isdecimal())
    blocks = [path for path, block in lists if any(isinstance(inside, LayerNorm) for inside in block.modules())]
    with no_grad(), subject.model.watching() as seen:
        subject.answers(subject.ids)
    found = {path: seen[path].output for path in blocks if path in seen}
    means = {}
    for path, y in found.items():
        if isinstance(y, Tensor) and y.ndim == 3 and y.shape[2] > 2:  # (B, T, C)
            y = to_numpy(y.data)
            means[path] = float((np.abs(y.mean(axis=-1)) / y.std(axis=-1)).max())
    return means
