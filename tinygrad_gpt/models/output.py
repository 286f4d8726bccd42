"""What the call of a model returns, with the ways in which transformers' users read it."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelOutput:
    """Base of dataclasses of outputs, which one may also read as transformers' ModelOutput.

        out.logits    out["logits"]    out[0]    out[:2]    out.to_tuple()    dict(out)

    An output that is None is none of them. The loss is the first, where there is one; the others stand in the order of
    the fields. Iteration is over the names, as over those of a dictionary: to unpack, write `a, b = out.to_tuple()`.
    """

    def keys(self) -> list[str]:
        names = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None]
        return sorted(names, key=lambda name: name != "loss")

    def to_tuple(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.keys()])

    def __getitem__(self, key: str | int | slice) -> Any:
        """Raises KeyError for a name that is not among the outputs, IndexError for a number."""
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self.keys():
            raise KeyError(f"{type(self).__name__} has no {key!r}, but {', '.join(self.keys())}")
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())
