"""`tinygrad-gpt exercise`: from the first file to the solution, by what the command itself prints."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt.exercises.exercise import find, read_bank

ADAMW = find("adamw_step")


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GPT_PROGRESS", str(tmp_path / "data" / "exercises.json"))
    return tmp_path / "data" / "exercises.json"


def write(text: str, name: str = "adamw_step.py") -> None:
    Path(name).write_text(text, encoding="utf-8")


def wrong(before: str = "1 - beta1**step", after: str = "1") -> str:
    """The solution of adamw_step with one thing wrong: no correction of m, which is no mistake of the bank's."""
    assert before in ADAMW.cut.solution
    return ADAMW.cut.solution.replace(before, after)


UNCORRECTED = wrong().replace("1 - beta2**step", "1")  # T07


def test_the_list(run):
    status, said, _ = run("exercise", "list")
    assert status == 0 and len(said.splitlines()) == 3 + len(read_bank())
    assert said.endswith("\n\nnext: tinygrad-gpt exercise start exp\n"), "lesson 1 comes first"
    assert re.search(r"^softmax +Softmax, backwards +pair .* 2 of 5 +-$", said, re.MULTILINE)


def test_from_the_first_file_to_the_solution(run, own_progress):
    status, said, _ = run("exercise", "start", "adamw_step")
    assert status == 0 and "complete adamw_step in an editor" in said
    assert Path("adamw_step.py").read_text(encoding="utf-8") == ADAMW.cut.stub
    status, said, _ = run("exercise", "check")
    assert status == 1 and "adamw_step  adamw_step not written yet" in said

    write(UNCORRECTED)
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 1 and "WRONG in 6 of 6" not in said and "WRONG in" in said
    assert re.search(r"^  T07  no bias correction.*\(equal in all \d cases that show it\)$", said, re.MULTILINE)
    assert "it is" in said and "exercise hint adamw_step   one step further (0 of 3 taken)" in said

    said = run("exercise", "hint", "adamw_step")[1]
    assert (
        said.startswith("look\n  at the first step, what is m / √v") and "why" not in said and "(1 of 3 taken)" in said
    )
    said = run("exercise", "hint", "adamw_step")[1]
    assert "3.16 times lr" in said and 'In case "the first step" the gradient is [[' in said
    assert_one_line_error(run("exercise", "solution", "adamw_step"), "adamw_step is not done yet", "--give-up")
    said = run("exercise", "hint", "adamw_step")[1]
    assert "derivation\n" in said and "that was all" in said

    write(ADAMW.cut.solution)
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 0 and "right in 6 cases" in said
    assert re.search(r"yours, \S+ ms:\n", said) and re.search(r"ours, \S+ ms:\n", said)
    assert f"{len(ADAMW.wheats)} other right way" in said
    assert run("exercise", "solution", "adamw_step")[0] == 0
    record = json.loads(own_progress.read_text(encoding="utf-8"))["exercises"]["adamw_step"]
    assert (record["state"], record["hints"]) == ("right", 3)
    assert "adamw_step" not in run("exercise", "next")[1]
    assert re.search(r"^adamw_step .* right$", run("exercise", "list")[1], re.MULTILINE)


def test_another_mistake_begins_the_ladder_anew(run):
    write(UNCORRECTED)
    run("exercise", "hint", "adamw_step")
    run("exercise", "hint", "adamw_step")
    write(wrong("    w = w * (1 - lr * decay)\n", ""))
    assert "(0 of 3 taken)" in run("exercise", "check", "adamw_step.py")[1]
    said = run("exercise", "hint", "adamw_step")[1]
    assert "where does w go when its gradient is 0?" in said and "why" not in said


def test_what_has_no_name_is_given_none(run):
    write(wrong())
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 1 and "(0 of 3 taken)" in said and not re.search(r"T\d\d", said)
    assert "How far should an element move" in run("exercise", "hint", "adamw_step")[1]


def test_a_name_may_have_to_be_earned(run):
    write(UNCORRECTED)
    said = run("exercise", "check", "adamw_step.py", "--no-names")[1]
    assert "T07" not in said and "(0 of 4 taken)" in said
    said = run("exercise", "hint", "adamw_step")[1]
    assert "the mistake\n  T07: no bias correction" in said and "look" not in said


def test_giving_up(run, own_progress):
    status, said, _ = run("exercise", "solution", "adamw_step", "--give-up")
    assert status == 0 and "v_hat = v / (1 - beta2**step)" in said
    assert json.loads(own_progress.read_text(encoding="utf-8"))["exercises"]["adamw_step"]["state"] == "given up"
    write(UNCORRECTED)
    run("exercise", "check", "adamw_step.py")
    assert json.loads(own_progress.read_text(encoding="utf-8"))["exercises"]["adamw_step"]["state"] == "given up"


def test_start_leaves_a_file_alone(run):
    write("mine")
    assert_one_line_error(run("exercise", "start", "adamw_step"), "adamw_step.py is here already")
    assert Path("adamw_step.py").read_text(encoding="utf-8") == "mine"


def test_an_update_says_when_a_text_has_changed(run, own_progress):
    run("exercise", "start", "adamw_step")
    content = json.loads(own_progress.read_text(encoding="utf-8"))
    content["exercises"]["adamw_step"]["text"] = "another"
    content["exercises"]["an_id_of_tomorrow"] = {"state": "right"}
    own_progress.write_text(json.dumps(content), encoding="utf-8")
    assert "the text of adamw_step has changed since you started it" in run("exercise", "check")[1]
    assert "an_id_of_tomorrow" in own_progress.read_text(encoding="utf-8")


def test_errors(run, own_progress):
    for command in ("start", "hint", "solution"):
        assert_one_line_error(run("exercise", command, "sofmax"), "no exercise 'sofmax' (did you mean softmax?)")
    assert_one_line_error(
        run("exercise", "check", "adamw_step.py"), "no file adamw_step.py", "exercise start adamw_step"
    )
    assert_one_line_error(run("exercise", "check", "nothing.py"), "no file nothing.py")
    assert_one_line_error(run("exercise", "check"), "expected a file", "exercise start")
    write("x = 1", "adamw_stp.py")
    assert_one_line_error(run("exercise", "check", "adamw_stp.py"), "no exercise (did you mean adamw_step?)")
    write("import sys\nsys.exit(3)\n")
    assert_one_line_error(
        run("exercise", "check", "adamw_step.py"),
        "adamw_step.py, line 2, `sys.exit(3)`: SystemExit: 3",
        "ends the program",
    )
    write("x = 1\ny = x.no_such\n")
    assert_one_line_error(run("exercise", "check", "adamw_step.py"), "adamw_step.py, line 2, `y = x.no_such`")


def test_a_damaged_progress_file_does_not_stop_a_check(run, own_progress):
    own_progress.parent.mkdir(exist_ok=True)
    own_progress.write_text("{", encoding="utf-8")
    write(ADAMW.cut.solution)
    status, said, error = run("exercise", "check", "adamw_step.py")
    assert status == 0 and "right in 6 cases" in said
    assert error.count("\n") == 1 and "is damaged" in error and "kept as" in error
    assert own_progress.with_name("exercises.json.damaged1").read_text(encoding="utf-8") == "{"
    assert run("exercise", "check", "adamw_step.py")[2] == ""


def test_next_goes_on_with_a_file_that_is_there(run):
    assert "\n  tinygrad-gpt exercise start exp\n" in run("exercise", "next")[1]
    run("exercise", "start", "exp")
    assert "\n  tinygrad-gpt exercise check exp.py\n" in run("exercise", "next")[1]
    run("exercise", "solution", "exp", "--give-up")
    assert "\n  tinygrad-gpt exercise start log\n" in run("exercise", "next")[1]


@pytest.mark.parametrize(("text", "part"), [("", "the file is empty"), ("x = 1\n", "no forward and no backward in it")])
def test_a_file_that_lacks_what_it_is_for(run, text, part):
    write(text, "log.py")
    status, said, _ = run("exercise", "check", "log.py")
    assert status == 1 and part in said and "ops" not in said


def test_what_a_learner_prints_is_shown_once(run):
    lines = "".join(f'    print("{word}")\n' for word in "abcdefg")
    write(ADAMW.cut.solution.replace("    m = beta1", f"{lines}    m = beta1"))
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 0
    assert said.startswith("adamw_step.py prints:\n    a\n    b\n    c\n    d\n    e\n    and 2 more lines\n\n")
    assert said.count("\n    a\n") == 1


def test_an_exit_is_an_exception_like_others(run):
    write(ADAMW.cut.stub.replace("    raise NotImplementedError", "    raise SystemExit(3)  # "))
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 1 and "raised SystemExit: 3, by `raise SystemExit(3)" in said


def test_a_loop_that_does_not_end(run):
    endless = "    import signal\n    signal.raise_signal(signal.SIGINT)\n    while True:\n        pass\n"
    write(ADAMW.cut.stub.rpartition("    raise NotImplementedError")[0] + endless)
    status, said, error = run("exercise", "check", "adamw_step.py")
    assert status == 130 and not said and error.startswith("interrupted in adamw_step.py, line ")
    assert error.count("\n") == 1


def test_a_question_finds_nobody_and_exit_leaves_the_terminal(run):
    write(ADAMW.cut.stub.replace("    raise NotImplementedError", "    input('w? ')  # "))
    assert "raised EOFError" in run("exercise", "check", "adamw_step.py")[1]
    write(ADAMW.cut.stub.replace("    raise NotImplementedError", "    exit()  # "))
    stdin = sys.stdin
    assert "raised SystemExit" in run("exercise", "check", "adamw_step.py")[1]
    assert sys.stdin is stdin and not stdin.closed


SOLUTION = ADAMW.cut.solution
LATIN_1 = SOLUTION.replace("    m =", "    # \xe9\n    m =").encode("latin-1", errors="replace")
READ = {  # what is in a file -> part of what is said, and the status
    "line ends of Windows": (SOLUTION.replace("\n", "\r\n").encode(), "right in 6 cases", 0),
    "a mark of the byte order": (b"\xef\xbb\xbf" + SOLUTION.encode(), "right in 6 cases", 0),
    "an encoding that it names": (b"# coding: latin-1\n" + LATIN_1, "right in 6 cases", 0),
    "tabs": (SOLUTION.replace("    v = beta2", "\tv = beta2").encode(), "inconsistent use of tabs", 2),
    "a byte that is no UTF-8": (LATIN_1, "UTF-8", 2),
    "UTF-16": (SOLUTION.encode("utf-16"), "UTF-8", 2),
    "a zero byte": (SOLUTION.encode() + b"\0", "null byte", 2),
}


@pytest.mark.parametrize("what", READ)
def test_files_as_editors_write_them(run, what):
    content, part, expected = READ[what]
    Path("adamw_step.py").write_bytes(content)
    status, said, error = run("exercise", "check", "adamw_step.py")
    assert status == expected and part in said + error, said + error
    assert "Traceback" not in error and error.count("error:") == (status == 2)
    if status == 0:
        assert "\r" not in said and run("exercise", "solution", "adamw_step")[0] == 0


@pytest.mark.parametrize("name", ["adamw_step (1).py", "adamw_step-2.py", "Adamw_Step.py", "adamw_step_old.py"])
def test_a_file_of_another_name(run, name):
    write(SOLUTION, name)
    assert_one_line_error(run("exercise", "check", name), "no exercise", "did you mean adamw_step?", "call it ID.py")


def test_a_file_that_does_not_parse(run):
    write("def f(:\n    pass\n")
    status, _, error = run("exercise", "check", "adamw_step.py")
    assert status == 2 and error == "  def f(:\n        ^\nerror: adamw_step.py, line 1: invalid syntax\n"


def test_an_exception_of_the_learners(run):
    write(ADAMW.cut.stub.replace("    raise NotImplementedError", "    g.no_such  # "))
    status, said, _ = run("exercise", "check", "adamw_step.py")
    assert status == 1 and "raised AttributeError" in said and "`g.no_such" in said and "adamw_step.py, line 18" in said


def test_verify(run, tmp_path):
    status, said, _ = run("exercise", "verify", "adamw_step")
    assert status == 0 and said == "adamw_step: 5 mistakes, 1 other right versions\n"
    assert_one_line_error(run("exercise", "verify", "--bank", str(tmp_path)), "no exercises in")


def test_a_function_does_not_train(run):
    assert_one_line_error(run("exercise", "train", "adamw_step"), "adamw_step is no op")
    assert_one_line_error(
        run("exercise", "train", "softmax", "--wrong", "X99"), "softmax has no mistake X99: it has S01"
    )
