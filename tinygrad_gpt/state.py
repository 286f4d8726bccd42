"""States: dictionaries of name -> array, in which models and optimisers are saved and from which they are loaded."""

from typing import Any

import numpy as np


def check_state(owner: str, expected: dict[str, Any], state: dict[str, Any], strict: bool = True) -> None:
    """Raise one ValueError that lists all that stands between `state` and the names and shapes of `expected`: names
    that are missing or unexpected (passed over with strict=False), and shapes that differ."""
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
