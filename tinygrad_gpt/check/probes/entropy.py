"""P12: does attention begin by looking everywhere? Do its weights add up to 1, and its scores have their scale?"""

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.scale import wrong_scale
from tinygrad_gpt.check.probes.subject import Subject

QUESTION = Question("P12", "the entropy of attention at first, of ln(keys)")
LEAST = 0.6


def entropy(subject: Subject) -> Probed:
    """Scores of new weights are small, so that a place looks at the n keys that it may see about equally: the entropy
    of its weights is near ln n. Asked of attention that shows its weights (nn/watching.py)."""
    with no_grad(), subject.model.watching() as seen:
        subject.answers(subject.ids)
    weights = {path: to_numpy(one.weights.data) for path, one in seen.items() if one.weights is not None}
    if not weights:
        return QUESTION.not_asked("no attention in it shows its weights: MultiHeadAttention and RelativeAttention do")
    shares = {}
    for path, p in weights.items():  # (B, H, T, K)
        sums = p.sum(axis=-1)
        if np.abs(sums[sums > 0] - 1).max(initial=0) > 1e-3:
            why = f"the weights of {path} add up to {sums.min():.3g} to {sums.max():.3g} over the keys"
            return QUESTION.wrong(float(sums.min()), "rows that add up to 1", why, "A10", "A16")
        shares[path] = _share(p)
        projected = [one.output for name, one in seen.items() if name.startswith(f"{path}.")]
        if not _has_its_own_scale(subject.model.config) and (wrong := wrong_scale(p, projected)):
            why = f"{path} multiplies its scores by {wrong}, where 1/√D is expected, for D channels of a head"
            return QUESTION.wrong(shares[path], f"at least {LEAST:g}, of scores over √D", why, "A11")
    path, least = min(shares.items(), key=lambda item: item[1])
    if least >= LEAST:
        return QUESTION.right(least, f"at least {LEAST:g}")
    why = f"{path} looks at few places before it has learned anything: its scores are too far apart"
    return QUESTION.wrong(least, f"at least {LEAST:g}", why, "A11", "M08")


def _has_its_own_scale(config) -> bool:
    """Whether a config, with a name of GPT-2's, says that the scale is another one."""
    return not getattr(config, "scale_attn_weights", True) or getattr(config, "scale_attn_by_inverse_layer_idx", False)


def _share(p: np.ndarray) -> float:
    """p (B, H, T, K) -> the mean over places of their entropy, as a share of the logarithm of the keys they look at."""
    keys = (p > 0).sum(axis=-1)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return float((entropy[keys > 1] / np.log(keys[keys > 1])).mean()) if (keys > 1).any() else 1.0
