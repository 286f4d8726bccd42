"""The scores of a classifier: accuracy; Matthews' correlation, which is 0 for a constant answer; F1."""

import math

import numpy as np

from tinygrad_gpt.ops import log_softmax


def accuracy(labels, predicted) -> float:
    """The share of right answers; labels and predicted (N,) integers, N >= 1."""
    return float(np.mean(np.asarray(labels) == np.asarray(predicted)))


def cross_entropy(labels, scores) -> float:
    """Mean of -log softmax(scores) at the right answers, in nats; labels (N,) integers, scores (N, K) floats."""
    log_p, _ = log_softmax.forward(np.asarray(scores, dtype=np.float64))
    return float(-log_p[np.arange(len(labels)), labels].mean())


def matthews(labels, predicted) -> float:
    """The correlation between the right answers and those given: 1 if all are right, 0 if they are no better than
    chance or a constant answer, -1 (for two classes) if all are wrong.

    labels, predicted  (N,) integers: classes

    For two classes, from the numbers of true and false positives and negatives (Matthews, "Comparison of the predicted
    and observed secondary structure of T4 phage lysozyme", 1975):

        (TP TN - FP FN) / √((TP + FP) (TP + FN) (TN + FP) (TN + FN))

    which is Pearson's correlation of two vectors of 0 and 1. For K classes, two being a special case (Gorodkin,
    "Comparing two K-category assignments by a K-category correlation coefficient", 2004):

        (c s - Σ_k p_k t_k) / √((s² - Σ_k p_k²) (s² - Σ_k t_k²))

    with s examples, c of them right, t_k of class k and p_k predicted as k. If the root is 0 (only one class occurs,
    or only one is predicted), the correlation is 0 by convention.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    classes = int(max(labels.max(), predicted.max())) + 1
    # Python's integers: the fourth power of a number of examples may not fit into 64 bits.
    t = [int(n) for n in np.bincount(labels, minlength=classes)]
    p = [int(n) for n in np.bincount(predicted, minlength=classes)]
    s, c = len(labels), int(np.sum(labels == predicted))
    spread = (s * s - sum(n * n for n in p)) * (s * s - sum(n * n for n in t))
    if spread == 0:
        return 0.0
    return (c * s - sum(a * b for a, b in zip(p, t, strict=True))) / math.sqrt(spread)


def f1(labels, predicted, positive: int = 1) -> float:
    """F1 of one class: the harmonic mean of its precision TP / (TP + FP) and its recall TP / (TP + FN),

        2 TP / (2 TP + FP + FN)                     (van Rijsbergen, "Information retrieval", 1979, chapter 7)

    labels, predicted  (N,) integers: classes
    positive           the class

    If neither the right answers nor those given have the class, F1 is 0 by convention.
    """
    is_it, said_so = np.asarray(labels) == positive, np.asarray(predicted) == positive
    both, all_of_both = int(np.sum(is_it & said_so)), int(np.sum(is_it)) + int(np.sum(said_so))
    return 2 * both / all_of_both if all_of_both else 0.0  # TP + FN are it, TP + FP were said to be


def macro_f1(labels, predicted) -> float:
    """The mean of the F1 of every class that occurs among the right answers or those given. Each class counts alike,
    however rare it is."""
    return float(np.mean([f1(labels, predicted, k) for k in np.union1d(labels, predicted)]))
