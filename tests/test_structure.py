"""The house keeps its order: imports go one way, files stay small, heavy modules load late, few files know the GPU."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_gpt

PACKAGE = Path(tinygrad_gpt.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE).as_posix()) for path in FILES]

# From the ground up: a file may import from its own layer and from those before it.
LAYERS = (
    ("errors", "progress", "arguments", "habits"),
    ("devices", "array", "random_stream", "memory", "sparse_rows", "read_only", "precision", "settings", "files"),
    ("ops",),
    ("kernels",),
    ("tensor", "modes"),
    ("autograd", "state_dict"),
    ("recompute",),
    ("functional", "operators"),
    ("nn", "optim", "cases"),
    ("models", "check", "generate"),
    ("tasks",),
    ("health",),
    ("train",),
    ("cli", "__main__"),
)
BESIDE = {"data": ("errors", "progress", "arguments", "array", "files", "data")}  # the ground floor only
MAY_USE_DATA = ("data", "tasks", "health", "train", "cli", "__main__", "generate")
NARROWER = {  # what a layer may import at most, where that is less than all below it
    "ops": ("array", "random_stream", "memory", "sparse_rows", "ops"),
    "errors": (),
    "progress": (),
    "arguments": (),
    "habits": (),
    "devices": ("errors",),
    "array": ("arguments", "array", "devices"),
    "random_stream": ("arguments", "array"),
    "memory": ("array",),
    "sparse_rows": ("array",),
    "optim": ("errors", "arguments", "habits", "array", "state_dict", "kernels", "autograd", "optim"),
}


def part_of(path: Path) -> str:
    """The layer's name: errors, ops, nn, ... The package's own __init__ is the front door and may import anything."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_modules(path: Path) -> set[str]:
    """Dotted names of everything the file imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def imported_parts(path: Path) -> set[str]:
    own = {name.split(".")[1] for name in imported_modules(path) if name.startswith("tinygrad_gpt.")}
    return {part for part in own if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()}


def allowed(part: str) -> set[str]:
    if part in BESIDE:
        return set(BESIDE[part])
    if part in NARROWER:
        return set(NARROWER[part])
    below = set()
    for layer in LAYERS:
        below |= set(layer)
        if part in layer:
            return below | ({"data"} if part in MAY_USE_DATA else set())
    raise AssertionError(f"{part} has no place in LAYERS: give it one")


@pytest.mark.parametrize("name", [n for n in NAMES if n != "__init__.py"])
def test_imports_go_one_way(name):
    path = PACKAGE / name
    wrong = imported_parts(path) - allowed(part_of(path))
    assert not wrong, f"{name} imports {sorted(wrong)}, which lie above it"


@pytest.mark.parametrize("name", NAMES)
def test_files_stay_small(name):
    lines = (PACKAGE / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 430, f"{name} has {len(lines)} lines: it is two ideas"


@pytest.mark.parametrize("folder", ["numba", "cuda"])
def test_kernels_are_filed_under_the_names_of_ops(folder):
    """What they share lies in folders of its own: machine/, product/, flash/."""
    names = {path.stem for path in (PACKAGE / "kernels" / folder).iterdir() if path.is_file()} - {"__init__"}
    ops = {path.stem for path in (PACKAGE / "ops").glob("[!_]*.py")}
    assert names and names <= ops, f"kernels/{folder}: {sorted(names - ops)}"


@pytest.mark.parametrize("name", NAMES)
def test_every_file_says_what_it_is(name):
    source = (PACKAGE / name).read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{name} has no docstring"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "devices.py" and not n.startswith("kernels/cuda")])
def test_only_devices_and_the_kernels_of_the_gpu_import_cupy(name):
    assert not {m for m in imported_modules(PACKAGE / name) if m.split(".")[0] == "cupy"}


# The only files that may ask where they are: what a device is, what an array is, and the choice among the kernels.
# (numba may be asked about beside them: whether it is installed, which is no device.)
MAY_ASK_WHERE = ("devices.py", "array.py", "memory.py", "kernels/")
PLACES = {"device", "devices", "cuda", "cupy", "gpu"}


def branches_on_devices(source: str) -> list[int]:
    """The lines of conditions in which a word or a text is about devices: in `if`, `while`, `assert`, `match`, `and`
    and `or`, in comparisons and comprehensions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            decides = [node.test]
        elif isinstance(node, ast.Match):
            decides = [node.subject, *node.cases]
        elif isinstance(node, ast.BoolOp | ast.Compare):
            decides = [node]
        elif isinstance(node, ast.comprehension):
            decides = node.ifs
        else:
            continue
        if any(_is_about_a_place(part) for whole in decides for part in ast.walk(whole)):
            found.add(getattr(node, "lineno", None) or node.ifs[0].lineno)
    return sorted(found)


def _is_about_a_place(part: ast.AST) -> bool:
    """Whether a node is a name or a text with such a word, asks `place(x)`, or asks an array for CuPy's `get`."""
    if isinstance(part, ast.Call):
        called = part.func.attr if isinstance(part.func, ast.Attribute) else getattr(part.func, "id", "")
        return called == "place" or (called in ("hasattr", "getattr") and getattr(part.args[1], "value", "") == "get")
    text = getattr(part, "id", None) or getattr(part, "attr", None) or getattr(part, "value", None)
    return isinstance(text, str) and (text == "cpu" or not PLACES.isdisjoint(text.lower().split("_")))


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith(MAY_ASK_WHERE)])
def test_nobody_else_decides_by_the_device(name):
    lines = branches_on_devices((PACKAGE / name).read_text(encoding="utf-8"))
    assert not lines, f"{name}, lines {lines}: the array and the registry decide that"


@pytest.mark.parametrize(
    "planted",
    [
        "if x.device == 'cuda':\n    x = x.get()",
        "y = fast(x) if on_gpu else slow(x)",
        "while not device.ready():\n    pass",
        "if place(x) != 'cpu':\n    pass",
        "if array.place(x) in FAST:\n    pass",
        "run = config.device == 'auto' and fast",
        "xs = [x for x in xs if x.cuda]",
        "match kind:\n    case 'cuda':\n        pass",
        "assert use_cupy",
        "if hasattr(x, 'get'):\n    pass",
    ],
)
def test_a_planted_branch_is_seen(planted):
    source = (PACKAGE / "train" / "trainer.py").read_text(encoding="utf-8")
    line = source.count("\n") + 1
    assert branches_on_devices(source + planted) == [line]


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("ops/", "kernels/"))])
def test_ops_and_kernels_know_no_tensor(name):
    words = {node.id for node in ast.walk(tree(PACKAGE / name)) if isinstance(node, ast.Name)}
    assert "Tensor" not in words


@pytest.mark.parametrize("name", NAMES)
def test_text_files_are_opened_as_utf_8(name):
    """The default encoding differs between systems."""
    for node in ast.walk(tree(PACKAGE / name)):
        if not isinstance(node, ast.Call):
            continue
        keywords = {k.arg for k in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
            assert "encoding" in keywords, f"{name}, line {node.lineno}: encoding is missing"
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            mode = node.args[1].value if len(node.args) > 1 else "r"
            assert "b" in mode or "encoding" in keywords, f"{name}, line {node.lineno}: encoding is missing"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "files/json_files.py"])
def test_json_is_read_in_one_place(name):
    """Whatever reads JSON goes through json_files.py, with its limits and its one error."""
    for node in ast.walk(tree(PACKAGE / name)):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "json", f"{name}, line {node.lineno}: import json, as everywhere"
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "json":
            assert node.attr == "dumps", f"{name}, line {node.lineno}: json.{node.attr}; json_files.py reads JSON"


HEAVY = ("numba", "llvmlite", "matplotlib", "tokenizers", "rich", "typer", "safetensors", "cupy", "torch", "scipy")
HEAVY += ("transformers", "huggingface_hub")


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, tinygrad_gpt; print(*(m for m in {HEAVY} if m in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_working_with_tensors_on_the_reference_loads_nothing_heavy():
    """A machine without Numba never notices; neither does a first look on one that has it, if it says so."""
    code = (
        "import sys\n"
        "sys.modules['numba'] = None\n"  # as if not installed
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'numba' else find(name, *a)\n"
        "import tinygrad_gpt as tg\n"
        "x = tg.Tensor([1.0, 2.0], requires_grad=True)\n"
        "tg.functional.sum(tg.functional.softmax(x * x)).backward()\n"
        f"print(*(m for m in {HEAVY} if sys.modules.get(m)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_numpy_is_the_only_dependency_of_the_core():
    core = [path for path in FILES if part_of(path) in ("array", "ops", "autograd", "functional", "nn", "check")]
    outside = {m.split(".")[0] for path in core for m in imported_modules(path)}
    outside -= {"tinygrad_gpt", *sys.stdlib_module_names}
    assert outside == {"numpy"}
