"""The house keeps its order: imports go one way and never in a circle, files stay small and stand in a map, heavy
modules load late, few files know the GPU."""

import ast
import importlib
import io
import re
import subprocess
import sys
import tokenize
from functools import lru_cache
from pathlib import Path

import pytest

import tinygrad_gpt as tg

PACKAGE = Path(tg.__file__).parent
ROOT = PACKAGE.parent
BANK = PACKAGE / "exercises" / "bank"  # what learners open: texts, and no modules of the package
FILES = sorted(path for path in PACKAGE.rglob("*.py") if BANK not in path.parents)
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in FILES}  # name -> text
NAMES = list(SOURCES)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def for_each(names):
    """A decorator: one test that looks at all of these files, and fails with a line for each that is wrong. A test for
    each of them would make thousands, whose setting up takes longer than the looking."""

    def made(check):
        def test():
            wrong = []
            for name in names:
                try:
                    check(name)
                except AssertionError as error:
                    wrong.append(f"{name}: {error}")
            assert not wrong, "\n".join(wrong)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return made


# From the ground up: a file may import from its own layer and from those before it.
LAYERS = (
    ("errors", "progress", "arguments", "habits", "styled"),
    ("devices", "array", "random_stream", "memory", "sparse_rows", "read_only", "precision", "settings", "files"),
    ("ops",),
    ("kernels",),
    ("tensor", "modes", "gradients"),
    ("autograd", "state_dict", "operands"),
    ("recompute",),
    ("functional", "operators"),
    ("nn", "optim", "cases"),
    ("models", "check", "generate"),
    ("tasks",),
    ("health",),
    ("train",),
    ("exercises",),
    ("cli", "__main__"),
)
BESIDE = {  # the ground floor, and of ops the label that losses ignore
    "data": ("errors", "progress", "arguments", "array", "files", "ops", "data"),
}
MAY_USE_DATA = ("data", "tasks", "health", "train", "exercises", "cli", "__main__", "generate")
NARROWER = {  # what a layer may import at most, where that is less than all below it
    "ops": ("array", "random_stream", "memory", "sparse_rows", "ops"),
    "errors": (),
    "progress": (),
    "arguments": (),
    "habits": ("errors",),
    "devices": ("errors",),
    "array": ("arguments", "array", "devices"),
    "random_stream": ("arguments", "array"),
    "memory": ("array",),
    "sparse_rows": ("array",),
    "optim": ("errors", "arguments", "habits", "array", "state_dict", "kernels", "autograd", "optim"),
}

# Files that import by a name made at run time, and the folders that they find the name in.
IMPORT_BY_NAME = {
    "__init__.py": (),  # the front door: what it opens when asked stands in its list
    "kernels/catalogue.py": ("ops/",),
    "check/mistakes/__init__.py": ("check/mistakes/",),
    "kernels/registry.py": ("ops/", "kernels/numba/", "kernels/cuda/"),
    "kernels/numba/machine/make_kernels.py": ("kernels/numba/",),
}

# The one import that goes up, and for type checkers alone: what a Tensor can compute is written above it.
FOR_CHECKERS_ALONE = {"tensor.py": "operators.py"}

MOST_LINES = 400


# --- reading the sources ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=2000)
def tree(source: str) -> ast.Module:
    return ast.parse(source)


@lru_cache(maxsize=2000)
def nodes(source: str) -> list[ast.AST]:
    """Every node of its tree; to walk it takes longer than what most tests here ask of a node."""
    return list(ast.walk(tree(source)))


def layer_of(name: str) -> str:
    """errors, ops, nn, ...: the top-level module or package that a file belongs to."""
    return name.split("/")[0].removesuffix(".py")


def file_of(module: str, sources: dict[str, str]) -> str | None:
    """The file of a dotted name, if it is a module of the package: "tinygrad_gpt.nn.linear" -> "nn/linear.py"."""
    first, *parts = module.split(".")
    if first != "tinygrad_gpt":
        return None
    path = "/".join(parts)
    candidates = (f"{path}.py", f"{path}/__init__.py") if parts else ("__init__.py",)
    return next((name for name in candidates if name in sources), None)


@lru_cache(maxsize=2000)
def imported_modules(source: str) -> frozenset[str]:
    """Dotted names of everything that a file imports: at its top, inside functions, and for type checkers alone."""
    names = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute in this package"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return frozenset(names)


def blocks_for_checkers(source: str) -> list[ast.stmt]:
    """The statements under `if TYPE_CHECKING:`."""
    ifs = [node for node in nodes(source) if isinstance(node, ast.If)]
    return [statement for node in ifs if getattr(node.test, "id", "") == "TYPE_CHECKING" for statement in node.body]


def packages_around(name: str | None, sources: dict[str, str]) -> set[str]:
    """The __init__.py of each package that a file lies in, which run before it: models/hf/hub.py -> models/__init__.py
    and models/hf/__init__.py."""
    folders = (name or "").split("/")[:-1]
    return {f"{'/'.join(folders[:i])}/__init__.py" for i in range(1, len(folders) + 1)} & sources.keys()


def imported_files(name: str, sources: dict[str, str]) -> set[str]:
    """The files of the package that a file imports. `from package import module` is an import of the module."""
    around = packages_around(name, sources)  # they run anyhow
    found, for_checkers = set(), {id(node) for block in blocks_for_checkers(sources[name]) for node in ast.walk(block)}
    for node in nodes(sources[name]):
        files = set()
        if isinstance(node, ast.Import):
            files = {file_of(alias.name, sources) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = file_of(node.module, sources)
            files = {file_of(f"{node.module}.{alias.name}", sources) or whole for alias in node.names}
        files |= {package for file in files for package in packages_around(file, sources)} - around
        found |= files - ({FOR_CHECKERS_ALONE.get(name)} if id(node) in for_checkers else set())
    folders = IMPORT_BY_NAME.get(name, ())
    found |= {other for other in sources if folders and other.startswith(folders)}
    return found - {None}


# --- imports ---------------------------------------------------------------------------------------------------------


def circle(sources: dict[str, str]) -> list[str]:
    """Files that import each other round a circle, the first one twice; empty if there is no circle."""
    done, path = set(), []

    def visit(name: str) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            path.append(name)
            for imported in sorted(imported_files(name, sources) - {name}):
                if found := visit(imported):
                    return found
            done.add(path.pop())
        return []

    return next(filter(None, map(visit, sources)), [])


def test_no_imports_go_in_a_circle():
    """Not even imports inside functions, which only hide a circle."""
    found = circle(SOURCES)
    assert not found, f"imports go in a circle: {' -> '.join(found)}"


@pytest.mark.parametrize(
    ("where", "planted"),
    [
        ("array.py", "from tinygrad_gpt.ops import add"),
        ("tensor.py", "def later():\n    from tinygrad_gpt.operators import Methods"),
        ("tensor.py", "if TYPE_CHECKING:\n    from tinygrad_gpt.functional import add"),
        ("ops/add.py", "def later():\n    from tinygrad_gpt.functional import add"),
        ("ops/add.py", "if TYPE_CHECKING:\n    import tinygrad_gpt.autograd"),
        ("ops/_shapes.py", "from tinygrad_gpt.kernels import registry"),  # which finds ops by their names
        ("nn/linear.py", "from tinygrad_gpt.nn import LayerNorm"),
        ("train/config.py", "from tinygrad_gpt.train import run"),
        ("generate/prompts.py", "from tinygrad_gpt.models.gpt import GPTConfig"),  # models/__init__ imports generate
    ],
)
def test_a_planted_circle_is_seen(where, planted):
    found = circle({**SOURCES, where: f"{SOURCES[where]}\n{planted}\n"})
    assert where in found and found[0] == found[-1] and len(found) > 2


@for_each([n for n in NAMES if n not in IMPORT_BY_NAME])
def test_nobody_else_imports_by_a_name_made_at_run_time(name):
    """Such an import is in no one's sight: the circle that it closes would not be seen."""
    words = {getattr(node, "attr", getattr(node, "id", "")) for node in nodes(SOURCES[name])}
    assert words.isdisjoint({"import_module", "__import__"})


def test_every_layer_is_there():
    tops = {layer_of(name) for name in NAMES} - {"__init__"}
    layers = [part for layer in LAYERS for part in layer] + list(BESIDE)
    assert sorted(layers) == sorted(tops), "LAYERS should hold each module and package once"


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


def imports_from_above(name: str, sources: dict[str, str]) -> set[str]:
    parts = {layer_of(other) for other in imported_files(name, sources)}
    return parts - allowed(layer_of(name))


@for_each([n for n in NAMES if n != "__init__.py"])  # the front door may import anything
def test_imports_go_one_way(name):
    wrong = imports_from_above(name, SOURCES)
    assert not wrong, f"{name} imports {sorted(wrong)}, which lie above it"


@pytest.mark.parametrize(
    ("where", "planted", "above"),
    [
        ("nn/linear.py", "from tinygrad_gpt.train import run", "train"),
        ("nn/linear.py", "def later():\n    import tinygrad_gpt.models.gpt", "models"),
        ("ops/add.py", "from tinygrad_gpt import errors", "errors"),
        ("data/batches.py", "from tinygrad_gpt.tensor import Tensor", "tensor"),
        ("errors.py", "from tinygrad_gpt import UserError", "__init__"),
    ],
)
def test_a_planted_import_from_above_is_seen(where, planted, above):
    assert imports_from_above(where, {**SOURCES, where: f"{SOURCES[where]}\n{planted}\n"}) == {above}


# --- files -----------------------------------------------------------------------------------------------------------


@for_each(NAMES)
def test_files_stay_small(name):
    lines = SOURCES[name].count("\n")
    assert lines <= MOST_LINES, f"{name} has {lines} lines: it is two ideas"


@pytest.mark.parametrize("folder", ["numba", "cuda"])
def test_kernels_are_filed_under_the_names_of_ops(folder):
    """What they share lies in folders of its own: machine/, product/, flash/."""
    names = {path.stem for path in (PACKAGE / "kernels" / folder).iterdir() if path.is_file()} - {"__init__"}
    ops = {path.stem for path in (PACKAGE / "ops").glob("[!_]*.py")}
    assert names and names <= ops, f"kernels/{folder}: {sorted(names - ops)}"


@for_each(NAMES)
def test_every_file_says_what_it_is(name):
    assert not SOURCES[name].strip() or ast.get_docstring(tree(SOURCES[name])), f"{name} has no docstring"


# --- maps: the README's table for what lies at the top, a package's docstring for what lies in it --------------------


LIKE_OPS = ("kernels/numba", "kernels/cuda", "check/mistakes")  # files named like an op are found by that name


def map_entry(name: str) -> tuple[str, str]:
    """(the folder whose map should hold a file, the entry), such as ("nn", "linear.py"), ("", "nn/"), ("", "optim.py").
    A package stands in the map of the folder that it lies in."""
    path = name.removesuffix("__init__.py").rstrip("/")
    folder, _, entry = path.rpartition("/")
    return folder, entry if entry.endswith(".py") else f"{entry}/"


def entries(map: str) -> set[str]:
    """What a map names: files (linear.py, or with the way to them, models/gpt.py) and folders (nn/)."""
    return set(re.findall(r"(?<![\w./-])(?:\w+/)*\w+(?:\.py\b|/(?![\w.-]))", map))


def not_in_a_map(sources: dict[str, str], readme: str) -> list[str]:
    missing = []
    ops = [name.split("/")[-1].removesuffix(".py") for name in sources if re.match(r"ops/[a-z]\w*\.py", name)]
    for name in sources:
        folder, entry = map_entry(name)
        if name == "__init__.py" or (folder == "ops" and not entry.startswith("_")):
            continue
        if folder in LIKE_OPS and entry.removesuffix(".py") in ops:
            continue
        text = ast.get_docstring(tree(sources[f"{folder}/__init__.py"])) if folder else house_table(readme)
        if entry not in entries(text):
            missing.append(f"{folder or 'README'}: {entry}")
    return missing


def house_table(readme: str) -> str:
    """The table under the heading "The house", with its paths written without the links."""
    section = readme.split("\n## The house\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"`([\w/.]+)`", section))


def test_every_module_stands_in_a_map():
    missing = not_in_a_map(SOURCES, README)
    assert not missing, f"not in the map of its folder (README's table, or the docstring of __init__.py): {missing}"


@pytest.mark.parametrize("planted", ["new.py", "new/__init__.py", "nn/new.py", "ops/_new.py", "models/new/__init__.py"])
def test_a_planted_module_without_an_entry_is_seen(planted):
    folder, entry = map_entry(planted)
    missing = set(not_in_a_map({**SOURCES, planted: '"""New."""\n'}, README)) - set(not_in_a_map(SOURCES, README))
    assert missing == {f"{folder or 'README'}: {entry}"}


FILES_OF_EXAMPLES = re.compile(r"(\w*/)*([A-Z]+\w*|NN_\w+|my\w*|your\w*)\.\w+")  # NAME.py, my_layer_norm.py
FOLDERS = ("tinygrad_gpt", "tests", "benchmarks", "lessons", ".ci")
EVERYWHERE = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")]


def files_named(text: str) -> set[str]:
    """The source files that a text names, with as much of the way to them as it gives (but not "no such.py")."""
    named = re.findall(r"(?<![\w./-])(?<!no )((?:[\w.]+/)*\w+\.(?:py|cu|cuh))\b", text)
    return {name.removeprefix("../") for name in named if not FILES_OF_EXAMPLES.fullmatch(name)}


def files_that_are_not_there(text: str) -> list[str]:
    return sorted(n for n in files_named(text) if not any(f"/{path}".endswith(f"/{n}") for path in EVERYWHERE))


@for_each(NAMES)
def test_files_that_a_text_names_are_there(name):
    """In docstrings, comments and messages alike: who moves a file finds what is said of it."""
    assert not files_that_are_not_there(SOURCES[name])


GROUND_FLOOR = [name.removesuffix(".py") for name in NAMES if "/" not in name and not name.startswith("__")]


def comments_and_docstrings(source: str) -> list[str]:
    documented = [n for n in nodes(source) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [ast.get_docstring(n) or "" for n in documented] + [t.string for t in tokens if t.type == tokenize.COMMENT]


def names_that_are_not_there(text: str) -> list[str]:
    """What a text calls MODULE.NAME, as in memory.address, without such a NAME in that module of the package. (A tensor
    has a grad.)"""
    found = re.findall(rf"(?<![\w./])({'|'.join(GROUND_FLOOR)})\.(?!py\b)([a-zA-Z_]\w+)", text)
    return [
        f"{module}.{name}"
        for module, name in found
        if not any(hasattr(owner, name) for owner in (importlib.import_module(f"tinygrad_gpt.{module}"), tg.Tensor))
    ]


@for_each(NAMES)
def test_what_a_text_names_in_a_module_is_there(name):
    assert not [n for text in comments_and_docstrings(SOURCES[name]) for n in names_that_are_not_there(text)]


READMES = ("README.md", "benchmarks/README.md", ".github/CONTRIBUTING.md", ".github/CHANGELOG.md")


@pytest.mark.parametrize("path", READMES)
def test_files_and_links_of_a_readme_are_there(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not files_that_are_not_there(text)
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / path).parent.joinpath(link).exists()]


def test_what_the_ci_script_runs_is_there():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert not [path for path in re.findall(r"\btests/[\w/.]+", script) if not (ROOT / path).exists()]


def test_a_planted_name_of_nothing_is_seen():
    planted = "see linear.py, nn/linear.py, nn/lineal.py and your own my_linear.py, or kernels/NAME.cu; rows.cuh, no.cu"
    assert files_that_are_not_there(planted) == ["nn/lineal.py", "no.cu"]
    assert names_that_are_not_there("memory.address, memory.addresses, tensor.grad") == ["memory.addresses"]


# --- the GPU ---------------------------------------------------------------------------------------------------------


@for_each([n for n in NAMES if n != "devices.py" and not n.startswith("kernels/cuda")])
def test_only_devices_and_the_kernels_of_the_gpu_import_cupy(name):
    assert not {m for m in imported_modules(SOURCES[name]) if m.split(".")[0] == "cupy"}


# The only files that may ask where they are: what a device is, what an array is, and the choice among the kernels.
# (numba may be asked about beside them: whether it is installed, which is no device.)
MAY_ASK_WHERE = ("devices.py", "array.py", "memory.py", "kernels/")
PLACES = {"device", "devices", "cuda", "cupy", "gpu"}


def branches_on_devices(source: str) -> list[int]:
    """The lines of conditions in which a word or a text is about devices: in `if`, `while`, `assert`, `match`, `and`
    and `or`, in comparisons and comprehensions."""
    found = set()
    for node in nodes(source):
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


@for_each([n for n in NAMES if not n.startswith(MAY_ASK_WHERE)])
def test_nobody_else_decides_by_the_device(name):
    lines = branches_on_devices(SOURCES[name])
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
    source = SOURCES["train/trainer.py"]
    line = source.count("\n") + 1
    assert branches_on_devices(source + planted) == [line]


# --- what files may not do -------------------------------------------------------------------------------------------


@for_each([n for n in NAMES if n.startswith(("ops/", "kernels/"))])
def test_ops_and_kernels_know_no_tensor(name):
    words = {node.id for node in nodes(SOURCES[name]) if isinstance(node, ast.Name)}
    assert "Tensor" not in words


@for_each(NAMES)
def test_text_files_are_opened_as_utf_8(name):
    """The default encoding differs between systems."""
    for node in nodes(SOURCES[name]):
        if not isinstance(node, ast.Call):
            continue
        keywords = {k.arg for k in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
            assert "encoding" in keywords, f"{name}, line {node.lineno}: encoding is missing"
        if isinstance(node.func, ast.Name) and node.func.id == "open":
            mode = node.args[1].value if len(node.args) > 1 else "r"
            assert "b" in mode or "encoding" in keywords, f"{name}, line {node.lineno}: encoding is missing"


@for_each([n for n in NAMES if n != "files/json_files.py"])
def test_json_is_read_in_one_place(name):
    """Whatever reads JSON goes through json_files.py, with its limits and its one error."""
    for node in nodes(SOURCES[name]):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "json", f"{name}, line {node.lineno}: import json, as everywhere"
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "json":
            assert node.attr == "dumps", f"{name}, line {node.lineno}: json.{node.attr}; json_files.py reads JSON"


KERNELS = [path for path in sorted((PACKAGE / "kernels").rglob("*.*")) if path.suffix in (".py", ".cu", ".cuh")]
SPEED = re.compile(
    r"\d ?%|\d ?(ms|µs|ns|[GT]B/s|[GT]FLOP)\b|\b(half|third|quarter|tenth) (of )?the (time|speed)\b"
    r"|\b(\d+|two|three|four|five|six|ten) times (as|faster|quicker|slower)\b"
)


def figures_of_speed(source: str, suffix: str) -> list[str]:
    """The comments and docstrings of a file of Python or CUDA that have one."""
    texts = comments_and_docstrings(source) if suffix == ".py" else re.findall(r"//.*", source)
    return [text for text in texts if SPEED.search(text)]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_figures_of_speed_are_not_in_the_sources_of_kernels(path):
    """They go stale in a source: a command measures them, and benchmarks/ shows them."""
    found = figures_of_speed(path.read_text(encoding="utf-8"), path.suffix)
    assert not found


@pytest.mark.parametrize("figure", ["packed 87 % of it", "14.5 ms", "42 GB/s", "six times slower", "at half the speed"])
def test_a_planted_figure_of_speed_is_seen(figure):
    assert figures_of_speed(f'def f():\n    """{figure}"""\n', ".py")
    assert figures_of_speed(f"x = 1;  // {figure}", ".cu")
    assert not figures_of_speed("// 16 bytes of 32 lanes, x % 4, twice", ".cu")


# --- what loads when -------------------------------------------------------------------------------------------------


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
    core = [name for name in NAMES if layer_of(name) in ("array", "ops", "autograd", "functional", "nn", "check")]
    outside = {m.split(".")[0] for name in core for m in imported_modules(SOURCES[name])}
    outside -= {"tinygrad_gpt", *sys.stdlib_module_names}
    assert outside == {"numpy"}
