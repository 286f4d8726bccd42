"""Questions whose answers are parts of a text.

SQuAD's JSON (Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", 2016; XQuAD, too):

    {"data": [{"paragraphs": [{"context": "a text", "qas": [
        {"question": "...", "answers": [{"text": "text", "answer_start": 2}]}]}]}]}

answer_start counts the characters of the context that stand before the answer. Every question has an answer: those of
SQuAD 2 that the context does not answer are an error.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.examples import Answer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import check_fits, read_json

ENDING = ".json"
_LARGEST = 1 << 28  # bytes; SQuAD's training file has 30 million
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character
_ANSWER = {"text": str, "answer_start": int}
_SQUAD = {"data": [{"paragraphs": [{"context": str, "qas": [{"question": str, "answers": [_ANSWER]}]}]}]}


class Question(NamedTuple):
    """A question, the text that answers it, its right answers, and where it was read: "FILE, line 2"."""

    question: str
    text: str
    answers: tuple[Answer, ...]
    place: str


def read_squad(path: Path) -> list[Question]:
    """The questions of a file.

    Raises UserError, naming the file and the place in it, for JSON of another form, a question without an answer, and
    an answer that does not stand where the file says.
    """
    content = read_json(path, most=_LARGEST)
    try:
        check_fits(content, _SQUAD, path)
    except UserError as error:
        form = '{"data": [{"paragraphs": [{"context": ..., "qas": [{"question": ..., "answers": [...]}]}]}]}'
        raise UserError(f"{error}: expected SQuAD's form, {form}") from None
    questions = []
    for i, article in enumerate(content["data"]):
        for j, paragraph in enumerate(article["paragraphs"]):
            for k, asked in enumerate(paragraph["qas"]):
                place, text = f"{path}, data[{i}].paragraphs[{j}].qas[{k}]", paragraph["context"]
                if not asked["answers"]:
                    question = shown(asked["question"])
                    raise UserError(f"{place}: the question {question} has no answer: give it one, or leave it out")
                answers = [answer(place, text, each["text"], each["answer_start"]) for each in asked["answers"]]
                questions.append(Question(asked["question"], text, tuple(dict.fromkeys(answers)), place))
                for written in (asked["question"], text):
                    if not written.strip() or _SURROGATE.search(written):
                        raise UserError(f"{place}: expected a question and a text, got {shown(written)}")
    return questions


def answer(place: str, text: str, words: str, start: int | None = None) -> Answer:
    """The answer that begins at character `start` of a text; without a start, where its words first stand, as
    whole words if they do so anywhere. White space around them is no part of it. Raises UserError if they do not stand
    there."""
    stripped = words.strip()
    if start is None:
        whole = re.search(rf"(?<!\w){re.escape(stripped)}(?!\w)", text)  # "art", and not the end of "start"
        start = whole.start() if stripped and whole else text.find(stripped)
    else:
        start += len(words) - len(words.lstrip())
    if not stripped or start < 0 or not text.startswith(stripped, start):
        where = "" if start < 0 else f" at character {start}, where {shown(text[start : start + len(words)])} stands"
        raise UserError(f"{place}: expected an answer that is a part of its text, got {shown(words)}{where}")
    return Answer(stripped, start)


def joined(questions: Iterable[Question]) -> list[Question]:
    """Questions that are asked twice of the same text, as one question with all their answers."""
    found: dict[tuple[str, str], Question] = {}
    for question in questions:
        before = found.setdefault((question.question, question.text), question)
        both = dict.fromkeys((*before.answers, *question.answers))
        found[question.question, question.text] = before._replace(answers=tuple(both))
    return list(found.values())
