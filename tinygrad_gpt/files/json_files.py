"""JSON from files, all read in one way: damage of any kind is one clear error.

    config = read_json(path, {"vocab_size": int, "corpus": {"sha256": str}, "from?": dict})

The second argument, a schema, says what must be there:

    int, float, str, bool, dict, list    a value of that kind. 1 is a float too; true is not a number
    (int, None)                          one of several kinds; None is JSON's null
    [float]                              a list of floats
    {"step": int, "val_loss?": float}    an object with these names and any others; a name with ? may be missing
    {...: int}                           an object with any names and integers as values

Limits come before the schema. A file has a greatest size. Nesting has a greatest depth, or Python's own limit would
strike when the content is read, written or compared. An integer has a greatest length: float(10**400) is an
OverflowError at the far end of a program. A name stands once in an object, since readers do not agree on which of two
counts. Numbers are finite, unless `finite` is False.
"""

import json
import math
from pathlib import Path
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import read_file, replacing

LARGEST = 4 << 20  # bytes of a file of settings
DEEPEST = 64  # levels of brackets
_DIGITS = 40  # of an integer, with its sign
_INT64 = 1 << 63

_NAMES = {int: "an integer", float: "a number", str: "a text", bool: "true or false", dict: "an object"}
_NAMES |= {list: "a list", type(None): "null"}


def read_json(path: Path, schema: Any = dict, *, most: int = LARGEST, finite: bool = True) -> Any:
    """The content of a JSON file of at most `most` bytes.

    Raises UserError, naming the file, if it cannot be read, is not JSON, exceeds a limit, or does not fit `schema`.
    """
    return parse_json(read_file(path, most), path, schema, finite=finite)


def parse_json(text: str | bytes, where: Any, schema: Any = dict, *, finite: bool = True) -> Any:
    """The content of a JSON text that is already in memory; `where` names its origin in errors. Bytes are UTF-8."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")  # some editors begin a file with a byte order mark
        number = {"parse_int": _integer}
        if finite:
            number |= {"parse_float": _finite, "parse_constant": _finite}
        content = json.loads(text, object_pairs_hook=_object, **number)
        _check_depth(content)
    except RecursionError:
        raise UserError(f"{where} is damaged: brackets within brackets, more than {DEEPEST} deep") from None
    except ValueError as error:
        raise UserError(f"{where} is damaged: {error}") from None
    return check_fits(content, schema, where)


def check_fits(content: Any, schema: Any, where: Any) -> Any:
    """Return `content`. Raises UserError, naming its origin `where`, if it does not fit `schema`."""
    if problem := _misfit(content, schema, ""):
        raise UserError(f"{where} is damaged: {problem}")
    return content


def json_bytes(content: Any, **how) -> bytes:
    """The bytes of a JSON file. Letters of all alphabets stay as they are; lone surrogates (of file names that are not
    UTF-8) are escaped."""
    return json.dumps(content, ensure_ascii=False, **how).encode("utf-8", "backslashreplace")


def write_json(path: Path, content: Any, **how) -> None:
    """Write a JSON file that people can read too, atomically. Raises UserError if the system refuses."""
    with replacing(path) as file:
        file.write(json_bytes(content, indent=2, **how) + b"\n")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"the name {shown(twice)} stands twice in one object")
    return content


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"a number that is not finite ({text[:40]})")
    return number


def _check_depth(content: Any) -> None:
    """Raise RecursionError for more than DEEPEST levels of lists and objects. Does not recurse itself."""
    level = [content]
    for _ in range(DEEPEST + 1):
        level = [x for x in level if isinstance(x, dict | list)]
        if not level:
            return
        level = [part for x in level for part in (x.values() if isinstance(x, dict) else x)]
    raise RecursionError


def _misfit(value: Any, schema: Any, place: str) -> str:
    """What is wrong with a value, as text; "" if nothing is. `place`: where it stands, such as corpus.sha256."""
    if isinstance(schema, tuple):
        problems = [_misfit(value, kind, place) for kind in schema]
        names = " or ".join(_NAMES[_kind(kind)] for kind in schema)
        return f"{place or 'it'} should be {names}, not {shown(value)}" if all(problems) else ""
    kind = _kind(schema)
    if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
        return f"{place or 'it'} should be {_NAMES[kind]}, not {shown(value)}"
    if kind is int and not -_INT64 <= value < _INT64:
        return f"{place} should be an integer of 64 bits, not {shown(value)}".lstrip()
    if isinstance(schema, list):
        return next(filter(None, (_misfit(x, schema[0], f"{place}[{i}]") for i, x in enumerate(value))), "")
    return _misfit_within(value, schema, place) if isinstance(schema, dict) else ""


def _misfit_within(value: dict[str, Any], schema: dict, place: str) -> str:
    for name, kind in schema.items():
        if name is ...:
            for each, x in value.items():
                if problem := _misfit(x, kind, f"{place}[{shown(each)}]"):
                    return problem
            continue
        below = name.removesuffix("?")
        if below in value:
            if problem := _misfit(value[below], kind, f"{place}.{below}".lstrip(".")):
                return problem
        elif below == name:
            return f"{place or 'it'} lacks {name}"
    return ""


def _kind(schema: Any) -> type:
    return schema if isinstance(schema, type) else type(schema)
