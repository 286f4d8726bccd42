"""A text that is longer than what a model reads, in windows that overlap; and the best answer among those in them.

    pieces     0 1 2 3 4 5 6 7 8 9       count 10
    windows    0 1 2 3 4                 room 5, stride 3: from the start of a window to that of the next one
                     3 4 5 6 7
                         5 6 7 8 9       the last window ends with the text

A piece near the end of a window has seen little of what follows it. So each piece may begin an answer in one window
only: in that in which it has the most neighbours on its poorer side. An answer that is not whole in a window is not
in it; training then points to place 0, [CLS], for its start and its end.

(As in the code published with Devlin et al., "BERT", 2019, section 4.2, where the last window is shorter.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST_ANSWER = 30  # pieces


class Window(NamedTuple):
    """Pieces begin .. end-1 of a text, of which begin_of_own .. end_of_own-1 have their most neighbours here. Those of
    all windows, one after the other, are all pieces of the text."""

    begin: int
    end: int
    begin_of_own: int
    end_of_own: int

    def places(self, first: int, last: int, before: int) -> tuple[int, int] | None:
        """Where pieces first .. last of the text stand in a sequence with `before` places before the window's first
        piece: the places of both; None if one of them is outside the window."""
        if self.begin <= first and last < self.end:
            return first - self.begin + before, last - self.begin + before
        return None


class Span(NamedTuple):
    """The first and the last piece of an answer in a text, and the sum of the scores of the two."""

    first: int
    last: int
    score: float


def windows(count: int, room: int, stride: int) -> list[Window]:
    """The windows of `room` pieces on a text of `count` pieces; one, if the whole text fits into it.

    Raises ValueError for a stride that is not in 1 .. room: it would leave pieces out.
    """
    if not 1 <= stride <= room:
        raise ValueError(f"windows: expected a stride in 1 .. {room}, which is the room for pieces, got {stride}")
    begins = [*range(0, count - room, stride), max(0, count - room)]
    ends = [min(begin + room, count) for begin in begins]
    between = [(begin + end) // 2 for begin, end in zip(begins[1:], ends[:-1], strict=True)]  # amid what two share
    return [Window(*each) for each in zip(begins, ends, [0, *between], [*between, count], strict=True)]


def best_span(starts, ends, longest: int = LONGEST_ANSWER) -> Span:
    """The span with the greatest starts[first] + ends[last] where first <= last < first + longest. Of equal ones it is
    the shortest. starts, ends (N,) floats, N >= 1."""
    starts, ends = np.asarray(starts, dtype=np.float64), np.asarray(ends, dtype=np.float64)
    best = Span(0, 0, -np.inf)
    for more in range(min(longest, len(starts))):
        sums = starts[: len(starts) - more] + ends[more:]
        first = int(sums.argmax())
        if sums[first] > best.score:
            best = Span(first, first + more, float(sums[first]))
    return best


def best_of_windows(scores: Sequence[np.ndarray], parts: Sequence[Window], longest: int = LONGEST_ANSWER) -> Span:
    """The best answer in a text.

    scores  for each window (end - begin, 2) floats: how well the answer starts, and ends, at each of its pieces. They
            are compared between windows, so they are a model's scores, not probabilities, whose sum is 1 in each window
    """
    found = []
    for (starts, ends), window in zip((np.asarray(each).T for each in scores), parts, strict=True):
        own = slice(window.begin_of_own - window.begin, window.end_of_own - window.begin)
        may_start = np.full(len(starts), -np.inf)
        may_start[own] = starts[own]
        span = best_span(may_start, ends, longest)
        found.append(Span(span.first + window.begin, span.last + window.begin, span.score))
    return max(found, key=lambda span: span.score)
