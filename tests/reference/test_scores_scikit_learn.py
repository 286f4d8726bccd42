"""Scores beside those of scikit-learn, SciPy and seqeval, on random answers."""

import warnings

import numpy as np
import pytest

from tinygrad_gpt.tasks import scores

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

pytestmark = pytest.mark.reference

RNGS = [np.random.default_rng(seed) for seed in range(40)]


@pytest.fixture(autouse=True)
def without_warnings():
    """Theirs warn of the scores that are undefined, and then give what ours are by convention."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_classes(classes):
    for rng in RNGS:
        labels, predicted = rng.integers(classes, size=(2, rng.integers(1, 30)))
        assert scores.accuracy(labels, predicted) == metrics.accuracy_score(labels, predicted)
        assert scores.matthews(labels, predicted) == pytest.approx(
            metrics.matthews_corrcoef(labels, predicted), abs=1e-12
        )
        macro = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
        assert scores.macro_f1(labels, predicted) == pytest.approx(macro, abs=1e-12)
        for positive in range(classes):
            one = metrics.f1_score(labels == positive, predicted == positive, zero_division=0)
            assert scores.f1(labels, predicted, positive) == pytest.approx(one, abs=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 12])  # with many ties, some, and none
def test_numbers(decimals):
    for rng in RNGS:
        x, y = rng.normal(size=(2, rng.integers(2, 50))).round(decimals)
        for ours, theirs in ((scores.pearson, stats.pearsonr), (scores.spearman, stats.spearmanr)):
            expected = np.nan_to_num(theirs(x, y)[0])  # NaN for a constant
            assert ours(x, y) == pytest.approx(expected, abs=1e-12)
        assert scores.mean_squared_error(x, y) == pytest.approx(metrics.mean_squared_error(x, y), abs=1e-12)


@pytest.mark.parametrize("tags", ["O B-A I-A", "O B-A I-A B-B I-B", "O O O B-A I-A B-creative-work I-creative-work"])
def test_entities(tags):
    theirs = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    tags = tags.split()
    for rng in RNGS:
        lengths = rng.integers(1, 12, size=5)
        right, predicted = ([rng.choice(tags, n).tolist() for n in lengths] for _ in range(2))
        ours = scores.entity_scores(right, predicted)
        for name, value in zip(("precision", "recall", "f1"), ours, strict=True):
            expected = getattr(theirs, f"{name}_score")(right, predicted, zero_division=0)
            assert value == pytest.approx(expected, abs=1e-12)
        report = theirs.classification_report(right, predicted, output_dict=True, zero_division=0)
        for type, by_type in scores.entity_scores_by_type(right, predicted).items():
            expected = [report[type][name] for name in ("precision", "recall", "f1-score")]
            assert by_type == pytest.approx(expected, abs=1e-12)
