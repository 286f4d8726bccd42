"""The reference of the API as pages, made by pdoc from the docstrings:

python -m pip install pdoc
python .ci/reference.py FOLDER
"""

import pkgutil
import re
import sys
import textwrap
import warnings
from pathlib import Path

import tinygrad_gpt

_ENTRY = re.compile(r"(\S+(?:, \S+)*)  +(\S.*)")  # a name, two blanks or more, and what it is


def as_markdown(docstring: str) -> str:
    """A docstring of this package as Markdown: paragraphs whose lines explain names become lists, and an example that
    makes up all of a docstring but its first line becomes code again."""
    return "\n\n".join(_paragraph(text) for text in re.split(r"\n\s*\n", docstring))


def _paragraph(text: str) -> str:
    lines = text.splitlines()
    entries = [_ENTRY.fullmatch(line) for line in lines]
    if re.search(r"\S  +# ", text):
        return textwrap.indent(text, "    ")
    explains = [bool(entry) or line.startswith(" ") for entry, line in zip(entries, lines, strict=True)]
    if not lines or not entries[0] or not all(explains):
        return text
    return "\n".join(
        f"- `{e[1]}`: {e[2]}" if e else f"  {line.strip()}" for e, line in zip(entries, lines, strict=True)
    )


def main(folder: str) -> None:
    from pdoc import pdoc, render, render_helpers

    names = [m.name for m in pkgutil.walk_packages(tinygrad_gpt.__path__, "tinygrad_gpt.")]
    names += [r"!.*\._", r"!.*\.kernels\.cuda\.", "!.*make_kernels"]  # private; takes a GPU's libraries; a program
    render.env.filters["to_html"] = lambda text: render_helpers.to_html(as_markdown(text))
    warnings.simplefilter("ignore")  # about what was excluded
    pdoc("tinygrad_gpt", *names, output_directory=Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
