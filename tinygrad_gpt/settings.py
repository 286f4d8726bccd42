"""Fields of a dataclass of settings, with what the command and the checks need to know about each of them.

    @dataclass(frozen=True)
    class Config:
        depth: int = setting(4, "Model", "how many layers", low=1)

        def __post_init__(self):
            check_settings(self)

The options of the command, their help and the errors about their values are all read off the fields. A new setting is a
new field, and nothing else.
"""

import dataclasses
import functools
import math
import typing
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, did_you_mean, in_short

_LISTED = 3  # differences that are spelled out
_LARGEST = 1 << 127  # larger integers cannot be compared with floats


class SettingError(UserError):
    """A setting has a value that it cannot have: "n_layer should be at least 1, not 0" is setting, and problem."""

    def __init__(self, setting: str, problem: str):
        super().__init__(setting, problem)
        self.setting, self.problem = setting, problem

    def __str__(self) -> str:
        return f"{self.setting} {self.problem}"


def setting(
    default,
    group: str,
    help: str,
    *,
    choices=(),
    low=None,
    above=None,
    below=None,
    free=False,
    free_unless="",
    advanced=False,
    formerly="",
) -> Any:
    """A field with a default (dataclasses.MISSING for none) and metadata:

    group              heading under which the command's help shows it
    help               what it sets, in a few words
    choices            the values it may have, if there are only a few
    low, above, below  the least value; a bound that it must exceed; a bound that it must stay under
    free               whether a resumed run may change it: true if the weights that come out do not depend on it
    free_unless        another setting, which ties this one down unless it is 0: the outcome depends on it then
    advanced           whether the command's first help leaves it to --help-all
    formerly           an earlier name, under which commands and files may give it too
    """
    metadata = dict(group=group, help=help, choices=choices, low=low, above=above, below=below)
    metadata |= dict(free=free, free_unless=free_unless, advanced=advanced, formerly=formerly)
    return dataclasses.field(default=default, metadata=metadata)


advanced = functools.partial(setting, advanced=True)  # a setting that a first-time user does not need


def check_settings(config) -> None:
    """Raise SettingError for the first field of a dataclass whose value the field does not allow."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, np.generic):  # make it a Python number, which JSON can hold
            value = value.item()
            object.__setattr__(config, field.name, value)  # the dataclass may be frozen
        rule, name = field.metadata, field.name
        kind, may_be_none = value_type(field.type)
        if value is None and may_be_none:
            continue
        wanted = (int, float) if kind is float else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise SettingError(name, f"should be {kind.__name__}, not {shown(value)}")
        if kind in (int, float) and isinstance(value, int) and abs(value) > _LARGEST:
            raise SettingError(name, f"should be a number of at most {len(str(_LARGEST))} digits, not {shown(value)}")
        if kind is float and not math.isfinite(value):
            raise SettingError(name, f"should be a finite number, not {value}")
        if rule["choices"] and value not in rule["choices"]:
            near = did_you_mean(value, rule["choices"])
            raise SettingError(name, f"should be one of {', '.join(rule['choices'])}, not {shown(value)}{near}")
        if rule["low"] is not None and value < rule["low"]:
            raise SettingError(name, f"should be at least {rule['low']}, not {value}")
        if rule["above"] is not None and value <= rule["above"]:
            raise SettingError(name, f"should be greater than {rule['above']}, not {value}")
        if rule["below"] is not None and value >= rule["below"]:
            raise SettingError(name, f"should be less than {rule['below']}, not {value}")


def value_type(annotation: Any) -> tuple[type, bool]:
    """(type, whether None is allowed) of a field's annotation, such as `int` or `int | None`."""
    kinds = typing.get_args(annotation) or (annotation,)
    return kinds[0], type(None) in kinds


def option_name(setting_name: str) -> str:
    """How a setting is written on the command line: min_lr is --min-lr, and from_, a word of Python's, is --from."""
    return "--" + setting_name.rstrip("_").replace("_", "-")


def made_from(kind: type, values: dict[str, Any]) -> Any:
    """A dataclass of settings from those of `values` that it has a field for; the others have their defaults."""
    return kind(**{f.name: values[f.name] for f in dataclasses.fields(kind) if f.name in values})


def current_names(values: dict[str, Any], fields: dict[str, dataclasses.Field]) -> dict[str, Any]:
    """Settings by name, each under its current name."""
    names = {f.metadata["formerly"]: name for name, f in fields.items() if f.metadata["formerly"]}
    return {names.get(name, name): value for name, value in values.items()}


def kept_settings(
    before: dict[str, Any], given: dict[str, Any], fields: dict[str, dataclasses.Field]
) -> dict[str, Any]:
    """The settings of a resumed run by name: those before, with the given ones that cannot change the outcome.

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    changed = {name: value for name, value in given.items() if value != before[name]}
    rules = {name: fields[name].metadata for name in changed}
    refused = [name for name, rule in rules.items() if not rule["free"] or before.get(rule["free_unless"])]
    if refused:
        listed = [f"{option_name(n)} is {in_short(before[n])}, not {in_short(changed[n])}" for n in refused[:_LISTED]]
        more = f" (and {len(refused) - _LISTED} more)" if len(refused) > _LISTED else ""
        raise UserError(
            f"a resumed run keeps its settings: {', '.join(listed)}{more}; leave it out, or start a new run"
        )
    return before | changed
