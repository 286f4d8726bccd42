"""Write protection for arrays that backward still needs: the machinery of `autograd.debug`."""

import threading
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from tinygrad_gpt.array import Array, is_array


def arrays_in(saved) -> list[Array]:
    """The arrays in anything that a forward saved: tuples, lists, dicts and dataclasses of arrays, nested."""
    if is_array(saved):
        return [saved]
    if isinstance(saved, dict):
        saved = saved.values()
    elif is_dataclass(saved) or isinstance(saved, SimpleNamespace):
        saved = vars(saved).values()
    elif not isinstance(saved, tuple | list):
        return []
    return [a for part in saved for a in arrays_in(part)]


class ReadOnly:
    """Keep the NumPy arrays in `saved`, and the arrays that they are views of, read-only while this object lives.

    A view can be writeable only if its base is, so arrays are locked and unlocked in families (an owner of memory, and
    the views of it that were saved), each when its last lock goes. Other views that exist already stay writeable.
    """

    _families: ClassVar[dict[int, list]] = {}  # id of the owner -> [how many locks, arrays to make writeable again]
    _counting = threading.RLock()  # among threads; again by the same one, as freeing an array may end another lock

    __slots__ = ("owners",)

    def __init__(self, saved):
        self.owners = []
        for array in arrays_in(saved):
            if not isinstance(array, np.ndarray):
                continue
            family = [array]
            while isinstance(family[-1].base, np.ndarray):
                family.append(family[-1].base)
            with self._counting:
                entry = self._families.setdefault(id(family[-1]), [0, []])
                entry[0] += 1
                for member in reversed(family):  # the owner first
                    if member.flags.writeable:
                        entry[1].append(member)
                for member in family:
                    member.flags.writeable = False
            self.owners.append(family[-1])

    def __del__(self):
        for owner in self.owners:
            with self._counting:
                entry = self._families[id(owner)]
                entry[0] -= 1
                if entry[0] == 0:
                    for member in entry[1]:
                        member.flags.writeable = True
                    del self._families[id(owner)]
