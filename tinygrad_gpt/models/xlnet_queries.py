"""Who asks in a pass of an XLNet, and what each may see: its two streams, as the rows of one attention."""

from typing import NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, if_on_cpu, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.tensor import plain_array, plain_ids


class Queries(NamedTuple):
    """T tokens of the content stream, and then N targets of the query stream.

    tokens     T
    first      (B, T + N): the row of the table of distances that key 0 has, for each query. T, if there are tokens
               alone: the row for the first, from which that of each next one is a step further
    mask       (B, 1, T + N, K) booleans, True where a query may see a key; None: all see all
    different  (B, T + N, K) booleans, True where a key is of another segment than the query; None: without segments
    mapping    (B, N, T), for targets that are not places (see `spread`); None: they are
    """

    tokens: int
    first: int | Array
    mask: Array | None
    different: Array | None
    mapping: Tensor | None = None

    def of_targets(self) -> "Queries":
        """The targets alone."""
        t, first, mask, different = self.tokens, self.first, self.mask, self.different
        assert not isinstance(first, int), "where there are targets, each query has a row of its own"
        return self._replace(
            tokens=0,
            first=first[:, t:],
            mask=None if mask is None else mask[:, :, t:],
            different=None if different is None else different[:, t:],
        )

    def spread(self, x: Tensor) -> Tensor:
        """x (B, T + N, C) -> who asks at each place: x itself if targets are places. With a mapping, all T places ask,
        each with the sum of the targets that map to it: (B, T + T, C)."""
        return x if self.mapping is None else self._mapped(x, F.transpose(self.mapping, 1, 2))

    def gathered(self, y: Tensor) -> Tensor:
        """The way back: to each target goes the sum of what its places were told."""
        return y if self.mapping is None else self._mapped(y, self.mapping)

    def _mapped(self, x: Tensor, by: Tensor) -> Tensor:
        g = F.matmul(by, x[:, self.tokens :])
        return F.concatenate([x[:, : self.tokens], g], axis=1) if self.tokens else g


def queries_of(
    shape: tuple[int, int],
    m: int,
    like: Array,
    *,
    causal: bool = False,
    same_length: bool = False,
    mask=None,
    padding=None,
    segments=None,
    targets=None,
) -> Queries:
    """The queries of a text of this shape, (B, T), behind M tokens of memory. `like` is an array of the model's.

    causal       whether each place sees only those up to itself
    same_length  whether it then sees no more than M + 1 of them
    mask, padding, segments, targets  those of XLNet.read, which says what is raised
    """
    (b, t), k = shape, m + shape[1]
    after = mask is None and segments is None  # whether a target may be the place after the text
    i, j = np.arange(t + after, like=like)[:, np.newaxis], np.arange(k, like=like)  # places of queries; of keys
    seen = np.ones((b, t + after, k), bool, like=like)
    if causal:
        seen = seen & (j <= i + m) & ((j >= i) if same_length else True)
    if mask is not None:
        seen[:, :, m:] &= _booleans(mask, like, "mask", (b, t, t))
    if padding is not None:
        real = _booleans(padding, like, "padding", (b, t), (b, k))
        seen[:, :, k - real.shape[1] :] &= real[:, np.newaxis]  # (B, 1, T) or (B, 1, K)
    is_hidden = causal or mask is not None or padding is not None
    content = (seen | (j == i + m))[:, :t]  # a token sees itself
    different = None if segments is None else _different(segments, shape, m, like)
    if targets is None:
        return Queries(t, t, content[:, np.newaxis] if is_hidden else None, different)

    places = plain_array(targets, "targets")
    if places.ndim == 3:
        places, mapping = _as_places(places, shape, like)
        if mapping is not None:
            first = np.concatenate([t - i[:t, 0]] * 2)[np.newaxis]  # (1, T + T)
            both = None if different is None else np.concatenate([different, different], axis=1)
            return Queries(t, first, np.concatenate([content, seen[:, :t]], axis=1)[:, np.newaxis], both, mapping)
    places = np.asarray(plain_ids(places, "XLNet", "targets"), like=like)
    _check_places(places, b, t, after)
    rows, at = np.arange(b, like=like)[:, np.newaxis], np.maximum(places, 0)
    query = seen[rows, at] & (places >= 0)[:, :, np.newaxis]  # (B, N, K)
    first = np.concatenate([np.broadcast_to(t - i[:t, 0], (b, t)), t - at], axis=1)  # (B, T + N)
    both = None if different is None else np.concatenate([different, different[rows, at]], axis=1)
    return Queries(t, first, np.concatenate([content, query], axis=1)[:, np.newaxis], both)


def _different(segments, shape: tuple[int, int], m: int, like: Array) -> Array:
    """segments (B, T) -> (B, T, K) booleans."""
    kinds = np.asarray(plain_ids(segments, "XLNet", "segments"), like=like)
    if kinds.shape != shape:
        raise ValueError(f"XLNet: expected segments of shape (B, T) = {shape}, got {kinds.shape}")
    of_keys = np.concatenate([np.zeros_like(kinds, shape=(shape[0], m)), kinds], axis=1)  # (B, K)
    return kinds[:, :, np.newaxis] != of_keys[:, np.newaxis]


def _as_places(mapping: Array, shape: tuple[int, int], like: Array) -> tuple[Array, Tensor | None]:
    """A target_mapping (B, N, T) as places (B, N), and None; itself as the second if rows are no places, or if two are
    the same one, whose queries it adds up."""
    (b, t), known = shape, to_numpy(mapping)
    if mapping.shape != (b, mapping.shape[1], t):
        raise ValueError(f"XLNet: expected a target_mapping of shape (B, N, T) = ({b}, N, {t}), got {mapping.shape}")
    ones = known == 1
    if (ones | (known == 0)).all() and (ones.sum(axis=1) <= 1).all() and (ones.sum(axis=2) <= 1).all():
        return np.where(ones.any(axis=2), ones.argmax(axis=2), -1), None
    return mapping, Tensor(np.asarray(mapping, like.dtype, like=like))


def _check_places(places: Array, b: int, t: int, after: bool) -> None:
    if places.ndim != 2 or len(places) != b:
        raise ValueError(
            f"XLNet: expected targets of shape (B, N), places, or (B, N, T), a target_mapping, with B = {b}, got "
            f"{places.shape}"
        )
    known, most = if_on_cpu(places), t if after else t - 1
    if known.size and not -1 <= known.min() <= known.max() <= most:
        bad = known[(known < -1) | (known > most)][0]
        hint = "" if after or bad != t else ", as mask and segments say nothing of the place after the text"
        raise IndexError(f"XLNet: expected targets in -1 .. {most}, got {bad}{hint}")


def _booleans(given, like: Array, name: str, *shapes: tuple[int, ...]) -> Array:
    """`given` as booleans on the device of `like`. Raises ValueError for a shape that is none of `shapes`, and for
    values other than 0 and 1."""
    x = np.asarray(plain_array(given, name), like=like)
    if x.shape not in shapes:
        raise ValueError(f"XLNet: expected a {name} of shape {' or '.join(map(str, shapes))}, got {x.shape}")
    if x.dtype == bool:
        return x
    known = if_on_cpu(x)
    if not ((known == 0) | (known == 1)).all():
        raise ValueError(f"XLNet: expected a {name} of booleans, or of ones and zeros")
    return x == 1
