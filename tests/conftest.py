"""What holds for all tests."""

import signal

import pytest

# A job in the background is born deaf to Ctrl-C, and tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def measured_along_directions_only(monkeypatch):
    """check_op measures no gradient element by element, which takes most of its time, but along one random direction.

    What it finds like this, it finds with more, too. And what is right along it is compared with the reference's
    gradient, element by element; that one is measured so in tests/ops/test_versions.py.
    """
    from tinygrad_gpt.check import case

    monkeypatch.setattr(case, "ELEMENTS", 0)
    monkeypatch.setattr(case, "DIRECTIONS", 1)
