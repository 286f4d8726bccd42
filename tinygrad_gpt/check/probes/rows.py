"""P3: does a row of the batch depend on another row, or on where in the batch it stands?"""

import numpy as np

from tinygrad_gpt.check.probes.future import NONE
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import SAME, Subject, difference

QUESTION = Question("P3", "the gradient by tokens of other rows")


def rows(subject: Subject, sizes: np.ndarray) -> Probed:
    """∂ scores of row i / ∂ x of row j is 0, and a row has the same scores wherever it stands in a batch.

    sizes  (N, R, S), of `dependence`
    """
    others = sizes[:, 1:]  # (N, R - 1, S): scores of row 0
    leak = others.max()
    if leak > NONE:
        _, r, s = np.unravel_index(np.argmax(others), others.shape)
        why = f"the scores of row 0 depend on token {s} of row {r + 1}"
        return QUESTION.wrong(leak, "0", why, "T03", "N12", "N13", "A12")
    together, alone = subject.said(subject.ids), [subject.said(row[np.newaxis])[0] for row in subject.ids]
    moved = max(difference(a, b) for a, b in zip(together, alone, strict=True))
    if moved > SAME:
        why = "a row alone gets other scores than the same row in a batch, though no other row's tokens matter"
        return QUESTION.wrong(moved, f"at most {SAME:g}", why, "M04", "A17", "N13")
    return QUESTION.right(leak, "0")
