"""Parameters as callers give them: Tensors, (name, Tensor) pairs, or groups of either with settings of their own."""

from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_gpt.arguments import number, shown
from tinygrad_gpt.autograd import Tensor


def decay_matrices(params: Iterable, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimiser: Tensors with two axes or more decay, the others do not.

        AdamW(decay_matrices(model.named_parameters(), weight_decay=0.1), lr=1e-3)

    Decay keeps the matrices of linear layers and embeddings small. A bias or the scale of a layer norm has nothing to
    gain from it. (GPT-1 decayed so, "on all non bias or gain weights": Radford et al., 2018, section 4.1.)

    params  Tensors, or (name, Tensor) pairs
    """
    me = "decay_matrices"
    weight_decay, given = number(me, "weight_decay", weight_decay, low=0), list(several(me, params))
    axes = [p.ndim for p in tensors(me, [tensor_of(item) for item in given])]
    matrices = [item for item, n in zip(given, axes, strict=True) if n >= 2]
    others = [item for item, n in zip(given, axes, strict=True) if n < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def as_groups(me: str, params: Iterable) -> list[Mapping[str, Any]]:
    """What an optimiser was given, as a list of groups: dictionaries with "params" and settings."""
    given = list(several(me, params))
    groups = [item for item in given if isinstance(item, Mapping)]
    if not groups:
        return [{"params": given}]
    for item in given:
        if not isinstance(item, Mapping) or "params" not in item:
            raise TypeError(f"{me}: expected groups only, each a dictionary with params, got {shown(item)} among them")
    return groups


def named(me: str, params: Iterable, taken: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors, or (name, Tensor) pairs, as a dictionary; Tensors without names are numbered. Raises TypeError for what
    cannot be trained, ValueError for a parameter or a name that was given twice, here or among those `taken`."""
    found, seen = {}, {id(p) for p in taken.values()}
    for i, item in enumerate([params] if isinstance(params, Tensor) else several(me, params), len(taken)):
        name, p = item if isinstance(item, tuple) and len(item) == 2 else (str(i), item)
        if not isinstance(p, Tensor) or not p.is_leaf or (type(p) is Tensor and not p.requires_grad):
            what = "a computed Tensor" if isinstance(p, Tensor) and not p.is_leaf else shown(p)
            raise TypeError(
                f"{me}: expected Tensors that are trained (leaves that require gradients), got {what} as {name}"
            )
        if name in found or name in taken or id(p) in seen:
            raise ValueError(f"{me}: the parameter {name} was given twice")
        found[name] = p
        seen.add(id(p))
    return found


def several(me: str, params: Iterable) -> Iterable:
    """`params` itself. Raises TypeError if iterating over it would not give parameters."""
    if hasattr(params, "parameters") or callable(params):
        raise TypeError(f"{me}: expected the parameters of a model, got {shown(params)}: write model.parameters()")
    if isinstance(params, Mapping):
        what = "one group: put it in a list" if "params" in params else "a dictionary: write its .items()"
        raise TypeError(f"{me}: expected Tensors or (name, Tensor) pairs, got {what}")
    if isinstance(params, Tensor | str) or not hasattr(params, "__iter__"):
        raise TypeError(f"{me}: expected Tensors or (name, Tensor) pairs, got {shown(params)}: put Tensors in a list")
    return params


def tensors(me: str, params: Iterable[Tensor]) -> list[Tensor]:
    """The Tensors of `params`. Raises TypeError for anything else."""
    params = list(several(me, params))
    for p in params:
        if not isinstance(p, Tensor):
            raise TypeError(f"{me}: expected Tensors, got {shown(p)}")
    return params


def tensor_of(item) -> Any:
    """The second of a (name, Tensor) pair; anything else as it is."""
    return item[1] if isinstance(item, tuple) and len(item) == 2 else item
