"""Where a translator looked, for people to see: words in the place of their pieces, as lines of text and as a picture.

               ein  hund  schläft  </s>            what was read
    a          ███  ░░░░                           each line: where the decoder looked
    dog             ▓▓▓▓  ░░░░░░░                  to write this word
    sleeps                ▓▓▓▓▓▓▓  ░░░░
    </s>                           ████

A word may be several tokens. To look at it is to look at any of them: their weights are added up. As it is written, the
decoder looks once for each of them: the mean counts (as in Clark, Khandelwal, Levy and Manning, "What does BERT look
at? An analysis of BERT's attention", 2019, section 4.1). So the weights of a line still sum to 1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.errors import in_short
from tinygrad_gpt.files.plots import save_figure

END = "</s>"  # how a sentence's end is shown
SHADES = " ░▒▓█"  # for weights near 0, ¼, ½, ¾ and 1
_LONGEST_WORD = 24  # characters that are shown of one
_BETWEEN = 2  # spaces between two columns
_MOST_INCHES = 40.0  # of a picture


class WordAlignment(NamedTuple):
    """source   S words that were read, the end last
    target   T words that were written, the end last
    weights  (T, S): how much the decoder looked at each of the source's words, as it wrote each of the target's
    """

    source: list[str]
    target: list[str]
    weights: np.ndarray


def align_words(tokenizer: Any, source, target, weights: np.ndarray) -> WordAlignment:
    """The alignment of words, from that of their tokens.

    tokenizer  with an end_id; what its tokens stand for, a space before a word with it, is read from token_bytes
    source     (Ts,) ids that were read, with their end
    target     (Tt,) ids that were written, with their end
    weights    (Tt, Ts), from generate.translate.alignments
    """
    ours, theirs = word_groups(tokenizer, target), word_groups(tokenizer, source)
    at_words = np.stack([weights[:, group].sum(axis=1) for group, _ in theirs], axis=1)  # (Tt, S)
    of_words = np.stack([at_words[group].mean(axis=0) for group, _ in ours])  # (T, S)
    return WordAlignment([word for _, word in theirs], [word for _, word in ours], of_words)


def word_groups(tokenizer: Any, ids) -> list[tuple[list[int], str]]:
    """Of ids (N,): the places of each word's tokens, and the word.

    A token begins a word if a space stands before it, or if one of the two bytes that meet is neither a letter nor a
    digit: "dog." is two words. A part of a character is taken for a letter.
    """
    groups: list[tuple[list[int], bytes]] = []
    goes_on = False
    for place, token in enumerate(int(token) for token in ids):
        piece = tokenizer.token_bytes(token) if token != tokenizer.end_id else END.encode()
        here, before = piece[:1], groups[-1][1][-1:] if groups else b""
        if goes_on and token != tokenizer.end_id and (before == b" " or (_is_letter(before) and _is_letter(here))):
            places, word = groups.pop()
            groups.append(([*places, place], word + piece))
        else:
            groups.append(([place], piece))
        goes_on = token != tokenizer.end_id
    return [(places, in_short(word.decode(errors="replace"), _LONGEST_WORD)) for places, word in groups]


def _is_letter(byte: bytes) -> bool:
    return byte.isalnum() or byte >= b"\x80"


def as_table(alignment: WordAlignment, width: int) -> list[str]:
    """The lines of a table, with the source's words across and the target's down, shaded; if it is wider than `width`
    columns, as_list."""
    from rich.cells import cell_len, set_cell_size

    source, target, weights = alignment
    first = max(map(cell_len, target))
    widths = [cell_len(word) for word in source]
    if first + sum(widths) + _BETWEEN * len(widths) > width:
        return as_list(alignment)
    steps = np.rint(weights * (len(SHADES) - 1)).astype(int)  # (T, S)
    rows = [source, *([SHADES[step] * size for step, size in zip(row, widths, strict=True)] for row in steps)]
    gap = " " * _BETWEEN
    return [
        gap.join([set_cell_size(word, first), *row]).rstrip() for word, row in zip(["", *target], rows, strict=True)
    ]


def as_list(alignment: WordAlignment) -> list[str]:
    """A line for each word of the target: the word of the source that the decoder looked at most, and how much."""
    from rich.cells import cell_len, set_cell_size

    source, target, weights = alignment
    best = weights.argmax(axis=1)  # (T,)
    first, second = max(map(cell_len, target)), max(cell_len(source[i]) for i in best)
    return [
        f"{set_cell_size(word, first)}  {set_cell_size(source[i], second)}  {row[i]:.2f}"
        for word, i, row in zip(target, best, weights, strict=True)
    ]


def draw_alignment(alignment: WordAlignment, path: Path, say: Callable[[str], None] = print) -> bool:
    """Write the table as a picture, the darker the more. Returns whether it was drawn; if not, `say` gets the
    reason."""
    source, target, weights = alignment

    def fill(figure) -> None:
        axes = figure.subplots()
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(source)), source, rotation=60, ha="left", parse_math=False)
        axes.set_yticks(range(len(target)), target, parse_math=False)
        axes.set(xlabel="read", ylabel="written")

    size = (min(2.5 + 0.45 * len(source), _MOST_INCHES), min(2.0 + 0.35 * len(target), _MOST_INCHES))
    return save_figure(path, fill, size, say)
