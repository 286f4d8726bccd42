"""Documents of sentences: what is one, and which are held out."""

import re

import pytest

from tinygrad_gpt.data.documents import LONG_LINE, open_documents, plain_documents, wikitext_documents
from tinygrad_gpt.errors import UserError

ARTICLES = """
 = First title =

 A lobster is blue . It lives in 3 @,@ 000 seas , and is well @-@ known ! " Is it ? " he said .

 = = History = =
 He , too , <unk> the sea .

 = Second =

 One . Two ?
"""


def test_articles_begin_at_titles_and_sentences_end_at_lone_full_stops():
    assert list(wikitext_documents(ARTICLES)) == [
        [
            "A lobster is blue .",
            "It lives in 3,000 seas , and is well-known !",
            '" Is it ? "',
            "he said .",
            "He , too , [UNK] the sea .",
        ],
        ["One .", "Two ?"],
    ]


def test_articles_of_abbreviations_are_not_cut():
    assert list(wikitext_documents(" = T = \n No. 2 Squadron of H. americanus came . \n")) == [
        ["No. 2 Squadron of H. americanus came ."]
    ]


def test_a_line_is_a_sentence_and_a_blank_line_ends_a_document():
    assert plain_documents(["One. Two.\nthree\n  \n\nfour\n", "five"]) == [["One. Two.", "three"], ["four"], ["five"]]


def test_a_long_line_is_split_at_the_ends_of_sentences():
    first, second = "He came (at 4 a. m., it is said). ", '"Well!" Then e.g. this, 1.5 of it'
    line = first * 10 + second
    assert len(line) > LONG_LINE
    assert plain_documents([line]) == [[first.strip()] * 10 + ['"Well!"', "Then e.g. this, 1.5 of it"]]


def test_python_docs_are_sections_without_headings():
    found = open_documents("python-docs")
    everything = found.train + found.held_out
    assert len(found.train) > 100 and len(found.held_out) >= 10
    assert not any(re.search(r"\w [*=~^-]{3,}$", sentence) for document in everything for sentence in document)


def test_shakespeare_is_read_a_scene_at_a_time(tmp_path, monkeypatch):
    (tmp_path / "tinyshakespeare").mkdir()
    speeches = [f"WITCH {n}:\nWhen shall we three\nMeet again?" for n in range(170)]
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("\n\n".join(speeches), encoding="utf-8")
    monkeypatch.setenv("TINYGRAD_GPT_DATA", str(tmp_path))
    found = open_documents("shakespeare")
    assert sorted(map(len, found.train + found.held_out)) == [30, 120, 120, 120, 120]
    assert ["WITCH 40:", "When shall we three", "Meet again?"] in [d[:3] for d in found.train + found.held_out]


def corpus(tmp_path, documents, name="texts.txt"):
    path = tmp_path / name
    path.write_text("\n\n".join("\n".join(lines) for lines in documents), encoding="utf-8")
    return path


def numbered(count):
    return [[f"sentence {n} a", f"sentence {n} b"] for n in range(count)]


def test_whole_documents_are_held_out_wherever_they_stand(tmp_path):
    given = numbered(40)
    found = open_documents(corpus(tmp_path, given))
    assert len(found.held_out) == 4
    assert sorted(found.train + found.held_out) == sorted(given)
    turned = open_documents(corpus(tmp_path, given[::-1], "turned.txt"))
    assert (turned.train, turned.held_out, turned.sha256) == (found.train, found.held_out, found.sha256)
    assert found.held_out != given[-4:]


def test_few_documents_leave_two_for_each_part(tmp_path):
    found = open_documents(corpus(tmp_path, numbered(4)))
    assert [len(found.train), len(found.held_out)] == [2, 2]
    whole = open_documents(corpus(tmp_path, numbered(3), "three.txt"), hold_out=False)
    assert [len(whole.train), len(whole.held_out)] == [3, 0]


def test_a_copy_of_a_document_is_not_another_one(tmp_path):
    once = open_documents(corpus(tmp_path, numbered(40)))
    twice = open_documents(corpus(tmp_path, [*numbered(40), *numbered(30)], "twice.txt"))
    assert (twice.train, twice.held_out, twice.sha256) == (once.train, once.held_out, once.sha256)


def test_files_of_a_folder_are_documents_apart(tmp_path):
    for number, lines in enumerate(numbered(4)):
        corpus(tmp_path, [lines], f"{number}.txt")
    assert len(open_documents(tmp_path).train) == 2


def test_a_document_on_one_line_is_split_into_its_sentences(tmp_path):
    """Short as it is. Of several lines, each is a sentence, whatever stands in it."""
    lines = [["The sea is red. It is cold! Who is Mr. B? 3 are"], ["One. Two.", "Three."]]
    found = plain_documents(["\n\n".join("\n".join(document) for document in lines) + "\n"])
    assert found == [["The sea is red.", "It is cold!", "Who is Mr.", "B?", "3 are"], lines[1]]
    assert plain_documents(["One. Two.\n\nThree."], by_paragraph=True) == [["One. Two.", "Three."]]


def test_other_content_has_another_sha256(tmp_path):
    one = open_documents(corpus(tmp_path, numbered(5), "one.txt"))
    other = open_documents(corpus(tmp_path, numbered(6), "other.txt"))
    assert one.sha256 != other.sha256
    joined = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
    cut = [["a"], ["b", "c", "d"], ["e", "f"], ["g", "h"]]
    assert open_documents(corpus(tmp_path, joined)).sha256 != open_documents(corpus(tmp_path, cut)).sha256


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        ([], "has no sentences: it is empty, or blank"),
        ([["  "]], "has no sentences"),
        ([["one", "two"]] * 5, "has 1 different document, so no sentence is from another one"),
        ([["one", "two"]], "has 1 document, so no sentence is from another one: put a blank line between documents"),
        (numbered(3), "has 3 different documents, too few to hold two out"),
    ],
)
def test_too_little_is_one_line(tmp_path, documents, says):
    with pytest.raises(UserError, match=says):
        open_documents(corpus(tmp_path, documents))


def test_what_are_no_documents(tmp_path):
    with pytest.raises(
        UserError, match=r"there are no documents, file or folder 'wikitxt-2' \(did you mean wikitext-2"
    ):
        open_documents("wikitxt-2")
    with pytest.raises(UserError, match="the lines of names are not in the order of a text"):
        open_documents("names")
    with pytest.raises(UserError, match="there are no documents"):
        open_documents("")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        open_documents(tmp_path / "latin.txt")


def test_a_tokenizer_learns_from_what_trains_alone(tmp_path):
    found = open_documents(corpus(tmp_path, [*numbered(6), ["the [UNK] sea", "[UNK]"]]))
    text = "".join(found.text())
    assert "[UNK]" not in text
    assert all((document[0] in text) for document in found.train if "[UNK]" not in document[0])
    assert not any(document[0] in text for document in found.held_out)
