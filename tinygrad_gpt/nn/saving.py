"""What of a Module is saved, and under which names; `state_dict` and `load_state_dict` in module.py use it."""

from typing import Any

import numpy as np

from tinygrad_gpt.autograd import Tensor


def joined(path: str, name: Any) -> str:
    """The path of what is at `name` inside `path`."""
    return f"{path}.{name}" if path else str(name)


def buffer_names(thing) -> dict[str, bool]:
    """The names of a Module's own buffers -> whether they are persistent; nothing for anything else."""
    return getattr(thing, "__dict__", {}).get("_buffers", {})


def saved_tensors(module) -> dict[str, Tensor]:
    """Name -> Tensor for every Parameter, and for every persistent buffer after them."""
    kept = {joined(path, name): kept for path, m in module.named_modules() for name, kept in buffer_names(m).items()}
    return dict(module.named_parameters()) | {name: buffer for name, buffer in module.named_buffers() if kept[name]}


def with_first_names(module, state: dict[str, Any]) -> dict[str, Any]:
    """A state with tied Parameters and shared buffers under their first names only. Raises ValueError if it holds
    different arrays for one of them."""
    first = {id(x): name for name, x in [*module.named_parameters(), *module.named_buffers()]}
    settings = {"remove_duplicate": False}
    for name, x in [*module.named_parameters(**settings), *module.named_buffers(**settings)]:
        if name in state and name != first[id(x)]:
            array = state.pop(name)
            if not np.array_equal(array, state.setdefault(first[id(x)], array)):
                raise ValueError(
                    f"load_state_dict: {name} and {first[id(x)]} are one {type(x).__name__} here, but differ in the "
                    "state: make the model without tied weights"
                )
    return state
