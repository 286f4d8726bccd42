"""The scores of predicted numbers: two correlations, and the mean squared error."""

import numpy as np


def mean_squared_error(numbers, predicted) -> float:
    """The mean of (numbers - predicted)²; both (N,) floats, N >= 1."""
    difference = np.asarray(predicted, dtype=np.float64) - np.asarray(numbers, dtype=np.float64)
    return float(np.mean(difference**2))


def pearson(numbers, predicted) -> float:
    """Pearson's correlation: 1 if the predictions lie on a rising line over the right numbers, -1 on a falling one.

    numbers, predicted  (N,) floats

        r = Σ (x - x̄) (y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²)

    (Pearson, "Notes on regression and inheritance in the case of two parents", 1895.) If x or y is constant, the
    correlation is 0 by convention.
    """
    x, y = (_unit(np.asarray(side, dtype=np.float64)) for side in (numbers, predicted))
    return float(np.clip(x @ y, -1.0, 1.0))  # rounding may lead beyond 1


def spearman(numbers, predicted) -> float:
    """Spearman's correlation: 1 if the predictions are in the order of the right numbers, -1 if in the opposite one.

    numbers, predicted  (N,) floats

    It is Pearson's correlation of their ranks (Spearman, "The proof and measurement of association between two things",
    1904). Equal numbers share the mean of the ranks that they take together. If x or y is constant, it is 0 by
    convention.
    """
    return pearson(_ranks(numbers), _ranks(predicted))


def _unit(x: np.ndarray) -> np.ndarray:
    """(x - x̄) / |x - x̄|; zeros for a constant x."""
    x = x - x[0]  # exact for a constant x, whose mean may be rounded to another number
    if not np.any(x):
        return x
    x = x / np.abs(x).max()  # squares of numbers as great as 1e200 are infinite
    x = x - x.mean()
    return x / np.linalg.norm(x)


def _ranks(x) -> np.ndarray:
    """(N,) float64: 1 for the least number. Of c equal ones, which end at rank e, each gets the mean of e - c + 1 .. e.
    What is no number has no rank."""
    x = np.asarray(x, dtype=np.float64)
    _, which, counts = np.unique(x, return_inverse=True, return_counts=True)
    return np.where(np.isnan(x), np.nan, (np.cumsum(counts) - (counts - 1) / 2)[which])
