"""Vocabularies of hundreds of thousands of words: a part of the work for all of them, the rest for the rare ones alone.

Sort the words by how often they come, and cut the list: the cutoffs (3, 6) of 10 words make three clusters,

    0 1 2 | 3 4 5 | 6 7 8 9

AdaptiveSoftmax (Grave et al., "Efficient softmax approximation for GPUs", 2017): one softmax chooses among the words of
the first cluster and the other clusters, as if each were a word; a softmax for each other cluster chooses in it.

    log p(word)                                    = log p_0(word)                             in cluster 0
                                                   = log p_0(cluster i) + log p_i(word)        in cluster i

Most targets are frequent, so that the small first softmax is all that they cost. With three clusters it has the columns
word 0, ..., word V0-1, cluster 1, cluster 2: as in the authors' TensorFlow code, and in transformers. (The authors'
PyTorch code counts the clusters from the end. It can learn the same, with weights in another order.)

AdaptiveEmbedding (Baevski and Auli, "Adaptive input representations for neural language modeling", 2019, section 3):
the rarer a word, the less there is to learn of it, so cluster i has vectors of d_embed / div_val^i channels, which a
matrix for each cluster brings to C. The softmax uses the same vectors.
"""

from itertools import pairwise

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import flag, integer, number, shown, sizes
from tinygrad_gpt.array import Array, default_dtype
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.nn.embedding import Embedding
from tinygrad_gpt.nn.module import Module, Parameter
from tinygrad_gpt.ops._shapes import check_ids, equals
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.random_stream import normal
from tinygrad_gpt.tensor import plain_ids


class AdaptiveEmbedding(Module):
    """ids (...) of integers in 0 .. V-1 -> (..., C).

    cutoffs   the first word of each cluster but the first one: rising, in 1 .. V-1
    d_embed   channels of the vectors of the first cluster; None: C
    div_val   by how much those of each further cluster are narrower; 1: all are in one table
    std, proj_std  standard deviations of the initial vectors and matrices

    tables       an Embedding for each cluster, or one
    projections  matrices (C, channels of the table) for each table; none, where there is one of C channels

    Raises ValueError for cutoffs that are no clusters; IndexError, when called, for an id out of range.
    """

    def __init__(
        self,
        vocab_size: int,
        c: int,
        cutoffs: tuple[int, ...] = (),
        *,
        d_embed: int | None = None,
        div_val: int = 1,
        std: float = 1.0,
        proj_std: float | None = None,
    ):
        me = "AdaptiveEmbedding"
        v, c = integer(me, "vocab_size", vocab_size, low=1), integer(me, "c", c, low=1)
        div_val, d_embed = integer(me, "div_val", div_val, low=1), integer(me, "d_embed", d_embed, low=1, or_none=True)
        cutoffs = sizes(me, cutoffs, "cutoffs")
        tables, projected = tables_of(v, c, cutoffs, c if d_embed is None else d_embed, div_val)
        self.ends, self.div_val = (0, *cutoffs, v), div_val  # cluster i has the words ends[i] .. ends[i+1] - 1
        std = number(me, "std", std, low=0)
        self.tables = [Embedding(words, channels, std=std) for words, channels in tables]
        self.projections = [_projection(c, channels, proj_std) for channels in projected]

    def extra_repr(self) -> str:
        return f"{self.ends[-1]} words, cutoffs={self.ends[1:-1]}, div_val={self.div_val}"

    def forward(self, ids) -> Tensor:
        ids = plain_ids(ids, "AdaptiveEmbedding")
        check_ids("embedding", "ids", ids, self.ends[-1])
        if len(self.tables) == 1:
            x = self.tables[0](ids)  # (...) -> (..., d)
            return F.linear(x, self.projections[0]) if self.projections else x  # -> (..., C)
        flat = ids.reshape(-1)  # (N,)
        rows = rows_by_cluster(flat, self.ends)
        parts = [
            F.linear(table(flat[where] - begin), projection)  # (n,) -> (n, d) -> (n, C)
            for where, table, projection, begin in zip(rows, self.tables, self.projections, self.ends[:-1], strict=True)
            if len(where)
        ]
        back = np.argsort(np.concatenate(rows))  # (N,): where each word went
        x = F.concatenate(parts)[back] if parts else Tensor(np.zeros_like(self.projections[0].data, shape=(0,)))
        return F.reshape(x, (*ids.shape, self.projections[0].shape[0]))


class AdaptiveSoftmax(Module):
    """x (..., C) -> log-probabilities (..., V), with the vectors of an AdaptiveEmbedding as weights.

    share_projections  whether all clusters but the first have the embedding's matrices, too

    biases       (V,), or one for each table of the embedding
    projections  for each cluster, (C, channels of its vectors); None where there are none
    cluster_weight, cluster_bias  the columns of the clusters in the first softmax, (n, d_embed) and (n,)
    """

    def __init__(
        self,
        embedding: AdaptiveEmbedding,
        *,
        std: float = 1.0,
        proj_std: float | None = None,
        share_projections: bool = True,
    ):
        share = flag("AdaptiveSoftmax", "share_projections", share_projections)
        self.embedding, self.ends = embedding, embedding.ends
        n, dtype = len(self.ends) - 2, default_dtype()
        theirs, width = embedding.projections, embedding.tables[0].embedding_dim
        self.biases = [Parameter(np.zeros(table.num_embeddings, dtype)) for table in embedding.tables]
        self.projections: list[Parameter | None] = [None] * (n + 1)
        for i in range(n + 1 if theirs else 0):
            of_embedding = theirs[min(i, len(theirs) - 1)]
            rows, columns = of_embedding.shape
            self.projections[i] = of_embedding if share and i else _projection(rows, columns, proj_std)
        self.cluster_weight = Parameter(normal((n, width), scale=std)) if n else None
        self.cluster_bias = Parameter(np.zeros(n, dtype)) if n else None

    def forward(self, x: Tensor) -> Tensor:
        first = F.log_softmax(self._logits(0, x), dim=-1)  # (..., V0 + n)
        v0 = self.ends[1]
        parts = [first[..., :v0]]
        for i in range(1, len(self.ends) - 1):
            column = v0 + i - 1
            parts.append(first[..., column : column + 1] + F.log_softmax(self._logits(i, x), dim=-1))  # (..., Vi)
        return F.concatenate(parts, dim=-1)

    def loss(self, x: Tensor, targets, reduction: str = "mean") -> Tensor:
        """Cross-entropy in nats of the targets (...) after x (..., C), without computing what `forward` does for all
        words. Targets of -100 are left out.

        reduction  "mean" over the others, "sum", or "none": (...), in the order of the targets, 0 for those left out

        Raises IndexError for a target out of range, ValueError for other shapes and if no target is left.
        """
        targets = plain_ids(targets, "AdaptiveSoftmax", "targets")
        check_ids("AdaptiveSoftmax", "targets", targets, self.ends[-1], IGNORE_INDEX)
        if x.shape[:-1] != targets.shape:
            shapes = f"{tuple(x.shape)} and {tuple(targets.shape)}"
            raise ValueError(f"AdaptiveSoftmax: expected x (..., C) and targets (...) of one shape, got {shapes}")
        shape, targets = targets.shape, np.asarray(targets, like=x.data).astype(np.int64).reshape(-1)  # (N,)
        x = F.reshape(x, (-1, x.shape[-1]))  # (N, C)
        left_out = equals(targets, IGNORE_INDEX)
        rows, v0 = rows_by_cluster(np.where(left_out, 0, targets), self.ends), self.ends[1]
        first = np.where(left_out, IGNORE_INDEX, targets)  # (N,): the target, or the column of its cluster
        parts, offset = [], 0
        place = np.full_like(targets, -1)  # (N,): where its loss inside its cluster stands in `parts`; the last is 0
        for i, where in enumerate(rows[1:], start=1):
            first[where] = v0 + i - 1
            if len(where):
                inside = F.cross_entropy(self._logits(i, x[where]), targets[where] - self.ends[i], reduction="none")
                place[where] = np.arange(offset, offset + len(where), like=place)
                offset += len(where)
                parts.append(inside)  # (n,)
        losses = F.cross_entropy(self._logits(0, x), first, reduction="none")  # (N,)
        if parts:
            nothing = Tensor(np.zeros_like(losses.data[:1]))
            losses = losses + F.concatenate([*parts, nothing])[np.where(place < 0, offset, place)]
        if reduction == "none":
            return F.reshape(losses, shape)
        total, counted = F.sum(losses), np.sum(~left_out)
        if reduction == "sum":
            return total
        if not int(counted):
            raise ValueError(f"AdaptiveSoftmax: all targets are {IGNORE_INDEX}, so there is nothing to average")
        return total / counted.astype(total.dtype)

    def _logits(self, i: int, x: Tensor) -> Tensor:
        """x (..., C) -> the scores of cluster i's words, (..., Vi); for the first one with those of the clusters."""
        tables, projection = self.embedding.tables, self.projections[i]
        if len(tables) == 1 and len(self.ends) > 2:
            words = slice(self.ends[i], self.ends[i + 1])
            weight, bias = tables[0].weight[words], self.biases[0][words]
        else:
            weight, bias = tables[i].weight, self.biases[i]
        if i == 0 and self.cluster_weight is not None and self.cluster_bias is not None:
            weight = F.concatenate([weight, self.cluster_weight])  # (V0 + n, d)
            bias = F.concatenate([bias, self.cluster_bias])
        x = x if projection is None else F.matmul(x, projection)  # (..., C) -> (..., d)
        return F.linear(x, weight, bias)


def rows_by_cluster(ids: Array, ends: tuple[int, ...]) -> list[Array]:
    """ids (N,) -> for each cluster, the places of its words: rising, each place once in all."""
    return [np.nonzero((ids >= a) & (ids < b))[0] for a, b in pairwise(ends)]


def tables_of(v: int, c: int, cutoffs: tuple[int, ...], d_embed: int, div_val: int) -> tuple[list, list[int]]:
    """(words, channels) of each table of an AdaptiveEmbedding, and the channels of each that a matrix brings to C.

    Raises ValueError for cutoffs that do not rise, and for clusters without channels.
    """
    clusters = [end - begin for begin, end in pairwise((0, *cutoffs, v))]
    if min(clusters) < 1:
        raise ValueError(f"AdaptiveEmbedding: expected cutoffs that rise, in 1 .. {v - 1}, got {shown(cutoffs)}")
    if div_val == 1:
        return [(v, d_embed)], [d_embed] if d_embed != c else []
    widths = [d_embed // div_val**i for i in range(len(clusters))]
    if widths[-1] < 1:
        times = f"{div_val} (div_val) {len(cutoffs)} times"
        raise ValueError(f"AdaptiveEmbedding: expected channels to divide by {times}, got {d_embed}")
    return list(zip(clusters, widths, strict=True)), widths


def count_parameters(v: int, c: int, cutoffs: tuple[int, ...], d_embed: int, div_val: int, share: bool) -> int:
    """The number of parameters of an AdaptiveEmbedding and its AdaptiveSoftmax, without making them."""
    tables, projected = tables_of(v, c, cutoffs, d_embed, div_val)
    n = len(cutoffs)
    own = projected[:1] if share else projected if div_val > 1 else projected * (n + 1)  # of the softmax
    vectors = sum([words * channels for words, channels in tables])
    return vectors + c * (sum(projected) + sum(own)) + v + n * (d_embed + 1)


def _projection(c: int, d: int, std: float | None) -> Parameter:
    return Parameter(normal((c, d), scale=d**-0.5 if std is None else std))
