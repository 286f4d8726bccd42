"""Reports: lines of pieces with a style, as plain text, in a terminal's colours, and as HTML for a notebook.

    lines = [[("softmax  ", "name"), ("right in 10 cases", "right")]]
    text_of(lines)    what str() of a report is
    html_of(lines)    what its _repr_html_ returns: the same words
    show(lines)       prints them, in colours on a terminal

Styles: right, wrong, name, less, and "" for none.
"""

import html
import sys

Lines = list[list[tuple[str, str]]]

_COLOURS = {"right": "green", "wrong": "bold red", "name": "bold", "less": "dim", "": ""}  # rich's
_CSS = {"right": "color:#080", "wrong": "color:#b00;font-weight:bold", "name": "font-weight:bold", "less": "color:#777"}


def text_of(lines: Lines) -> str:
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def html_of(lines: Lines) -> str:
    def piece(text: str, style: str) -> str:
        text = html.escape(text)
        return f'<span style="{_CSS[style]}">{text}</span>' if style else text

    return "<pre>" + "\n".join("".join(piece(*part) for part in line) for line in lines) + "</pre>"


def show(lines: Lines) -> None:
    if not sys.stdout.isatty():
        print(text_of(lines))
        return
    from rich.console import Console  # takes a while to load
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        text = Text(no_wrap=False)
        for piece, style in line:
            text.append(piece, _COLOURS[style])
        console.print(text, soft_wrap=True)


class Styled:
    """A report that has `lines()`: it prints as text, and a notebook draws it."""

    def lines(self) -> Lines:
        raise NotImplementedError

    def __str__(self) -> str:
        return text_of(self.lines())

    def _repr_html_(self) -> str:
        return html_of(self.lines())
