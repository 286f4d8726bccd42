"""Merges of small texts. What is right is found by looking at each text as a list of letters with joints in between."""

from collections import Counter
from itertools import pairwise

from tinygrad_gpt.exercises.writing import Case, wrong


def joined(words, n):
    """The merges, by marks of where a piece begins."""
    texts = [("".join(word), [True] * len(word), count) for word, count in words.items()]
    merges = []
    for _ in range(n):
        counts = Counter()
        for letters, begins, count in texts:
            pieces = cut(letters, begins)
            for pair in pairwise(pieces):
                counts[pair] += count
        merges.append(sorted(counts, key=lambda pair: (-counts[pair], pair))[0])
        for letters, begins, _ in texts:
            places = [i for i, first in enumerate(begins) if first] + [len(letters)]
            k = 0
            while k + 2 < len(places):
                a, b, c = places[k : k + 3]
                if (letters[a:b], letters[b:c]) == merges[-1]:
                    begins[b] = False
                    k += 1
                k += 1
    return merges


def cut(letters, begins):
    places = [i for i, first in enumerate(begins) if first] + [len(letters)]
    return [letters[a:b] for a, b in pairwise(places)]


def words_of(**counts):
    return {tuple(word): count for word, count in counts.items()}


def cases():
    for name, n, words in (
        ("one merge", 1, words_of(low=5, lower=2, newest=6, widest=3)),
        ("the paper's example", 8, words_of(low=5, lower=2, newest=6, widest=3)),
        ("a frequent word beside many rare ones", 2, words_of(xy=9, abc=1, abd=1, abe=1, abf=1)),
        ("the same letter again and again", 2, words_of(aaa=2, aaaaa=1)),
        ("a pair twice in a word", 3, words_of(banana=3, bandana=2)),
        ("equally frequent pairs", 3, words_of(zyx=2, abc=2)),
        ("a piece that ends like the first of a pair", 3, words_of(ab=9, abc=4, cbc=5, bcd=6)),
        ("a word of one letter", 1, words_of(a=7, ab=1)),
    ):
        yield Case(name, (words, n), right=[" + ".join(pair) for pair in joined(words, n)])


def run(module, words, n):
    merges = module.learn_merges(words, n)
    return [" + ".join(pair) if isinstance(pair, tuple) else pair for pair in merges]


def counted(words, often=True):
    counts = {}
    for pieces, count in words.items():
        for pair in pairwise(pieces):
            counts[pair] = counts.get(pair, 0) + (count if often else 1)
    return counts


def best_of(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


def merged(pieces, pair):
    found = []
    for piece in pieces:
        if found and (found[-1], piece) == pair:
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)


def learned(words, n, *, count=counted, best=best_of, merge=merged):
    """The right one, but for what is given."""
    merges = []
    for _ in range(n):
        merges.append(best(count(words)))
        words = {merge(pieces, merges[-1]): often for pieces, often in words.items()}
    return merges


@wrong(
    "LM01",
    "each word counts once, however often it occurs",
    why="a pair in a word that comes nine times in the text stands there nine times",
    look="what are the numbers in `words` for?",
)
def words_once(words, n):
    return learned(words, n, count=lambda words: counted(words, often=False))


@wrong(
    "LM02",
    "pairs are counted once, at the start, and the n most frequent are taken",
    why="a merge makes new neighbours, and takes old ones away: longer pieces than two letters never come up",
    look="what stands beside what, after the first merge?",
)
def counted_once(words, n):
    counts = counted(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n]


@wrong(
    "LM03",
    "pairs overlap: after a merge the walk goes on with the second piece of the pair",
    why="in a, a, a it makes aa, aa of three letters: there is one letter more than before",
    look="how many letters has a word after the merge?",
)
def overlapping(words, n):
    def merge(pieces, pair):
        found, i = [], 0
        while i < len(pieces):
            if pieces[i : i + 2] == pair:
                found.append("".join(pair))
                i += 1 if i + 2 < len(pieces) else 2
            else:
                found.append(pieces[i])
                i += 1
        return tuple(found)

    return learned(words, n, merge=merge)


@wrong(
    "LM04",
    "a pair is joined only where it stands first in a word",
    why="its other places stay as they are, and it comes up again",
    look="what becomes of the second an of banana?",
)
def first_only(words, n):
    def merge(pieces, pair):
        for i in range(len(pieces) - 1):
            if pieces[i : i + 2] == pair:
                return (*pieces[:i], "".join(pair), *pieces[i + 2 :])
        return pieces

    return learned(words, n, merge=merge)


@wrong(
    "LM05",
    "pairs are joined in the text, with spaces between the pieces: it finds the ends of longer pieces too",
    why="'ab c' holds 'b c', but ('b', 'c') is no pair there: 'ab' is one piece",
    look="after a and b are joined, is there a pair ('b', 'c') in abc?",
)
def in_the_text(words, n):
    return learned(
        words, n, merge=lambda pieces, pair: tuple(" ".join(pieces).replace(" ".join(pair), "".join(pair)).split())
    )


@wrong(
    "LM06",
    "of equally frequent pairs the one that was met first",
    why="then the order of the words decides, and the same text gives another tokenizer on another day",
    look="which of two equal ones does max return?",
)
def first_met(words, n):
    return learned(words, n, best=lambda counts: max(counts, key=counts.get))
