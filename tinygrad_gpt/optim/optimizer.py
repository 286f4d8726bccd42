"""Optimizer: what all optimisers share. g is a parameter's gradient, θ its value.

A parameter without a gradient (frozen, or not used by the loss) keeps its value, its running means and its count.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import HOLDS_A_TENSOR, flag, number, shown
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.habits import OPTIMIZER, tells
from tinygrad_gpt.optim.groups import as_groups, named
from tinygrad_gpt.state_dict import check_state, plain_state

_GROUPS = "param_groups."  # how the names of settings begin in a state


@tells(OPTIMIZER)
class Optimizer:
    """Base of the optimisers: named parameters, and for each of them arrays of its shape and a count of updates.

    params    Tensors, or (name, Tensor) pairs as `Module.named_parameters()` gives them (names are for `state_dict`),
              or groups: dictionaries with such params and with settings of their own
    defaults  the settings of groups that do not give them

    `param_groups` is the list of groups, each with all settings and with "params" and "param_names"; what is set there
    acts from the next step. `lr` reads and sets the learning rate of all groups at once.

    A subclass names its arrays in SLOTS, and writes `checked` and `update`.
    """

    SLOTS: tuple[str, ...] = ()

    def __init__(self, params: Iterable, defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.params: dict[str, Tensor] = {}
        self.slots: dict[str, dict[str, Array]] = {slot: {} for slot in self.SLOTS}
        self.steps: dict[str, int] = {}
        for group in as_groups(type(self).__name__, params):
            self.add_param_group(group)
        if not self.params:
            raise ValueError(
                f"{type(self).__name__}: expected at least one parameter to update, got none "
                "(a generator gives its own once)"
            )

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Update the parameters of one more group too. Settings that it does not give are the defaults.

        Raises TypeError or ValueError for settings that cannot be, and for parameters that are here already.
        """
        me = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{me}: expected a group, a dictionary with params, got {shown(param_group)}")
        for key in param_group:
            near = difflib.get_close_matches(str(key), [*self.defaults], n=1, cutoff=0.8)
            if near and key not in self.defaults:
                raise ValueError(f"{me}: a group has no setting {shown(key)}: did you mean {near[0]}?")
        found = named(me, param_group["params"], self.params)
        group = {**self.defaults, **param_group, "params": list(found.values()), "param_names": list(found)}
        self.checked(group)
        self.param_groups.append(group)
        self.params |= found
        for name, p in found.items():
            if p.requires_grad:
                self._start(name)

    def _start(self, name: str) -> None:
        """Make the arrays of a parameter; for one that is frozen, only when it gets its first gradient."""
        for arrays in self.slots.values():
            arrays[name] = np.zeros_like(self.params[name].data)
        self.steps[name] = 0

    @property
    def lr(self) -> float:
        """The learning rate of all groups. Raises ValueError if they have several: each is in its group then."""
        rates = {group["lr"] for group in self.param_groups}
        if len(rates) > 1:
            said = ", ".join(f"{rate:g}" for rate in sorted(rates))
            raise ValueError(
                f"{type(self).__name__}: expected one learning rate as lr, the groups have {said}: "
                'use group["lr"] for each group in param_groups'
            )
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, lr: float) -> None:
        lr, _ = number(type(self).__name__, "lr", lr, low=0), self.lr
        for group in self.param_groups:
            group["lr"] = lr

    def checked(self, group: dict[str, Any]) -> dict[str, Any]:
        """The settings of a group as plain values. Raises TypeError or ValueError for what cannot be."""
        raise NotImplementedError

    def update(self, names: list[str], settings: dict[str, dict[str, Any]], grad_scale: float) -> None:
        """Change the parameters of these names in place, by grad_scale times their gradients.

        settings  name -> the settings of its group. self.steps[name] counts this update already
        """
        raise NotImplementedError

    def step(self, grad_scale: float = 1.0, *, closure=None) -> None:
        """Update every parameter that has a gradient, with grad_scale times that gradient (see clip_scale).

        Raises ValueError if their data have another shape, dtype or device than when this optimiser was made, TypeError
        if a Tensor stands where their arrays belong.
        """
        if closure is not None or callable(grad_scale):
            got = shown(grad_scale if closure is None else closure)
            raise TypeError(
                f"step: expected a number or nothing as grad_scale, got {got}: "
                "it takes no closure, call loss.backward() first, then step()"
            )
        grad_scale = number("step", "grad_scale", grad_scale)
        settings = {}
        for group in self.param_groups:
            checked = self.checked(group)
            of_names = [self.params[name] for name in group["param_names"]]
            if [*map(id, group["params"])] != [*map(id, of_names)]:
                raise ValueError("step: expected the params that the group was made with: use add_param_group for more")
            for name, p in zip(group["param_names"], of_names, strict=True):
                if p.grad is not None:
                    settings[name] = checked
        names = list(settings)
        for name in names:
            if name not in self.steps:
                self._start(name)
        self._check_alike(names)
        before = dict(self.steps)
        for name in names:
            self.steps[name] += 1
        try:
            self.update(names, settings, grad_scale)
        except Exception:
            self.steps = before  # a refused update does not count
            raise

    def _check_alike(self, names: list[str]) -> None:
        """Check that arrays fit their parameters: NumPy might broadcast, and a kernel works on addresses."""
        slots = list(self.slots.values())
        for name in names:
            p = self.params[name]
            kind, shape, dtype = type(p.data), p.data.shape, p.data.dtype
            if kind is Tensor:
                raise TypeError(f"step: of the parameter {name}, .data {HOLDS_A_TENSOR}")
            for a in (p.grad, *[arrays[name] for arrays in slots]):
                if type(a) is not kind or a.shape != shape or (a.dtype is not dtype and a.dtype != dtype):
                    if isinstance(a, Tensor):
                        raise TypeError(f"step: of the parameter {name}, .grad {HOLDS_A_TENSOR}")
                    if a is not p.grad and type(a) is not kind:  # a model moves as a whole
                        raise ValueError(
                            f"step: the parameters ({name} and all others) have moved to another device since this "
                            "optimiser was made: make it after model.to(...)"
                        )
                    where = next((slot for slot, arrays in self.slots.items() if arrays[name] is a), ".grad")
                    wanted = "a gradient" if a is p.grad else f"the running mean {where}"
                    todo = "call zero_grad()" if a is p.grad else "make a new optimiser"
                    raise ValueError(
                        f"step: expected {wanted} of {p.dtype}{tuple(p.shape)} like the parameter {name}, "
                        f"got {shown(a)} in {where}: {todo} when .data is replaced"
                    )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients; with set_to_none=False, fill them with zeros instead."""
        forget = flag("zero_grad", "set_to_none", set_to_none)
        for p in [p for group in self.param_groups for p in group["params"]]:
            if forget:
                p.grad = None
            elif p.grad is not None:
                p.grad[...] = 0

    def __repr__(self) -> str:
        rows = []
        for i, group in enumerate(self.param_groups):
            settings = ", ".join(f"{name} {group[name]}" for name in self.defaults)
            rows.append(f"  group {i}: {sum(p.size for p in group['params']):,} parameters, {settings}")
        return "\n".join([type(self).__name__, *rows])

    def parameters(self) -> list[Tensor]:
        """The Tensors that this optimiser updates, group by group."""
        return list(self.params.values())

    def state_dict(self) -> dict[str, Array]:
        """What the next step depends on besides the parameters, as arrays, which `save` can write: `SLOT.NAME` for each
        array, `steps.NAME`, how often a parameter was updated, and `param_groups.I.SETTING` for each setting of group
        I. A parameter that has been frozen all along is not in it. On the CPU the arrays are the optimiser's own: copy
        them to keep a snapshot."""
        settings = [self.checked(group).items() for group in self.param_groups]
        return {
            **self._arrays(),
            **{f"{_GROUPS}{i}.{name}": np.array(value) for i, of in enumerate(settings) for name, value in of},
        }

    def _arrays(self) -> dict[str, Array]:
        """The state without the settings."""
        arrays = {f"{slot}.{n}": to_numpy(a) for slot, kept in self.slots.items() for n, a in kept.items()}
        return arrays | {f"steps.{name}": np.array(n, dtype=np.int64) for name, n in self.steps.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, with its settings; a state without them leaves them as they are.
        Raises ValueError that lists what is missing, unexpected or of another shape, for other groups, and for the
        state of one of PyTorch's optimisers, and loads nothing then."""
        if isinstance(state_dict, Mapping) and "param_groups" in state_dict:
            raise ValueError(
                "load_state_dict: this is the state of one of PyTorch's optimisers, with other names and numbers for "
                "parameters: make a new optimiser, whose running means begin at 0"
            )
        state = plain_state(state_dict)
        given = {name: state.pop(name) for name in list(state) if name.startswith(_GROUPS)}
        groups = self._with_settings(given) if given else self.param_groups
        state = self._with_named_counts(state)
        for name in self.params:
            if name not in self.steps and f"steps.{name}" in state:
                self._start(name)  # frozen here, and trained before
        check_state(type(self).__name__, self._arrays(), state)
        for slot, arrays in self.slots.items():
            for name, array in arrays.items():
                array[...] = np.asarray(state[f"{slot}.{name}"], dtype=array.dtype, like=array)
        self.steps = {name: int(state[f"steps.{name}"]) for name in self.steps}
        for group, loaded in zip(self.param_groups, groups, strict=True):
            group.update(loaded)

    def _with_named_counts(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state as it was before: `steps` was one array, of the counts in the order of the other names."""
        if "steps" not in state:
            return state
        first = f"{self.SLOTS[0]}." if self.SLOTS else ""
        names = [key.removeprefix(first) for key in state if first and key.startswith(first)] or list(self.steps)
        counts = np.asarray(state["steps"]).reshape(-1).tolist()
        if len(counts) != len(names):
            raise ValueError(
                f"load_state_dict: expected a count for each of the {len(names)} parameters in steps, got {len(counts)}"
            )
        counted = {f"steps.{name}": np.array(n) for name, n in zip(names, counts, strict=True)}
        return {key: a for key, a in state.items() if key != "steps"} | counted

    def _with_settings(self, given: dict[str, Array]) -> list[dict[str, Any]]:
        """The groups with the settings of a state, `param_groups.I.SETTING` -> array."""
        found: dict[int, dict[str, Any]] = {}
        for key, array in given.items():
            i, _, name = key.removeprefix(_GROUPS).partition(".")
            if not i.isdecimal() or name not in self.defaults:
                raise ValueError(
                    f"load_state_dict: the state does not fit this {type(self).__name__}: unexpected: {key}"
                )
            value = to_numpy(array).tolist()
            found.setdefault(int(i), {})[name] = tuple(value) if isinstance(value, list) else value
        if sorted(found) != list(range(len(self.param_groups))):
            raise ValueError(
                f"load_state_dict: the state has the settings of {len(found)} groups, this {type(self).__name__} has "
                f"{len(self.param_groups)}: leave out what begins with {_GROUPS} to keep the settings of this one"
            )
        groups = [{**group, **found[i]} for i, group in enumerate(self.param_groups)]
        for group in groups:
            self.checked(group)
        return groups


# What PyTorch's optimisers take besides. How fast they are asked to be changes nothing; the others only if they are on.
_SPEED = ("foreach", "fused")
_INSTEAD = {
    "amsgrad": "Adam without it",
    "maximize": "the negative of what is to be large as the loss",
    "differentiable": "plain steps: there are no second derivatives",
    "capturable": "nothing: steps on a GPU are recorded anyway",
    "decays": "two groups: optim.decay_matrices(model.named_parameters(), weight_decay)",
}


def refuse_what_is_not_here(me: str, given: dict[str, Any]) -> None:
    """Raise TypeError for a keyword that this optimiser does not take, unless it changes nothing."""
    for name, value in given.items():
        if name in _SPEED or (name in _INSTEAD and value is False):
            continue
        instead = f": use {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise TypeError(f"{me}: it has no argument {name}{instead}")
