"""Questions that a part of a text answers: SQuAD's form, and the split between texts."""

import json

import pytest

from tinygrad_gpt.data import open_task
from tinygrad_gpt.data.examples import Answer
from tinygrad_gpt.errors import UserError


def squad(*paragraphs) -> dict:
    return {"version": "1.1", "data": [{"title": "x", "paragraphs": list(paragraphs)}]}


def paragraph(text: str, *asked) -> dict:
    qas = [
        {"id": str(i), "question": question, "answers": [{"text": a, "answer_start": s} for a, s in answers]}
        for i, (question, *answers) in enumerate(asked)
    ]
    return {"context": text, "qas": qas}


GOOD = paragraph("Zoë saw the café.", ("Who?", ("Zoë", 0)), ("What?", ("the café", 8), ("café", 12), ("café", 12)))


@pytest.fixture
def opened(tmp_path):
    def write(train, dev=None):
        for part, content in (("train", train), ("dev", squad(GOOD) if dev is None else dev)):
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{part}.json").write_text(text, encoding="utf-8")
        return open_task(tmp_path)

    return write


def test_squads_form(opened):
    task = opened(squad(GOOD, paragraph("No questions.")))
    assert task.kind == "spans" and len(task.train) == 2
    assert task.train.questions == ["Who?", "What?"]
    assert task.train.texts == ["Zoë saw the café."] * 2
    assert task.train.answers == [(Answer("Zoë", 0),), (Answer("the café", 8), Answer("café", 12))]


PLACE = "train.json, data[0].paragraphs[0].qas[0]"


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (
            squad(paragraph("I am Ada.", ("Who?", ("Ada", 4)))),
            f"{PLACE}: expected an answer that is a part of its text",
        ),
        (squad(paragraph("I am Ada.", ("Who?", ("Bob", 0)))), "got 'Bob' at character 0, where 'I a' stands"),
        (squad(paragraph("I am Ada.", ("Who?", ("Ada", -4)))), "expected an answer that is a part of its text"),
        (squad(paragraph("I am Ada.", ("Who?", ("Ada", 10**9)))), "expected an answer that is a part of its text"),
        (squad(paragraph("I am Ada.", ("Who?", (" ", 1)))), "expected an answer that is a part of its text"),
        (squad(paragraph("I am Ada.", ("Who?",))), f"{PLACE}: the question 'Who?' has no answer"),
        (squad(paragraph("I am Ada.", (" ", ("Ada", 5)))), f"{PLACE}: expected a question and a text, got ' '"),
        (squad(paragraph("I am\ud800 Ada.", ("Who?", ("Ada", 6)))), "expected a question and a text"),
        ({"paragraphs": []}, "it lacks data: expected SQuAD's form"),
        (squad({"context": "x"}), "data[0].paragraphs[0] lacks qas: expected SQuAD's form"),
        (squad({"context": 1, "qas": []}), "data[0].paragraphs[0].context should be a text"),
        (squad(paragraph("x", ("Who?", ("x", "0")))), "answer_start should be an integer"),
        ([], "it should be an object"),
        ("{", "train.json is damaged"),
        ("", "train.json is damaged"),
        (squad(), "0 texts to train on"),
    ],
)
def test_a_bad_place_is_named(opened, train, expected):
    with pytest.raises(UserError) as error:
        opened(train)
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_single_file_is_split_between_texts(tmp_path, ending):
    """Or a model would know the texts that it is tested on."""
    texts = [f"text{i} says {i}." for i in range(40)]
    if ending == "json":
        asked = [(f"What {j}?", (f"text{i}", 0)) for i in range(1) for j in range(7)]
        paragraphs = [paragraph(t, *((q, (t.split()[0], 0)) for q, _ in asked)) for t in texts]
        content = json.dumps(squad(*paragraphs))
    else:
        content = "question,text,answer\n" + "".join(f"What {j}?,{t},{t.split()[0]}\n" for j in range(7) for t in texts)
    path = tmp_path / f"own.{ending}"
    path.write_text(content, encoding="utf-8")
    task = open_task(path)
    train, dev = set(task.train.texts), set(task.dev.texts)
    assert not train & dev and train | dev == set(texts)
    assert len(task.train) == 7 * len(train) and len(task.dev) == 7 * len(dev)
    assert 35 <= len(train) <= 38


def test_questions_about_one_text_cannot_be_split(tmp_path):
    (tmp_path / "own.json").write_text(json.dumps(squad(GOOD)), encoding="utf-8")
    with pytest.raises(UserError, match="2 texts to train on and 0 to test on"):
        open_task(tmp_path / "own.json")
