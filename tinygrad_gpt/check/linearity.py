"""A gradient is linear in dy: where dy is LARGE times as large, so is every gradient.

A backward that clips or rounds what it computes can be right for dys of the usual size. LARGE is a power of 2, so that
multiplying by it rounds nothing.
"""

from collections.abc import Iterator

import numpy as np

LARGE = 2.0**20
NOT_LINEAR = f"for a dy {LARGE:.0f} times as large, it is not {LARGE:.0f} times as large"
HINT = "a gradient is linear in dy, whatever its size: is something clipped, or cut off?"


def not_linear(names: list[str], grads: tuple, for_large: tuple) -> Iterator[str]:
    """The names of those gradients that did not grow with dy, of `grads`, and of those for a LARGE times larger dy."""
    for name, g, large in zip(names, grads, for_large, strict=True):
        if g is not None and large is not None and g.shape == large.shape:
            grown = LARGE * g
            finite = grown[np.isfinite(grown)]
            least = 1e-10 * np.abs(finite).max(initial=0.0)
            if not np.allclose(large, grown, rtol=1e-9, atol=least, equal_nan=True):
                yield name
