"""What a learner has done: kept by id, in the system's place for it, whatever an update brings."""

import sys
from pathlib import Path

import pytest

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.exercises import progress
from tinygrad_gpt.exercises.exercise import in_order, read_bank, read_exercise
from tinygrad_gpt.exercises.progress import Progress


def test_what_is_noted_is_read_again(tmp_path):
    path = tmp_path / "deep" / "p.json"
    Progress(path).note("softmax", state="tried", hints=2)
    Progress(path).note("softmax", state="right")
    Progress(path).note("exp", state="started")
    found = Progress(path)
    assert (found.of("softmax").state, found.of("softmax").hints, found.last) == ("right", 2, "exp")
    assert found.of("another").state == ""


def test_what_a_later_version_wrote_stays(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"last": "", "exercises": {"x": {"state": "right", "stars": 3}}}', encoding="utf-8")
    Progress(path).note("x", hints=1)
    assert '"stars": 3' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"last": 3, "exercises": {}}', '{"last": "", "exercises": {"a": {"hints": "x"}}}']
)
def test_damage(tmp_path, text, capsys):
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    aside = [path.with_name("p.json.damaged1"), path.with_name("p.json.damaged2")]
    aside[0].write_text("an older one", encoding="utf-8")
    found = Progress(path)
    assert (found.last, found.of("a").state) == ("", "") and not path.exists()
    assert [file.read_text(encoding="utf-8") for file in aside] == ["an older one", text]
    assert capsys.readouterr().err.count("is damaged") == 1
    Progress(path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("platform", "variable", "place"),
    [
        ("linux", "XDG_DATA_HOME", "set/tinygrad_gpt/exercises.json"),
        ("linux", "", "home/.local/share/tinygrad_gpt/exercises.json"),
        ("darwin", "", "home/Library/Application Support/tinygrad_gpt/exercises.json"),
        ("win32", "APPDATA", "set/tinygrad_gpt/exercises.json"),
        ("win32", "", "home/AppData/Roaming/tinygrad_gpt/exercises.json"),
        ("linux", "TINYGRAD_GPT_PROGRESS", "set"),
    ],
)
def test_where_it_lies(monkeypatch, tmp_path, platform, variable, place):
    for name in ("XDG_DATA_HOME", "APPDATA", "TINYGRAD_GPT_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "user_path", lambda text: tmp_path / "home" if text == "~" else Path(text))
    monkeypatch.setattr(sys, "platform", platform)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "set"))
    assert progress.progress_file() == tmp_path / place


def test_an_exercise_comes_after_what_it_needs():
    bank = read_bank()
    ids = list(in_order(list(reversed(bank.values()))))
    assert ids == list(bank) and all(ids.index(need) < ids.index(id) for id in ids for need in bank[id].needs)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("id = 3", "id should be a text"),
        ("id = ", "is damaged"),
        ('kind = "pairs"', "kind should be one of pair, function"),
        ("colour = 1", "has 'colour', which no exercise has"),
    ],
)
def test_a_damaged_description(tmp_path, text, problem):
    rest = 'id = "x"\ntitle = "X"\nkind = "pair"\nlesson = 1\nminutes = 1\ndifficulty = 1\n'
    name = text.partition(" ")[0]
    lines = [line for line in rest.splitlines() if not line.startswith(f"{name} ")]
    (tmp_path / "exercise.toml").write_text("\n".join([*lines, text]), encoding="utf-8")
    with pytest.raises(UserError, match=problem):
        read_exercise(tmp_path)
