"""What a wheel holds and says: the lessons, the exercises, the types, whose it is; no link that leads nowhere."""

import importlib.util
import re
import subprocess
import sys
import tomllib
import types
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BANK = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tinygrad_gpt/exercises/bank").glob("*/*.*")]
LESSONS = [path.name for path in (ROOT / "lessons").glob("*.py")]


@pytest.fixture(scope="module")
def hook():
    """.ci/readme.py, whether hatchling is here or not."""
    modules = {}
    if importlib.util.find_spec("hatchling") is None:
        interface = types.ModuleType("hatchling.metadata.plugin.interface")
        interface.MetadataHookInterface = object
        modules = {"hatchling.metadata.plugin.interface": interface}
        modules |= {name: types.ModuleType(name) for name in ("hatchling.metadata.plugin", "hatchling.metadata")}
        modules["hatchling"] = types.ModuleType("hatchling")
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        spec = importlib.util.spec_from_file_location("readme_hook", ROOT / ".ci" / "readme.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        for name in before:
            del sys.modules[name]


def links_to_files(markdown: str) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)]*)\)", markdown) if not link.startswith("https://")]


def test_links_to_files_become_words(hook):
    text = "see [the code](a/b.py), [`c.py`](c.py#x), [it](https://x.org/y)"
    assert hook.without_links_to_files(text) == "see the code, `c.py`, [it](https://x.org/y)"


def test_the_page_of_an_index_has_no_links_to_files(hook):
    readme = ROOT / "README.md"
    assert links_to_files(readme.read_text(encoding="utf-8")), "or this test shows nothing"
    described = {}
    hook.ReadmeHook.update(types.SimpleNamespace(root=str(ROOT)), described)
    assert described["readme"]["content-type"] == "text/markdown"
    text = described["readme"]["text"]
    assert not links_to_files(text)
    assert "`ops/layer_norm.py`" in text and text.count("\n") == readme.read_text(encoding="utf-8").count("\n")


def test_what_the_configuration_says():
    project = CONFIG["project"]
    assert project["authors"] and project["keywords"] and "Typing :: Typed" in project["classifiers"]
    assert project["dynamic"] == ["readme"] and "readme" not in project
    included = CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"lessons": "tinygrad_gpt/lessons"}
    assert (ROOT / "tinygrad_gpt" / "py.typed").exists()


def test_the_wheel(tmp_path):
    """Built without the network, where hatchling is installed."""
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        metadata = next(wheel.read(name) for name in names if name.endswith("METADATA")).decode()
    assert {f"tinygrad_gpt/lessons/{name}" for name in LESSONS} <= set(names)
    assert "tinygrad_gpt/py.typed" in names
    assert "tinygrad_gpt/exercises/bank/softmax/hints.md" in BANK and set(BANK) <= set(names)
    assert not [name for name in names if name.startswith(("tests", "lessons", "benchmarks"))]
    assert "Author: The tinygrad_gpt authors" in metadata
    assert not links_to_files(metadata)
