"""One source, two files: the stub that a learner opens, and the solution.

    def backward(dy, saved):
        y, axis = saved
        # BEGIN SOLUTION
        # STUB: dx = ...
        # STUB: raise NotImplementedError("one line is missing")
        return (y * (dy - np.sum(dy * y, axis=axis, keepdims=True)),)
        # END SOLUTION

What stands between the two markers is the solution's alone, and `# STUB:` lines the stub's alone. Without such lines
the stub raises NotImplementedError there. A line outside that ends with `# SOLUTION` is left out of the stub.

Markers are comments: the tokenizer finds them, so that a text which looks like one is none.
"""

import ast
import io
import tokenize
from dataclasses import dataclass

BEGIN, END, STUB, LINE = "# BEGIN SOLUTION", "# END SOLUTION", "# STUB:", "# SOLUTION"


@dataclass(frozen=True)
class Cut:
    """What comes of a source.

    stub, solution  the two files
    hidden          the lines of the solution that are not in the stub, as they are indented
    blanks          the names that such lines define, or whose functions and classes hold them
    """

    stub: str
    solution: str
    hidden: tuple[str, ...]
    blanks: tuple[str, ...]


def cut(source: str) -> Cut:
    """Cut a source in two. Raises ValueError, with the line, for markers that do not match; SyntaxError for what is no
    Python."""
    lines, tree, comments = source.splitlines(), ast.parse(source), _comments(source)
    stub, solution, hidden, blanks = [], [], [], {}
    begun, instead = 0, []  # the line of an open marker; the lines of the stub in place of what follows it
    for number, line in enumerate(lines, 1):
        comment = comments.get(number, "")
        alone = comment if line.strip() == comment else ""
        if alone == BEGIN:
            _expect(not begun, number, f"{BEGIN} inside the one of line {begun}")
            begun, instead = number, []
        elif alone == END:
            _expect(begun, number, f"{END} without {BEGIN}")
            stub += instead or [_refusal(tree, begun, lines[begun - 1])]
            begun = 0
        elif begun and alone.startswith(STUB):
            indent = line[: len(line) - len(line.lstrip())]
            instead.append((indent + alone.removeprefix(STUB).removeprefix(" ")).rstrip())
        elif begun or comment == LINE:
            kept = line if begun else line[: line.rindex(LINE)].rstrip()
            solution.append(kept)
            hidden.append(kept)
            blanks |= dict.fromkeys(name for name, node in top_level(tree).items() if _within(number, node))
        else:
            stub.append(line)
            solution.append(line)
    _expect(not begun, begun, f"{BEGIN} without {END}")
    return Cut(_text(stub), _text(solution), tuple(hidden), tuple(blanks))


def top_level(tree: ast.Module) -> dict[str, ast.stmt]:
    """What a module defines: functions, classes and variables, by name."""
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    return defined | {node.targets[0].id: node for node in assigned}


def _within(number: int, node: ast.stmt) -> bool:
    return node.lineno <= number <= node.end_lineno


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.rstrip() for token in tokens if token.type == tokenize.COMMENT}


def _refusal(tree: ast.Module, number: int, line: str) -> str:
    names = _names_around(tree, number)
    _expect(names, number, f"outside a function the stub needs its own lines: {STUB} ...")
    return f'{line[: line.index("#")]}raise NotImplementedError("{".".join(names)} is yours to write")'


def _names_around(tree: ast.Module, number: int) -> list[str]:
    """The functions and classes that a line stands in, the outermost first."""
    kinds = ast.FunctionDef | ast.ClassDef
    around = [n for n in ast.walk(tree) if isinstance(n, kinds) and n.lineno < number <= n.end_lineno]
    return [n.name for n in sorted(around, key=lambda n: n.lineno)]


def _expect(holds, number: int, problem: str) -> None:
    if not holds:
        raise ValueError(f"line {number}: {problem}")


def _text(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"
