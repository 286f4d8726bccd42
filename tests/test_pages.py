"""The reference of the API: how docstrings become Markdown for pdoc (.ci/reference.py)."""

import importlib.util
import inspect
import re
from pathlib import Path

from tinygrad_gpt.nn import LayerNorm
from tinygrad_gpt.optim import schedules

SPEC = importlib.util.spec_from_file_location("reference_pages", Path(__file__).parents[1] / ".ci" / "reference.py")
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)

DOCSTRING = """\
Does a thing to x.

x, y    (B, T) floats; what comes next
        goes on here
factor  a number

    code = indented("already")   # stays

Prose with  two blanks
that goes on."""

MARKDOWN = """\
Does a thing to x.

- `x, y`: (B, T) floats; what comes next
  goes on here
- `factor`: a number

    code = indented("already")   # stays

Prose with  two blanks
that goes on."""


def test_what_explains_names_becomes_a_list():
    assert reference.as_markdown(DOCSTRING.replace("    code", "code")) == MARKDOWN
    assert reference.as_markdown("One line.") == "One line."


def test_docstrings_of_the_package():
    listed = reference.as_markdown(inspect.getdoc(LayerNorm))
    assert re.search(r"^- `weight`: \(C,\) ones", listed, re.MULTILINE)
    example = reference.as_markdown(inspect.getdoc(schedules)).split("\n\n")[1]
    assert "warmup_cosine(" in example and all(line.startswith("    ") for line in example.splitlines())
