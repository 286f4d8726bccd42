"""A text that needs no download: Python's own language reference, which every CPython carries for `help()`.

`pydoc_data.topics` maps topic names to English text, about half a million characters. Two things would spoil it for
training. Many topics are sections of others ("for" and "if" are in "compound"): the same paragraphs would be in the
training part and in the validation part, and the validation loss would reward learning by heart. And its tables are
ASCII drawings. So topics that are part of a longer one are left out, and so are tables; typographic characters become
plain ones. About 350,000 characters remain; they differ a little between versions of Python.
"""

import re

from tinygrad_gpt.errors import UserError

_TABLE_LINE = re.compile(r"^ *(\|.*\||\+[-=+]+\+) *\n", re.MULTILINE)
_UNDERLINE = re.compile(r"^([*=~^-])\1+\n", re.MULTILINE)
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "--", "…": "...", "\xa0": " "})


def python_docs() -> str:
    """The text, topics in alphabetical order. Raises UserError if this Python comes without it."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        topics = {}
    if not topics:
        raise UserError(
            "this Python comes without pydoc_data.topics, the text of the corpus python-docs: "
            "name another corpus or a text file, or use a Python from python.org"
        )
    return "\n\n\n".join(_clean(topics[name]) for name in sorted(_whole_topics(topics))) + "\n"


def _whole_topics(topics: dict[str, str]) -> list[str]:
    """The names of the topics that are not wholly part of another one. Of two equal ones, the first stays."""
    of = {name: _paragraphs(text) for name, text in topics.items()}
    return [a for a in topics if not any(of[a] < of[b] or (of[a] == of[b] and b < a) for b in topics)]


def _paragraphs(text: str) -> set[str]:
    """The paragraphs of a topic, without line breaks and without heading rules, which differ by depth."""
    return {" ".join(block.split()) for block in _UNDERLINE.sub("", text).split("\n\n") if block.strip()}


def _clean(text: str) -> str:
    text = _TABLE_LINE.sub("", text.translate(_PLAIN))
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
