"""A pair whose signature is not the op's, called as far as it goes, so that the rest of it can be checked."""

from tinygrad_gpt.kernels.contract import inputs, of_backward, why_not_called


class Fitted:
    """`pair`, called without the arrays and settings that it does not take, where they are None or at their default.

    reference  a pair that keeps the contract
    inner      the functions whose signatures count (`pair` may wrap them)
    """

    def __init__(self, pair, reference, inner):
        self.pair, self.name = pair, getattr(pair, "name", "yours")
        self.call, backward = getattr(inner, "forward", None), getattr(inner, "backward", None)
        self.has_backward = not of_backward(backward)  # else the signature says so, once for all cases
        own, op = inputs(self.call), inputs(getattr(reference, "forward", None))
        names = op.settings if op else {}
        self.lacking = {name: x for name, x in names.items() if own and not own.takes_setting(name)}
        self.count = None if own is None or own.many else len([name for name in own.arrays if name not in names])
        self.given = 0

    def why_not(self, *arrays, **settings) -> str | None:
        """What this case needs and forward does not take; None where forward can be called."""
        if self.count is not None and any(a is not None for a in arrays[self.count :]):
            return f"forward takes {self.count} array{'s' * (self.count != 1)}"
        for name, default in self.lacking.items():
            if settings.get(name, default) != default:
                return f"forward lacks the setting {name}"
        arrays, settings = self._fit(arrays, settings)
        return why_not_called(self.call, arrays, settings)

    def forward(self, *arrays, **settings):
        self.given = len(arrays)
        arrays, settings = self._fit(arrays, settings)
        return self.pair.forward(*arrays, **settings)

    def backward(self, dy, saved):
        """A tuple of as many gradients as the pair was given arrays gets None for each that it was not given."""
        grads = self.pair.backward(dy, saved)
        grads = grads if isinstance(grads, tuple) else (grads,)
        return grads + (None,) * (self.given - self.count) if len(grads) == self.count else grads

    def _fit(self, arrays: tuple, settings: dict) -> tuple[tuple, dict]:
        return arrays[: self.count], {name: x for name, x in settings.items() if name not in self.lacking}
