"""What the columns of a .tsv or .csv file mean: every way to write them, and every way to get them wrong."""

import numpy as np
import pytest

from tinygrad_gpt.data import open_task
from tinygrad_gpt.data.examples import Answer, AnsweredQuestions, LabelledPairs, LabelledTexts
from tinygrad_gpt.errors import UserError

PAIRS = "a cat,a dog,no\na cat,the cat,yes\n"
SCORES = "a cat,a dog,1.5\na cat,the cat,4\n"
ASKED = "Who saw it?,He saw the cat.,He\nWhat did he see?,He saw the cat.,the cat\n"


@pytest.fixture
def opened(tmp_path):
    """A function that writes a train and a dev file and opens them."""

    def write(train: str, dev: str | None = None, ending: str = "csv"):
        (tmp_path / f"train.{ending}").write_text(train, encoding="utf-8")
        (tmp_path / f"dev.{ending}").write_text(train if dev is None else dev, encoding="utf-8")
        return open_task(tmp_path)

    return write


def said(opened, *files, **how) -> str:
    """The error, without the way to the file."""
    with pytest.raises(UserError) as error:
        opened(*files, **how)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("heading", ["", "text_a,text_b,label\n", "Premise,Hypothesis,LABEL\n"])
def test_pairs_with_classes(opened, heading):
    task = opened(heading + PAIRS)
    assert task.kind == "pair-classes" and task.classes == ("no", "yes")
    assert isinstance(task.train, LabelledPairs) and len(task.train) == 2
    assert task.train.first == ["a cat", "a cat"] and task.train.second == ["a dog", "the cat"]
    assert task.train.labels.tolist() == [0, 1] and task.train.labels.dtype == np.int64


@pytest.mark.parametrize("heading", ["", "text_a,text_b,score\n", "one,other,Score\n"])
def test_pairs_with_numbers(opened, heading):
    task = opened(heading + SCORES)
    assert task.kind == "similarity" and task.classes == () and task.test is None
    assert task.train.labels.tolist() == [1.5, 4.0] and task.train.labels.dtype == np.float64


def test_columns_are_found_by_their_names(opened):
    task = opened("id,score,text_b,source,text_a\n7,2,two,x,one\n8,3,four,,three\n")
    assert task.kind == "similarity"
    assert task.train.first == ["one", "three"] and task.train.second == ["two", "four"]
    task = opened("label,id,text\nup,1,good\ndown,2,bad\n")
    assert task.kind == "classes" and task.train.texts == ["good", "bad"] and task.train.labels.tolist() == [1, 0]
    assert isinstance(task.train, LabelledTexts)


def test_questions(opened):
    task = opened("question,text,answer\n" + ASKED)
    assert task.kind == "spans" and task.classes == ()
    assert isinstance(task.train, AnsweredQuestions)
    assert task.train.questions == ["Who saw it?", "What did he see?"]
    assert task.train.answers == [(Answer("He", 0),), (Answer("the cat", 7),)]
    assert task.train.answers[1][0].end == 14


def test_the_text_of_a_question_may_be_called_context(opened):
    task = opened("id,question,context,answer\n1,Who?,I am Ada.,Ada\n2,Who?,Bob.,Bob\n")
    assert task.train.texts == ["I am Ada.", "Bob."] and task.kind == "spans"


def test_cells_that_something_else_separates(opened):
    assert "commas should separate the cells of a .csv" in said(opened, "text;label\na b;x\n")
    assert "commas should" not in said(opened, "text\na b\n")


def test_the_start_of_an_answer(opened):
    table = "text,answer,start,question\n aha ha,ha,{},What?\n a,a,1,Which?\n"
    assert opened(table.format(5)).train.answers[0] == (Answer("ha", 5),)  # white space before a text counts
    assert opened(table.format(5)).train.texts[0] == " aha ha"
    assert opened(table.replace("ha,{}", " ha ,{}").format(4)).train.answers[0] == (Answer("ha", 5),)
    assert "line 2: expected an answer that is a part of its text, got 'ha' at character 3" in said(
        opened, table.format(3)
    )
    for start in ("five", "-1", "", "1" * 30, "1.0"):
        assert "line 2: expected how many characters stand before the answer" in said(opened, table.format(start))


def test_an_answer_without_a_start_is_looked_for_among_whole_words_first(opened):
    rows = "What?,started with art.,art\nWho?,started,art\nWhere?,x (a+b) y,(a+b)\n"
    assert opened("question,text,answer\n" + rows).train.answers == [
        (Answer("art", 13),),
        (Answer("art", 2),),
        (Answer("(a+b)", 2),),
    ]


def test_a_question_with_several_right_answers(opened):
    task = opened("question,text,answer\nWho?,I am Ada.,Ada\nWho?,I am Ada.,I\nWho?,Bob.,Bob\nWho?,I am Ada.,Ada\n")
    assert task.train.questions == ["Who?", "Who?"]
    assert task.train.answers == [(Answer("Ada", 5), Answer("I", 0)), (Answer("Bob", 0),)]


def test_the_training_file_tells_what_the_others_hold(opened, tmp_path):
    (tmp_path / "test.csv").write_text("x,y,3\n", encoding="utf-8")
    task = opened(SCORES, "one,two,3\n")  # whole numbers only, but training has others
    assert task.kind == "similarity" and task.dev.labels.tolist() == [3.0] == task.test.labels.tolist()
    (tmp_path / "test.csv").unlink()
    named = "text_a,text_b,label\na,b,1\na,c,2\n"
    assert opened(named, "a,b,2\n").kind == "pair-classes"


def test_a_test_file_does_not_change_what_a_task_is(opened, tmp_path):
    before = opened(SCORES)
    (tmp_path / "test.csv").write_text("x,y,3\n", encoding="utf-8")
    assert opened(SCORES).sha256 == before.sha256 and len(opened(SCORES).test) == 1
    assert opened(SCORES, "a,b,2.5\n").sha256 != before.sha256


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("a,b,1\na,c,0\n", "whole numbers only, which may be classes or scores: name the columns in the first line"),
        ("a,b,sim\na,c,1.5\na,d,2\n", "the third column has numbers below 'sim': name the columns in the first line"),
    ],
)
def test_three_columns_that_may_be_read_in_two_ways(opened, train, expected):
    message = said(opened, train)
    assert expected in message and "text_a,text_b,label or text_a,text_b,score" in message


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (SCORES + "a,b,four\n", "train.csv, line 3: expected a number, got 'four'"),
        (SCORES + "a,b,nan\n", "train.csv, line 3: expected a number, got 'nan'"),
        (SCORES + "a,b,inf\n", "line 3: expected a number"),
        (SCORES + 'a,b,"4,5"\n', "line 3: expected a number, got '4,5'"),
        (SCORES + "a,b,1_0\n", "line 3: expected a number"),
        ("text_a,text_b,score\na,b,\n", "line 2: expected two texts and a number, got 'a | b | '"),
        (SCORES + "a,b\n", "line 3: expected two texts and a number, got 'a | b'"),
        (SCORES + "a,,3\n", "line 3: expected two texts and a number"),
        (PAIRS + "a,b,yes,no\n", "line 3: expected two texts and their label"),
        ("a,b,c,d\n", "line 1: expected a text and its label, or two texts and their label or score, or a heading"),
        ("question,text\n", "line 1: expected a heading with the columns text,label, or text_a,text_b,label, or "),
        ("text_a,text_b,label,score\na,b,c,1.5\n", "got text_a,text_b,label,score"),  # both
        ("text,text,label\na,b,c\n", "got text,text,label"),
        ("text,score\ngood,1.5\n", "line 1: expected a heading with the columns"),
        ("question,text,answer\nWho?,It.,He\n", "line 2: expected an answer that is a part of its text, got 'He'"),
        ("question,text,answer\nWho?,It.,\n", "line 2: expected a question, a text and its answer"),
        ("question,text,answer\nWho?,It.\n", "line 2: expected a question, a text and its answer"),
        ("a,b,1.5\nc,d,1.5\n", "every training text of"),
        ("good,up\nb\0ad,down\n", "train.csv, line 2: expected text, got a zero byte"),
        ('good,up\n"bad,down\n', "train.csv, line 2"),
    ],
)
def test_a_bad_line_is_named(opened, train, expected):
    assert expected in said(opened, train)


def test_numbers_that_are_all_the_same(opened):
    assert "has the label 1.5: at least two different scores are needed" in said(opened, "a,b,1.5\nc,d,1.50\n")


def test_a_class_that_training_never_shows(opened):
    message = said(opened, PAIRS, PAIRS + "\na cat,a fox,perhaps\n")
    assert (
        "dev.csv, line 4: the label 'perhaps' of the test text 'a cat' is not among those of training: no, yes"
        in message
    )


def test_files_of_two_kinds(opened):
    message = said(opened, PAIRS, "good,up\nbad,down\n")
    assert "dev.csv holds the kind classes, but the training file pair-classes" in message


def test_two_files_for_one_part(opened, tmp_path):
    (tmp_path / "dev.tsv").write_text(SCORES.replace(",", "\t"), encoding="utf-8")
    assert "has dev.tsv and dev.csv: leave the one that should be read" in said(opened, SCORES)


def test_how_files_may_be_written(opened):
    """A byte order mark, line ends of all systems, blank lines, quotes, and line ends and commas within them."""
    table = '\ufefftext_a,text_b,score\r\n"a, ""b""\nc",d,2\r\n\r\n  ,, \r\ne,f,3'
    task = opened(table)
    assert task.train.first == ['a, "b"\nc', "e"] and task.train.labels.tolist() == [2, 3]
    task = opened("a\u2028b\x0bc,d\x85,1.5\ne,f,2\n")  # which str.splitlines takes for line ends
    assert task.train.first == ["a\u2028b\x0bc", "e"]
