"""Labels and answers through BERT's tokenizer: what stands in a text comes back to the character."""

import numpy as np
import pytest

from tinygrad_gpt.data.alignment import characters_of, cut_off, labels_at_places, pieces_of, word_places
from tinygrad_gpt.data.windows import best_of_windows, windows
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX

pytest.importorskip("tokenizers", reason="the library tokenizers is not installed")

from tinygrad_gpt.data.wordpiece_tokenizer import WordPieceTokenizer

TEXT = "the café of zoë in paris had naïve guests , and the garçon saw them all"
WORDS = TEXT.split()


@pytest.fixture(scope="module", params=[True, False], ids=["lower case, no accents", "as written"])
def tokenizer(request):
    """One that cuts most words into pieces."""
    return WordPieceTokenizer.train([TEXT, "Café Zoë Garçon"], 75, lowercase=request.param)


@pytest.mark.parametrize("text", ["Zoë saw the café.", "the cafe\u0301 , zoe\u0308!", "  naïve\u200d guests\n(all)"])
def test_every_word_comes_back_with_its_accents(tokenizer, text):
    _, offsets = tokenizer.encode_with_offsets(text)
    for word in text.split():
        for part in {word, word.rstrip(".!"), word.strip("()")}:
            begin = text.index(part)
            first, last = pieces_of(offsets, begin, begin + len(part))
            assert text[slice(*characters_of(text, offsets, first, last))] == part.rstrip("\u200d")


def test_the_first_piece_of_each_word_has_its_label(tokenizer):
    ids, first = tokenizer.encode_words(WORDS)
    assert len(ids) > len(WORDS)
    sequence, _ = tokenizer.pair(ids)
    labels = labels_at_places(np.arange(len(WORDS)), word_places(first, 1, len(sequence) - 1), len(sequence))
    for word, label in zip(WORDS, range(len(WORDS)), strict=True):
        (place,) = np.flatnonzero(labels == label)
        assert sequence[place] == tokenizer.encode(word)[0]
    assert (labels != IGNORE_INDEX).sum() == len(WORDS) and labels[0] == labels[-1] == IGNORE_INDEX


def test_words_cut_off_are_counted_and_a_word_cut_within_is_not_lost(tokenizer):
    ids, first = tokenizer.encode_words(WORDS)
    pieces = np.diff([*first, len(ids)])
    long = int(np.flatnonzero(pieces > 1)[2])  # cut this word after its first piece
    sequence, _ = tokenizer.pair(ids, max_length=int(first[long]) + 3)
    places = word_places(first, 1, len(sequence) - 1)
    assert places[long] == len(sequence) - 2 and (places[long + 1 :] < 0).all()
    assert cut_off([places]) == (len(WORDS) - long - 1, len(WORDS), 1)


def test_an_answer_in_a_text_of_several_windows(tokenizer):
    text = " ".join(WORDS * 5) + " Le Garçon."
    _, offsets = tokenizer.encode_with_offsets(text)
    begin = text.index("Le Garçon")
    first, last = pieces_of(offsets, begin, begin + len("Le Garçon"))
    parts, places = windows(len(offsets), 24, 8), []
    scores = [np.zeros((window.end - window.begin, 2)) for window in parts]
    for score, window in zip(scores, parts, strict=True):
        if (found := window.places(first, last, before=0)) is not None:
            score[found[0], 0] = score[found[1], 1] = 5
            places.append(found)
    assert len(parts) > 3 and places
    best = best_of_windows(scores, parts)
    assert text[slice(*characters_of(text, offsets, best.first, best.last))] == "Le Garçon"
