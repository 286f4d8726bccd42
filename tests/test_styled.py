"""Reports say the same as text, on a terminal and in a notebook; what they quote is escaped."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt import styled
from tinygrad_gpt.check import GradcheckError, check_op, gradcheck
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import softmax

LINES = [[("a  ", "name"), ("<b>", "wrong")], [], [("& c  ", "")]]


def words_of(drawn: str) -> str:
    """The text that a browser shows of what stands between <pre> and </pre>."""
    assert drawn.startswith("<pre>") and drawn.endswith("</pre>")
    lines = html.unescape(re.sub("<.*?>", "", drawn)).split("\n")
    return "\n".join(line.rstrip() for line in lines)


def test_text_and_html():
    assert styled.text_of(LINES) == "a  <b>\n\n& c"
    drawn = styled.html_of(LINES)
    assert words_of(drawn) == styled.text_of(LINES)
    assert "&lt;b&gt;</span>" in drawn and "&amp; c" in drawn and "<b>" not in drawn


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_is_shown(capsys, monkeypatch, is_terminal):
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    styled.show([[("a long line, which no terminal of ten columns breaks", "wrong")], [("[b]", "")]])
    said = re.sub("\x1b.*?m", "", capsys.readouterr().out)
    assert said == "a long line, which no terminal of ten columns breaks\n[b]\n"


def diagonal(dy, saved):
    y, _ = saved
    return (dy * y * (1 - y),)


def raising(dy, saved):
    raise ValueError("<script>")


def report_on(backward):
    return check_op("softmax", SimpleNamespace(forward=softmax.forward, backward=backward))


def test_reports_of_checks_in_a_notebook():
    right, named, raised = map(report_on, (softmax.backward, diagonal, raising))
    of_function = gradcheck(lambda x: (x * x).sum(), np.ones(3))
    nothing = check_op("softmax", registry.reference("softmax"), cases=[])
    for report in (right, named, raised, of_function, nothing):
        assert words_of(report._repr_html_()) == str(report)
    assert right.ok and "S01" in named._repr_html_() and "font-weight:bold" in named._repr_html_()
    assert "<script>" in str(raised) and "<script>" not in raised._repr_html_()
    assert words_of(named.failures[0]._repr_html_()) == str(named.failures[0])
    with pytest.raises(GradcheckError) as caught:
        named.raise_if_failed()
    assert str(caught.value) == str(named)
