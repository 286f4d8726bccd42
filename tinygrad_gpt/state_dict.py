"""States: dictionaries of name -> array, in which models and optimisers are saved and from which they are loaded."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import numeric_array, shown
from tinygrad_gpt.array import is_array
from tinygrad_gpt.tensor import Tensor


def plain_state(state) -> dict[str, Any]:
    """name -> array, from a dictionary of arrays, Tensors or lists. Raises TypeError for anything else."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(
            f"load_state_dict: expected a dictionary of name -> array, as state_dict() returns it, got {shown(state)}"
        )
    return {name: _plain(f"load_state_dict, {name}", value) for name, value in state.items()}


def _plain(who: str, value):
    value = value.data if isinstance(value, Tensor) else value
    array = value if is_array(value) else numeric_array(who, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{who}: expected numbers, got {shown(value)}")
    return array


def check_state(owner: str, expected: dict[str, Any], state: dict[str, Any], strict: bool = True) -> None:
    """Raise one ValueError that lists missing and unexpected names (strict=False allows them), and wrong shapes."""
    missing = [name for name in expected if name not in state] if strict else []
    unexpected = [name for name in state if name not in expected] if strict else []
    wrong = [
        f"{name} (expected {tuple(array.shape)}, got {tuple(np.shape(state[name]))})"
        for name, array in expected.items()
        if name in state and tuple(np.shape(state[name])) != tuple(array.shape)
    ]
    problems = {"missing": missing, "unexpected": unexpected, "wrong shape": wrong}
    found = [f"{kind}: {', '.join(names)}" for kind, names in problems.items() if names]
    if found:
        raise ValueError(f"load_state_dict: the state does not fit this {owner}: {'; '.join(found)}")
