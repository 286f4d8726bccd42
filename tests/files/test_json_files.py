"""JSON from files: what is right comes back, and everything else is one error that names the file and the place."""

import json
import math
import os

import pytest

from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.json_files import DEEPEST, parse_json, read_json, write_json
from tinygrad_gpt.files.storage import read_file, user_path

SCHEMA = {
    "step": int,
    "loss": float,
    "name?": (str, None),
    "norms?": [float],
    "sizes?": {...: int},
    "inner?": {"flag": bool},
}


def refused(text, schema=SCHEMA, **how) -> str:
    with pytest.raises(UserError) as caught:
        parse_json(text, "x.json", schema, **how)
    message = str(caught.value)
    assert message.startswith("x.json is damaged: ") and "\n" not in message and len(message) < 300
    return message.removeprefix("x.json is damaged: ")


def test_what_fits_comes_back():
    content = {
        "step": 3,
        "loss": 2,
        "name": None,
        "norms": [1, 2.5],
        "sizes": {"a": 1},
        "inner": {"flag": True},
        "more": [],
    }
    assert parse_json(json.dumps(content), "x.json", SCHEMA) == content
    assert parse_json(b"\xef\xbb\xbf[1]", "x.json", list) == [1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"step": 1.0}, "step should be an integer, not 1.0"),
        ({"step": True}, "step should be an integer, not True"),
        ({"step": 2**63}, "step should be an integer of 64 bits, not 9223372036854775808"),
        ({"loss": "2"}, "loss should be a number, not '2'"),
        ({"loss": False}, "loss should be a number, not False"),
        ({"loss": None}, "loss should be a number, not None"),
        ({"name": 3}, "name should be a text or null, not 3"),
        ({"norms": 3}, "norms should be a list, not 3"),
        ({"norms": [1, [2]]}, "norms[1] should be a number, not [2]"),
        ({"sizes": [1]}, "sizes should be an object, not [1]"),
        ({"sizes": {"a": 1, "b": "c"}}, "sizes['b'] should be an integer, not 'c'"),
        ({"inner": {}}, "inner lacks flag"),
        ({"inner": {"flag": 1}}, "inner.flag should be true or false, not 1"),
    ],
    ids=str,
)
def test_what_does_not_fit(change, problem):
    assert refused(json.dumps({"step": 1, "loss": 2.0} | change)) == problem


def test_another_kind_of_json():
    assert refused("[]") == "it should be an object, not []"
    assert refused('{"loss": 1}') == "it lacks step"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff"),
        ("{}".encode("utf-16"), "codec can't decode"),
        ("[" * 100_000, "brackets within brackets"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"more than {DEEPEST} deep"),
        ('{"a": {"a": 1, "a": 2}}', "the name 'a' stands twice in one object"),
        ("9" * 41, "an integer of 41 digits"),
        ("9" * 10_000, "an integer of 10000 digits"),
        ("NaN", "a number that is not finite (NaN)"),
        ("[1e999]", "a number that is not finite (1e999)"),
        ("1" * 5_000 + ".0e9999", "a number that is not finite (1111"),
    ],
    ids=lambda x: repr(x)[:20],
)
def test_what_is_beyond_the_limits(text, problem):
    assert problem in refused(text, list)


def test_what_is_within_the_limits():
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "x.json", list)
    assert math.isnan(parse_json("[NaN]", "x.json", list, finite=False)[0])


def test_what_is_quoted_is_cut():
    assert len(refused(json.dumps({"step": "A" * 1_000_000, "loss": 1}))) < 200
    assert len(refused(json.dumps({"step": [["A" * 99] * 99] * 99, "loss": 1}))) < 300
    assert in_short("a\n b\x1b[2J" + "c" * 999, 60).startswith(r"a b\x1b[2Jccc") and len(in_short("c" * 999, 60)) < 70


def test_names_that_are_not_utf_8_go_there_and_back(tmp_path):
    content = {"path": os.fsdecode(b"caf\xe9.txt"), "é": "😀"}
    write_json(tmp_path / "x.json", content)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "😀" in text and r"\udce9" in text
    assert read_json(tmp_path / "x.json") == content


def cannot_read(path, most=100) -> str:
    with pytest.raises(UserError, match="cannot read") as caught:
        read_file(path, most)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_no_file(tmp_path):
    assert "it is not a file" in cannot_read(tmp_path)
    assert "No such file" in cannot_read(tmp_path / "none")
    assert "too long" in cannot_read(tmp_path / ("x" * 300)).lower()
    assert "null" in cannot_read(tmp_path / "a\0b")
    (tmp_path / "large").write_bytes(bytes(101))
    assert "larger than 100 bytes" in cannot_read(tmp_path / "large")
    assert read_file(tmp_path / "large", 101) == bytes(101)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_that_nobody_writes_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a file" in cannot_read(tmp_path / "pipe")
    assert "it is not a file" in cannot_read(os.devnull)


def test_a_home_that_nobody_has():
    assert str(user_path("~nobody-has-this-name/x")) == os.path.join("~nobody-has-this-name", "x")
    assert user_path("~").is_absolute()


@pytest.mark.skipif(os.name == "nt", reason="another shell")
def test_commands_to_copy():
    import shlex
    from pathlib import Path

    words = ["tinygrad-gpt", "sample", Path("my run"), "it's $HOME", "--x"]
    assert shlex.split(command(*words)) == [str(word) for word in words]
    assert command("a", Path("-run")) == "a ./-run" and command("a", Path("run")) == "a run"
