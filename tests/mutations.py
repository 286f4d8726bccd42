"""Files that are damaged, in every way that comes to mind: what tests/cli/test_fuzz.py feeds the command with.

mutate(content, rng) -> (how, content)    bytes of any file
mutate_json(value, rng) -> (how, text)    the same for JSON, whose values change their type and size
"""

import copy
import json
import random
from typing import Any

# What stands in for a value. Some are written as text that json.dumps does not make.
VALUES = [None, True, False, 0, 1, -1, 2.5, 10**9, 10**18, -(10**30), 10**39, 1e308, 1e-320, "", "x", "\u0000", "é" * 9]
VALUES += ["[red]", "[/red]", "\x1b[2J", "../../etc/passwd", "/dev/zero", "\udcff", "9" * 5000, "A" * 2_000_000]
VALUES += [[], [[]], {}, {"": {}}, [1, "two", None], [0.5] * 3, float("nan"), float("inf"), list(range(999))]
TEXTS = [
    "[" * 100_000,
    '{"a":' * 5000,
    "1" * 10_000,
    "1" * 300,
    "1e999",
    "-Infinity",
    '{"a": 1, "a": 2}',
    "nul",
    "\ufeff{}",
]


def mutate(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Bytes that differ from `content`, and a word for how."""
    how = rng.choice(
        ["bit", "bytes", "cut", "empty", "nul", "twice", "tail", "head", "bom", "utf-16", "crlf", "latin-1", "length"]
    )
    at = rng.randrange(len(content)) if content else 0
    if how == "bit":
        return how, content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[
            at + 1 :
        ] if content else b"x"
    if how == "bytes":
        return how, content[:at] + rng.randbytes(rng.choice((1, 4, 64))) + content[at + 4 :]
    if how == "cut":
        return how, content[:at]
    if how == "nul":
        return how, content[:at] + bytes(rng.choice((1, 100, 5000))) + content[at:]
    if how == "twice":
        return how, content * 2
    if how == "tail":
        return how, content + rng.randbytes(50)
    if how == "head":
        return how, rng.randbytes(9) + content
    if how == "bom":
        return how, b"\xef\xbb\xbf" + content
    if how == "utf-16":
        return how, content.decode("utf-8", "replace").encode("utf-16")
    if how == "crlf":
        return how, content.replace(b"\n", b"\r\n")
    if how == "latin-1":
        return how, content[:at] + b"\xff\xfe\xe9" + content[at:]
    if how == "length":  # of a safetensors file's header, or whatever begins there
        return how, rng.choice((0, 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little") + content[8:]
    return how, b""


def mutate_json(content: Any, rng: random.Random) -> tuple[str, bytes]:
    """The text of JSON in which one to three places differ from `content`, and words for how."""
    content, said = copy.deepcopy(content), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(content))
        if not places:
            break
        where, key = rng.choice(places)
        how = rng.choice(["value", "value", "value", "gone", "renamed", "text"])
        said.append(f"{how} {key}")
        if how == "value":
            where[key] = rng.choice(VALUES)
        elif how == "gone":
            del where[key]
        elif how == "renamed" and isinstance(where, dict):
            where[rng.choice(["", "x", f"{key}_", "vocab_size"])] = where.pop(key)
        else:
            where[key] = (mark := "a text that comes nowhere else")
            text = json.dumps(content).replace(f'"{mark}"', rng.choice(TEXTS))
            return " ".join(said), text.encode()
    return " ".join(said), json.dumps(content).encode()


def _places(content: Any):
    """(container, key or index) of everything in it; of a long list only the beginning."""
    keys = list(content) if isinstance(content, dict) else range(min(len(content), 5))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])
