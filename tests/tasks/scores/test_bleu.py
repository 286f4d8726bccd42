"""BLEU, against scores counted by hand, and what it says that other ways of counting do not."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.tasks.scores import corpus_bleu
from tinygrad_gpt.tasks.scores.bleu import ngrams, words_13a

WORDS = st.sampled_from(["a", "b", "c", "d"])
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=5)


def sentence_bleu(hypothesis, reference, **how):
    return corpus_bleu([hypothesis], [reference], **how).score


def test_counted_by_hand():
    """One sentence of 6 words with one wrong: 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours."""
    found = corpus_bleu(["the cat sat on a mat"], ["the cat sat on the mat"])
    assert found.precisions == pytest.approx([100 * 5 / 6, 100 * 3 / 5, 100 * 2 / 4, 100 * 1 / 3])
    assert (found.brevity_penalty, found.hyp_len, found.ref_len) == (1, 6, 6)
    assert found.score == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4))


def test_papineni_s_example_of_clipping():
    """Section 2.1: seven times "the" has two matches, since no reference has it more often."""
    two = corpus_bleu(["the the the the the the the"], ["the cat is on the mat"], ["there is a cat on the mat"])
    assert two.precisions[0] == pytest.approx(100 * 2 / 7)
    one = corpus_bleu(["the the the the the the the"], ["there is a cat on the mat"])
    assert one.precisions[0] == pytest.approx(100 * 1 / 7)


def test_a_short_translation_pays_for_it_and_a_long_one_does_not():
    reference = "a b c d e f g h"
    short = corpus_bleu(["a b c d e"], [reference])
    assert short.precisions == (100, 100, 100, 100)
    assert short.score == pytest.approx(100 * math.exp(1 - 8 / 5)) == 100 * short.brevity_penalty
    long = corpus_bleu([f"{reference} i j"], [reference])
    assert long.brevity_penalty == 1 and long.score == pytest.approx(100 * (8 / 10 * 7 / 9 * 6 / 8 * 5 / 7) ** (1 / 4))


def test_the_penalty_is_the_corpus_s_not_each_sentence_s():
    found = corpus_bleu(["a b c d", "e f g h i j"], ["a b c d e", "e f g h i"])
    assert (found.hyp_len, found.ref_len, found.brevity_penalty) == (10, 10, 1)


def test_of_several_references_the_length_nearest_counts_and_of_two_the_shorter():
    hypothesis = ["a b c d e f"]
    assert corpus_bleu(hypothesis, ["a b c d"], ["a b c d e f g"]).ref_len == 7
    assert corpus_bleu(hypothesis, ["a b c d e f g"], ["a b c d e"]).ref_len == 5
    both = corpus_bleu(hypothesis, ["a b c x x x"], ["x x x d e f"])
    assert both.precisions[:2] == (100, pytest.approx(100 * 4 / 5))  # b c from the one, d e from the other


# --- smoothing --------------------------------------------------------------------------------------------------------


def test_without_smoothing_one_zero_makes_all_zero():
    found = corpus_bleu(["a b x d e"], ["a b c d e"], smooth="none")
    assert found.precisions == (80, 50, 0, 0) and found.score == 0


def test_exponential_smoothing_halves_with_every_zero():
    """4 of 5 words, 2 of 4 pairs, no triple of 3, no four of 2: for 0 stand 1 / (2 * 3) and 1 / (4 * 2)."""
    found = corpus_bleu(["a b x d e"], ["a b c d e"])
    assert found.precisions == pytest.approx([80, 50, 100 / 6, 100 / 8])
    assert found.score == pytest.approx(100 * (0.8 * 0.5 / 6 / 8) ** (1 / 4))
    assert corpus_bleu(["a x c x e"], ["a b c d e"]).precisions == pytest.approx([60, 100 / 8, 100 / 12, 100 / 16])


@pytest.mark.parametrize("smooth", ["exp", "none"])
def test_nothing_right_is_worth_nothing(smooth):
    found = corpus_bleu(["x y z v w"], ["a b c d e"], smooth=smooth)
    assert found.score == 0 and found.precisions == (0, 0, 0, 0)


def test_no_words_and_too_few():
    empty = corpus_bleu(["", ""], ["a b", "c"])
    assert (empty.score, empty.brevity_penalty, empty.hyp_len, empty.ref_len) == (0, 0, 0, 3)
    nothing = corpus_bleu([""], [""])
    assert nothing.score == 0 and "ratio = 0.000" in str(nothing)
    assert sentence_bleu("a", "a") == 0, "one word has no pair of words"
    some = corpus_bleu(["", "a b c d"], ["e f", "a b c d"])
    assert some.precisions == (100, 100, 100, 100) and some.brevity_penalty == pytest.approx(math.exp(1 - 6 / 4))


# --- of a corpus, not of its sentences --------------------------------------------------------------------------------


def test_a_mean_over_sentences_is_another_number():
    """T-9: ten sentences, half of them right and half with one wrong word in the middle: a respectable corpus. The mean
    of sentences calls the second half worthless, or, smoothed, anything: its number is that of the smoothing."""
    references = ["one two three four five"] * 10
    hypotheses = ["one two three four five"] * 5 + ["one two xxxxx four five"] * 5
    pairs = list(zip(hypotheses, references, strict=True))
    corpus = corpus_bleu(hypotheses, references).score
    assert corpus == corpus_bleu(hypotheses, references, smooth="none").score, "nothing in it needs smoothing"
    assert corpus == pytest.approx(100 * (45 / 50 * 30 / 40 * 15 / 30 * 10 / 20) ** (1 / 4))  # 64.1
    plain, smoothed = (sum(sentence_bleu(*pair, smooth=how) for pair in pairs) / 10 for how in ("none", "exp"))
    assert plain == pytest.approx(50) and corpus - plain > 14
    assert abs(smoothed - corpus) > 0.5


def test_a_mean_over_sentences_flatters_where_short_ones_are_good():
    """T-9: a long sentence counts for as many words as it has, in a mean for one."""
    short, long = "a b c d", "e f g h i j k l m n o p"
    hypotheses, references = [short, "e f g h x x x x x x x x"], [short, long]
    mean = (sentence_bleu(short, short) + sentence_bleu(hypotheses[1], long)) / 2
    assert mean > corpus_bleu(hypotheses, references).score + 10


@given(SENTENCES, st.randoms())
def test_the_order_of_sentences_does_not_matter(references, random):
    hypotheses = [" ".join(random.sample(text.split(), len(text.split()))) for text in references]
    order = random.sample(range(len(references)), len(references))
    shuffled = corpus_bleu([hypotheses[i] for i in order], [references[i] for i in order])
    assert shuffled == corpus_bleu(hypotheses, references)
    assert 0 <= shuffled.score <= 100 + 1e-9 and shuffled.precisions[0] == 100


@pytest.mark.long
@given(SENTENCES)
def test_what_is_right_scores_100(references):
    long = [f"{text} a b c" for text in references]
    assert corpus_bleu(long, long).score == pytest.approx(100)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man, a plan.", "A man , a plan ."),
        ("It costs $5,000.50 (about).", "It costs $ 5,000.50 ( about ) ."),
        ("don't stop-gap 3-4 well-", "don't stop-gap 3 - 4 well-"),
        ("&quot;Q&amp;A&quot; &amp;lt;", '" Q & A " <'),
        ("a ... 1. b", "a . . . 1 . b"),
        ("e.g.", "e . g ."),
        ("Straße „Élan“", "Straße „Élan“"),  # only ASCII's signs stand alone
        ("one\ttwo\n", "one two"),
        ("", ""),
    ],
)
def test_words_of_13a(text, words):
    assert words_13a(text) == words.split()


def test_words_of_none_are_what_spaces_part():
    assert corpus_bleu(["a b, c."], ["a b , c ."], tokenize="none").precisions[0] == pytest.approx(100 / 3)
    assert corpus_bleu(["a b, c."], ["a b , c ."]).precisions[0] == 100


def test_capitals():
    hypothesis, reference = ["The Cat SAT down"], ["the cat sat down"]
    assert corpus_bleu(hypothesis, reference).precisions[0] == 25
    assert corpus_bleu(hypothesis, reference, lowercase=True).score == pytest.approx(100)


def test_ngrams():
    assert ngrams(["a", "b", "a", "b"], 2) == {("a", "b"): 2, ("b", "a"): 1}
    assert ngrams(["a"], 2) == {}


# --- what is printed, and what is refused -----------------------------------------------------------------------------


def test_the_line_and_the_signature():
    found = corpus_bleu(["the cat sat on a mat"], ["the cat sat on the mat"])
    assert str(found) == "BLEU = 53.73 83.3/60.0/50.0/33.3 (BP = 1.000 ratio = 1.000 hyp_len = 6 ref_len = 6)"
    assert re.fullmatch(r"nrefs:1\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:tinygrad_gpt\.\d+", found.signature)
    other = corpus_bleu(["a"], ["a"], ["b"], tokenize="none", smooth="none", lowercase=True)
    assert other.signature.startswith("nrefs:2|case:lc|eff:no|tok:none|smooth:none|")


@pytest.mark.parametrize(
    ("arguments", "how", "error", "says"),
    [
        ((["a", "b"], ["a"]), {}, ValueError, r"got 2 hypotheses and \[1\] references"),
        ((["a"], ["a"], ["a", "b"]), {}, ValueError, r"got 1 hypotheses and \[1, 2\] references"),
        (([], []), {}, ValueError, "at least one"),
        ((["a"],), {}, ValueError, r"and \[\] references"),
        (("a b", "a b"), {}, TypeError, "put it in a list"),
        ((["a b"], "a b"), {}, TypeError, "put it in a list"),
        ((["a b"], [["a b", "a"]]), {}, TypeError, r"got \['a b', 'a'\] in one: give several references as lists of"),
        ((["a", "b"], [["a", "b"]]), {}, TypeError, "give several references as lists of their own"),
        (([None], ["a"]), {}, TypeError, "expected lists of sentences, got None in one"),
        ((["a"], ["a"]), {"tokenize": "13b"}, ValueError, "'13a', 'none', got '13b'"),
        ((["a"], ["a"]), {"smooth": "floor"}, ValueError, "'exp', 'none', got 'floor'"),
    ],
)
def test_what_is_refused(arguments, how, error, says):
    with pytest.raises(error, match=says):
        corpus_bleu(*arguments, **how)
