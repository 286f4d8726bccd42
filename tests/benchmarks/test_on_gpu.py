"""The command that measures everything on a GPU: one failure is not the end, and time is kept."""

import sys

import on_gpu
import pytest


@pytest.fixture
def given(monkeypatch, tmp_path):
    """A function that puts Python programs in the place of the commands, and runs the script."""

    def run(*programs, minutes="1"):
        monkeypatch.setattr(on_gpu, "commands", lambda rounds, peers: [["-c", program] for program in programs])
        monkeypatch.setattr(sys, "argv", ["on_gpu.py", "--minutes", minutes])
        return on_gpu.main()

    return run


def test_a_command_that_fails_is_noted_and_the_next_begins(given, tmp_path, capfd):
    assert given("exit(3)", f"open({str(tmp_path / 'ran')!r}, 'w').close()") == 1
    assert (tmp_path / "ran").exists() and "exit(3): exit status 3" in capfd.readouterr().out
    assert given("pass") == 0


def test_what_takes_too_long_is_cut_short(given, capfd):
    assert given("import time; time.sleep(60)", "print('never')", minutes="0.005") == 1
    said = capfd.readouterr().out
    assert said.count("cut short, the time was over") == 2 and "\nnever" not in said


def test_the_commands_are_there():
    scripts = [command[0] for command in on_gpu.commands(3, ["none"]) if command[0] != "-m"]
    assert scripts and all((on_gpu.harness.FOLDER.parent / script).is_file() for script in scripts)
    assert on_gpu.commands(3, ["none"])[-1][-2:] == ["--peers", "none"]
    assert "--peers" not in on_gpu.commands(3, None)[-1]
