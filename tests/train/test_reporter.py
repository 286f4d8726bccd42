"""What a run says while it runs."""

import io
import re

import pytest

from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.train.reporter import LiveReporter, Reporter, clock, make_reporter, reading_bar, thousands

ROW = {"step": 10, "train_loss": 2.5, "lr": 1e-3, "grad_norm": 1.0, "tokens_per_s": 31415.0, "elapsed_s": 3.0}


@pytest.mark.parametrize(
    ("n", "shown"), [(0, "0"), (999, "999"), (1500, "1.5k"), (31415, "31k"), (804096, "804k"), (124439808, "124M")]
)
def test_thousands(n, shown):
    assert thousands(n) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (65.2, "1:05"), (3723, "1:02:03")])
def test_clock(seconds, shown):
    assert clock(seconds) == shown


def test_plain_lines_only_where_there_is_something_to_say():
    said = io.StringIO()
    reporter = Reporter(said)
    reporter.begin(steps=20, done=0)
    reporter.step(1, 3.0)
    reporter.row(ROW, {})
    assert said.getvalue() == ""
    reporter.step(2, 3.0)
    reporter.row(ROW | {"val_loss": 2.75}, {"val_loss": 2.75})
    reporter.row(ROW | {"step": 20, "val_loss": 2.7}, {"val_loss": 2.7})
    reporter.end()
    lines = said.getvalue().splitlines()
    assert lines[0].startswith("step 10/20  train 2.500  val 2.750  31k tokens/s  0:0") and lines[0].endswith(" left")
    assert lines[1] == "step 20/20  train 2.500  val 2.700  31k tokens/s"


def test_plain_lines_come_every_ten_seconds(monkeypatch):
    now = 0.0
    monkeypatch.setattr("tinygrad_gpt.train.reporter.time.monotonic", lambda: now)
    said = io.StringIO()
    reporter = Reporter(said)
    reporter.begin(steps=100, done=0)
    now += 5.0  # to compile
    for step in range(1, 31):
        now += 1.0
        reporter.step(step, 2.0)
        reporter.row(ROW | {"step": step}, {})
    lines = said.getvalue().splitlines()
    assert [line.split("  train")[0] for line in lines] == [f"step {n:>3}/100" for n in (5, 15, 25)]
    assert [line.split("tokens/s  ")[1] for line in lines] == ["1:35 left", "1:25 left", "1:15 left"]


def test_a_long_evaluation_is_reported_every_ten_seconds(monkeypatch):
    now = 0.0
    monkeypatch.setattr("tinygrad_gpt.train.reporter.time.monotonic", lambda: now)
    said = io.StringIO()
    reporter = Reporter(said)
    reporter.begin(steps=100, done=0)
    for done in range(0, 3000, 100):
        now += 1.0
        reporter.validating(done, 3000)
    assert said.getvalue().splitlines() == [f"evaluating: {n} of 3.0k" for n in ("900", "1.9k", "2.9k")]


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.train.reporter._SECONDS_BETWEEN_UPDATES", 0.0)
    rich_console = pytest.importorskip("rich.console")
    said = io.StringIO()
    reporter = LiveReporter(rich_console.Console(file=said, force_terminal=True, width=100))
    reporter.begin(steps=20, done=5)
    reporter.compiling()
    reporter._bar.refresh()
    reporter.step(10, 2.5)
    reporter._bar.refresh()
    reporter.row(ROW | {"val_loss": 2.75}, {"val_loss": 2.75})
    reporter.step(11, 2.25)
    reporter._bar.refresh()
    reporter.step(20, 2.0)
    reporter._bar.refresh()
    reporter.validating(1500, 3000)
    reporter._bar.refresh()
    reporter.end()
    text = said.getvalue()
    assert "step 5/20" in text and "compiling the kernels" in text
    for part in (
        "loss 2.500",
        "loss 2.250  31k tokens/s  0:00 left",
        "step 20/20",
        "evaluating: 1.5k of 3.0k",
        "31k tokens/s",
    ):
        assert part in text
    assert "\x1b[1mval 2.750\x1b[0m" in text, "what counts stands out"
    plain = re.sub(r"\x1b\[\d*m", "", text).replace("\r", "")
    assert "step 10/20  train 2.500  val 2.750  31k tokens/s\n" in plain


def test_the_end_without_a_beginning():
    LiveReporter().end()


def test_no_bar_where_there_is_no_terminal():
    assert type(make_reporter(io.StringIO())) is Reporter


def test_those_who_watch_hear_of_compilation_once():
    told = []
    compiling.tell()  # nobody watches
    with compiling.watched_by(lambda: told.append("a")), compiling.watched_by(lambda: told.append("b")):
        compiling.tell()
        compiling.tell()
    compiling.tell()
    assert told == ["a", "b"]


def test_warnings_have_a_colour_in_a_terminal_and_none_elsewhere(monkeypatch):
    rich_console = pytest.importorskip("rich.console")

    def said(reporter, stream):
        reporter.warn("health: [x]")
        return stream.getvalue()

    stream = io.StringIO()
    coloured = said(LiveReporter(rich_console.Console(file=stream, force_terminal=True)), stream)
    assert coloured.startswith("\x1b[33mhealth: [x]\x1b[0m") and coloured.count("\n") == 1  # older ones colour the end
    stream = io.StringIO()
    assert said(Reporter(stream), stream) == "health: [x]\n"
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    assert said(LiveReporter(rich_console.Console(file=stream, force_terminal=True)), stream) == "health: [x]\n"


def test_a_guess_stands_beside_its_score(reporter):
    from tinygrad_gpt.train.user_ops import FirstStep

    around = FirstStep(reporter, [], False)
    for one in (reporter, around):
        one.unit, one.guesses = "tokens", {"accuracy": 0.25}
        one.begin(3, 0)
        scores = {"val_loss": 1.5, "accuracy": 0.75}
        one.row({"step": 1, "train_loss": 2.0, "tokens_per_s": 5.0, **scores}, scores)
        assert "val 1.500  accuracy 0.750 (a guess: 0.250)  5 tokens/s" in reporter.said.getvalue()
        reporter.guesses = {}
        reporter.said.truncate(0)


def test_a_bar_leaves_standard_output_alone(capsys):
    terminal = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    with reading_bar(terminal, unit="sentences") as progress:
        progress(3, 10)
        print("a translation")
    assert capsys.readouterr().out == "a translation\n"
    assert "3 of 10 sentences" in terminal.getvalue() and "a translation" not in terminal.getvalue()
    file = io.StringIO()
    with reading_bar(file) as progress:
        progress(3, 10)
    assert file.getvalue() == ""
