"""The scores of a corpus, with sacrebleu and without it."""

import sys

import pytest

from tinygrad_gpt.tasks.scores import corpus_bleu, corpus_scores

HYPOTHESES, REFERENCES = ["The cat sat on a mat.", "A dog barks!"], ["the cat sat on the mat .", "A dog barked!"]


@pytest.mark.parametrize("how", [{}, {"tokenize": "none"}, {"lowercase": True}])
def test_without_sacrebleu(monkeypatch, how):
    for module in ("sacrebleu", "sacrebleu.metrics"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    found = corpus_scores(HYPOTHESES, REFERENCES, **how)
    assert found.bleu == corpus_bleu(HYPOTHESES, REFERENCES, **how)
    assert found.sacrebleu is None and found.signature == found.bleu.signature


@pytest.mark.parametrize("how", [{}, {"tokenize": "none"}, {"lowercase": True}])
def test_with_sacrebleu(how):
    sacrebleu = pytest.importorskip("sacrebleu")
    found = corpus_scores(HYPOTHESES, REFERENCES, **how)
    assert found.bleu == corpus_bleu(HYPOTHESES, REFERENCES, **how)
    assert found.signature == found.sacrebleu == f"{found.bleu.signature.rpartition(':')[0]}:{sacrebleu.__version__}"


def test_where_sacrebleu_says_another_score(monkeypatch):
    metrics = pytest.importorskip("sacrebleu.metrics")
    right = metrics.BLEU.corpus_score
    monkeypatch.setattr(metrics.BLEU, "corpus_score", lambda self, *given: right(self, ["a b c d"], [["a b c d"]]))
    with pytest.warns(UserWarning, match=r"sacrebleu says BLEU = 100\.00 .*, ours is BLEU = "):
        found = corpus_scores(HYPOTHESES, REFERENCES)
    assert found.bleu == corpus_bleu(HYPOTHESES, REFERENCES) and found.sacrebleu is None


def test_empty_references_which_sacrebleu_does_not_take():
    pytest.importorskip("sacrebleu")
    both = corpus_scores(["a b c d", ""], ["a b c d", ""])
    assert both.bleu.score == pytest.approx(100) and both.sacrebleu is not None, "nothing beside nothing adds nothing"
    one = corpus_scores(["a b c d", "e"], ["a b c d", ""])
    assert one.bleu.precisions[0] == 80 and one.sacrebleu is None
    assert corpus_scores([""], [""]).sacrebleu is None
