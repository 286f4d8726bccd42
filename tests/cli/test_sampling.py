"""Texts from a trained model: several, from prompts in a file, as JSON; and its figures as JSON."""

import io
import json

import pytest

from tests.helpers import assert_one_line_error


@pytest.fixture
def sample(run, small_run):
    """Run `sample` on a trained model: (status, standard output, standard error)."""
    return lambda *arguments: run("sample", str(small_run), "--tokens", "9", *arguments)


def as_json(result):
    status, said, error = result
    assert status == 0 and error == ""
    return [json.loads(line) for line in said.splitlines()]


def test_each_text_can_be_made_again_by_its_prompt_and_seed(sample, tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"the \r\n\nfox\n")
    answers = as_json(sample("--prompt-file", "prompts.txt", "--num-samples", "3", "--seed", "7", "--json"))
    assert [(answer["prompt"], answer["seed"]) for answer in answers] == [
        (prompt, seed) for prompt in ("the ", "fox") for seed in (7, 8, 9)
    ]
    assert len({answer["text"] for answer in answers}) > 1
    for answer in answers[1], answers[3]:
        assert answer["tokens"] == len(answer["text"]) == 9
        status, said, _ = sample("--prompt", answer["prompt"], "--seed", str(answer["seed"]))
        assert status == 0 and said == answer["prompt"] + answer["text"] + "\n"


def test_without_a_seed_the_answer_names_the_one_that_was_drawn(sample):
    [answer] = as_json(sample("--json"))
    assert as_json(sample("--json", "--seed", str(answer["seed"]))) == [answer]


def test_several_texts_have_headings_and_one_has_none(sample):
    status, said, _ = sample("--num-samples", "2", "--seed", "3")
    assert status == 0
    first, second = (sample("--seed", seed)[1] for seed in ("3", "4"))
    assert said == f"--- 1 of 2, seed 3\n{first}--- 2 of 2, seed 4\n{second}"


def test_prompts_from_standard_input(sample, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("fox\njumps"))
    answers = as_json(sample("--prompt-file", "-", "--json"))
    assert [answer["prompt"] for answer in answers] == ["fox", "jumps"]


def test_a_token_that_stops_is_not_counted(sample):
    [whole] = as_json(sample("--json", "--seed", "1"))
    stop = whole["text"][4]
    [answer] = as_json(sample("--json", "--seed", "1", "--stop", stop.replace("\n", "\\n")))
    assert answer["text"] == whole["text"][: whole["text"].index(stop)]
    assert answer["tokens"] == len(answer["text"])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--prompt", "a", "--prompt-file", "x"], "give --prompt or --prompt-file, not both"),
        (["--prompt-file", "none.txt"], "cannot read none.txt"),
        (["--prompt-file", "blank.txt"], "blank.txt has no prompts"),
        (["--prompt-file", "latin.txt"], "latin.txt should be a text in UTF-8"),
        (["--prompt-file", "unknown.txt"], "character 'Ä' (U+00C4)"),
        (["--temperature", "0", "--num-samples", "2"], "--temperature 0 writes the same text each time"),
        (["--top-k", "1", "--num-samples", "2"], "--top-k 1 writes the same text each time"),
    ],
)
def test_prompts_that_cannot_be_used(sample, tmp_path, arguments, part):
    (tmp_path / "blank.txt").write_text("\n\n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"\xc4\n")
    (tmp_path / "unknown.txt").write_text("fox\nÄ\n", encoding="utf-8")
    result = sample(*arguments)
    assert_one_line_error(result, part)
    assert result[1] == "", "no text before all prompts have been read"


def test_a_blank_text_is_explained(sample, monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.cli.sampling.stream_text", lambda *arguments, **how: iter("\n \n"))
    for how in ["--temperature", "0"], ["--top-k", "1"]:
        status, said, error = sample(*how)
        assert status == 0 and said == "\n \n\n"
        assert error.startswith(f"note: the text is blank: {' '.join(how)} takes") and "Try --temperature 0.8" in error
    assert sample("--json", "--temperature", "0")[2].startswith("note: the text is blank")
    assert sample()[2] == "", "where chance chose it, there is nothing to explain"
    monkeypatch.setattr("tinygrad_gpt.cli.sampling.stream_text", lambda *arguments, **how: iter("\n a"))
    assert sample("--temperature", "0")[2] == ""


def test_figures_as_json(run, small_run):
    status, said, _ = run("eval", str(small_run), "--json")
    figures = json.loads(said)
    assert status == 0 and figures["corpus"].endswith("text.txt") and figures["tokens"] <= figures["of"] == 88
    shown = run("eval", str(small_run))[1]
    for name in ("loss", "perplexity"):
        assert f"{figures[name]:.3f}"[:-1] in shown
    assert figures["stride"] is None and figures["block_size"] == 8
