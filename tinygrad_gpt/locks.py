"""Write protection for arrays that are still needed as they are: what `autograd.debug` is made of."""

from typing import ClassVar

import numpy as np


class ReadOnly:
    """Keeps the arrays in `saved`, and the arrays that they are views of, read-only for as long as it lives.

    A view can be writeable only where its base is, so arrays are locked and unlocked in families (an owner of memory
    with all its views), each when its last lock goes.
    """

    _families: ClassVar[dict[int, list]] = {}  # id of the owner -> [how many locks, arrays to make writeable again]

    __slots__ = ("owners",)

    def __init__(self, saved):
        self.owners = []
        fields = saved.values() if isinstance(saved, dict) else saved if isinstance(saved, tuple | list) else (saved,)
        for array in fields:
            if not isinstance(array, np.ndarray):
                continue
            family = [array]
            while isinstance(family[-1].base, np.ndarray):
                family.append(family[-1].base)
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
            entry = self._families[id(owner)]
            entry[0] -= 1
            if entry[0] == 0:
                for member in entry[1]:
                    member.flags.writeable = True
                del self._families[id(owner)]
