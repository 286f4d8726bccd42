"""With Counter, lists that are changed on the spot, and a sort."""

from collections import Counter
from itertools import pairwise


def learn_merges(words, n):
    texts = [(list(pieces), count) for pieces, count in words.items()]
    merges = []
    while len(merges) < n:
        counts = Counter()
        for pieces, count in texts:
            for a, b in pairwise(pieces):
                counts[a, b] += count
        best = max(sorted(counts), key=counts.get)
        merges.append(best)
        for pieces, _ in texts:
            i = 0
            while i < len(pieces) - 1:
                if (pieces[i], pieces[i + 1]) == best:
                    pieces[i : i + 2] = ["".join(best)]
                i += 1
    return merges
