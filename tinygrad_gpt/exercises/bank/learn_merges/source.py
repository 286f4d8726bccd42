"""Byte-pair encoding: learn the merges (Sennrich, Haddow and Birch, 2016, section 3.2).

A tokenizer begins with letters. Then, again and again, it looks for the two pieces that stand side by side most often,
and joins them into one, everywhere. What it joined, in this order, is all that it has to know.

    words    {("l", "o", "w"): 5, ("l", "o", "w", "e", "r"): 2}: each word of a text as a tuple of its pieces, and how
             often it occurs. Pieces of different words are never side by side
    n        how many merges
    returns  the list of n pairs, in the order in which they were merged: [("l", "o"), ("lo", "w"), ...]

A word is read from the left: in "aaa" the first two are joined, and the third is left over. Of pairs that are equally
frequent, the one that Python sorts first is merged. `words` stays as it is. There are enough pairs for n merges.
"""

from itertools import pairwise  # SOLUTION


def learn_merges(words, n):
    # BEGIN SOLUTION
    merges = []
    for _ in range(n):
        counts = {}
        for pieces, count in words.items():
            for pair in pairwise(pieces):
                counts[pair] = counts.get(pair, 0) + count
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = {merged(pieces, best): count for pieces, count in words.items()}
        merges.append(best)
    return merges


def merged(pieces, pair):
    """The pieces with each occurrence of the pair joined."""
    found, i = [], 0
    while i < len(pieces):
        step = 2 if pieces[i : i + 2] == pair else 1
        found.append("".join(pieces[i : i + step]))
        i += step
    return tuple(found)
    # END SOLUTION
