"""What README.md says is so: its Python examples run as they are printed, each in an interpreter of its own, and its
numbers of lines are those of the package."""

import ast
import builtins
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_gpt.cli import main
from tinygrad_gpt.exercises.exercise import find

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, flags=re.M | re.S)
DOWNLOADS = ("find_folder", "from_pretrained", "tg.load(")  # what an example calls that needs the network


def imported(tree: ast.Module) -> dict:
    """name -> what the imports of an example bind to it. Raises for what cannot be imported."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = importlib.import_module(alias.name)
                names[alias.asname or alias.name] = module
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            names |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    return names


def test_there_are_examples_of_both_kinds():
    downloading = [any(call in code for call in DOWNLOADS) for code in EXAMPLES]
    assert downloading.count(False) >= 2 and downloading.count(True) >= 2


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_names_are_imported_or_made_before_they_are_used(code):
    tree = ast.parse(code)
    names = imported(tree)
    nodes = list(ast.walk(tree))
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert used <= made | names.keys() | set(dir(builtins))
    for node in nodes:  # tg.device, GPT2.from_pretrained, ...
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            assert hasattr(names[node.value.id], node.attr), f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("code", [code for code in EXAMPLES if not any(call in code for call in DOWNLOADS)])
def test_it_runs_as_printed(code, tmp_path):
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() and "Traceback" not in run.stderr


# --- commands ------------------------------------------------------------------------------------------------------


def blocks_of(path: str, language: str) -> list[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def not_for_every_shell(command: str) -> list[str]:
    """What cmd.exe or PowerShell 5 would take otherwise than a Unix shell, or refuse."""
    return re.findall(r"&&|;|'| #|\\$|\||^\w+=", command)


@pytest.mark.parametrize("path", ["README.md", ".github/CONTRIBUTING.md"])
def test_commands_work_in_every_shell(path):
    commands = "".join(blocks_of(path, "bash")).splitlines()
    inline = re.findall(r"`((?:python|pip|tinygrad-gpt|\w+=\S+) [^`]*)`", (ROOT / path).read_text(encoding="utf-8"))
    assert len(commands) >= 4 and inline
    assert not {c: found for c in [*commands, *inline] if (found := not_for_every_shell(c))}


@pytest.mark.parametrize("command", ["a && b", "a; b", "pip install '.[x]'", "a  # b", "a \\", "a | b", "X=1 a"])
def test_a_planted_command_for_one_shell_is_seen(command):
    assert not_for_every_shell(command)


def test_the_first_steps_stand_in_blocks_of_their_own():
    """.ci/run takes the one that runs the tests."""
    blocks = blocks_of("README.md", "bash")
    assert 'python -m pip install -e ".[plot]"\ntinygrad-gpt train\n' in blocks
    assert [block for block in blocks if "pytest" in block] == [
        'python -m pip install -e ".[test]"\npython -m pytest -n auto\n'
    ]


# --- the session of exercises ----------------------------------------------------------------------------------------


def test_an_exercise_says_what_is_printed(tmp_path, monkeypatch, capsys):
    """All of it stands in what the commands say, but for the lines about what may come next."""
    monkeypatch.setenv("TINYGRAD_GPT_PROGRESS", str(tmp_path / "exercises.json"))
    monkeypatch.chdir(tmp_path)
    right = find("softmax").cut.solution
    wrong = right.replace("np.sum(dy * y", "np.mean(dy * y")
    (session,) = [block for block in blocks_of("README.md", "text") if "exercise check" in block]
    first, *others = re.split(r"^\$ tinygrad-gpt (.*)\n", session, flags=re.M)
    assert not first and wrong != right and len(others) == 6
    texts = iter([wrong, wrong, right])
    for command, said in zip(others[::2], others[1::2], strict=True):
        (tmp_path / "softmax.py").write_text(next(texts), encoding="utf-8")
        main(command.split())
        assert said.strip("\n") in capsys.readouterr().out


# --- how much there is to read --------------------------------------------------------------------------------------


def without_braces(pattern: str) -> list[str]:
    """nn/{linear,dropout}.py as a shell expands it."""
    if not (found := re.search(r"\{(.*?)\}", pattern)):
        return [pattern]
    return [pattern.replace(found[0], name) for name in found[1].split(",")]


def lines_of(patterns: list[str]) -> int:
    patterns = [one for pattern in patterns for one in without_braces(pattern)]
    files = [path for pattern in patterns for path in (ROOT / "tinygrad_gpt").glob(pattern)]
    assert len(files) >= len(patterns), f"{patterns}: some of them are not there"
    return sum(path.read_text(encoding="utf-8").count("\n") for path in files)


def test_it_says_honestly_how_much_there_is_to_read():
    said = re.search(
        r"The part that learns has about ([\d,]+) lines.*?have\s+([\d,]+) more.*?\) ([\d,]+)\.", README, re.S
    )
    command = re.search(r"^cat (.*?) \| wc -l$", README, re.M | re.S)[1].replace("\\\n", " ")
    learns = lines_of(command.split())
    kernels = lines_of(["kernels/numba/**/*.py", "kernels/cuda/**/*.py", "kernels/cuda/**/*.cu*"])
    rest = lines_of(["**/*.py", "**/*.cu", "**/*.cuh"]) - learns - kernels
    for number, actual in zip(said.groups(), (learns, kernels, rest), strict=True):
        assert abs(int(number.replace(",", "")) / actual - 1) < 0.04, f"{number} lines are {actual:,}"
