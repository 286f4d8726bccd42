"""One source, two files: what is the solution's alone is not in the stub."""

import pytest

from tinygrad_gpt.exercises.cutting import cut

SOURCE = '''"""A text."""

TEXT = """
# BEGIN SOLUTION
in a text it is no marker
# END SOLUTION
"""


def first(x):
    y = x + 1
    # BEGIN SOLUTION
    return y * 2
    # END SOLUTION


class Second:
    def method(self):
        # BEGIN SOLUTION
        # STUB: z = ...
        # STUB: return z
        return 3
        # END SOLUTION

    def other(self):
        hint = 5  # SOLUTION
        return 6
'''


def test_the_stub_and_the_solution():
    found = cut(SOURCE)
    in_text = '"""\n# BEGIN SOLUTION\nin a text it is no marker\n# END SOLUTION\n"""'
    assert in_text in found.stub and in_text in found.solution
    assert '    y = x + 1\n    raise NotImplementedError("first is yours to write")\n' in found.stub
    assert "        z = ...\n        return z\n" in found.stub and "STUB" not in found.solution
    assert "return y * 2" in found.solution and "return y * 2" not in found.stub
    assert "        hint = 5\n" in found.solution and "hint" not in found.stub
    assert [line.strip() for line in found.hidden] == ["return y * 2", "return 3", "hint = 5"]
    assert found.blanks == ("first", "Second")
    assert cut("# BEGIN SOLUTION\n# STUB: X = ...\nX = 3\n# END SOLUTION\n").blanks == ("X",)


def test_both_run_and_the_stub_refuses():
    found, stub, solution = cut(SOURCE), {}, {}
    exec(found.stub, stub)
    exec(found.solution, solution)
    assert solution["first"](3) == 8 and solution["Second"]().method() == 3
    with pytest.raises(NotImplementedError, match="first is yours to write"):
        stub["first"](3)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f():\n    # BEGIN SOLUTION\n    return 1\n", "line 2: # BEGIN SOLUTION without"),
        ("def f():\n    return 1\n    # END SOLUTION\n", "line 3: # END SOLUTION without"),
        ("def f():\n    # BEGIN SOLUTION\n    # BEGIN SOLUTION\n    return 1\n", "line 3: .* inside the one of line 2"),
        ("# BEGIN SOLUTION\nx = 1\n# END SOLUTION\n", "line 1: outside a function"),
    ],
)
def test_markers_that_do_not_match(source, problem):
    with pytest.raises(ValueError, match=problem):
        cut(source)
