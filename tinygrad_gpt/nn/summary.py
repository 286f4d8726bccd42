"""The table that `print(model)` shows: every module with its path, settings and parameters.

    GPT
      path                parameters  layer
      token_embedding          6,240  Embedding(65, 96)
      blocks.0-2         3 × 111,936  Block(norm='pre')
      ...
      head                         0  Linear(in_features=96, ...)  weight is token_embedding.weight
      348,480 parameters: 348,480 trained, 0 frozen; 1.33 MiB

The parameters of a row are those of everything inside it. Neighbours that are alike share a row.
"""

from collections.abc import Callable
from typing import NamedTuple


class _Entry(NamedTuple):
    """A module, or a Parameter of a module that holds others: a row, and what it holds."""

    name: str
    what: str
    size: int
    note: str
    inside: tuple["_Entry", ...] = ()


def table(model, held: Callable) -> str:
    """All modules inside `model`, and how many parameters they hold, trained and frozen.

    held  held(module, path) gives (path, thing) for each Parameter and module that it holds itself
    """
    top = _entry("", "", model, {}, held)
    rows = [("path", "parameters", "layer", ""), *_rows(top.inside, "")]
    a, b = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"  {path:{a}}  {count:>{b}}  {what}  {note}".rstrip() for path, count, what, note in rows]
    return "\n".join([f"{top.what}  {top.note}".rstrip(), *lines, f"  {_total(model)}"])


def _total(model) -> str:
    def mib(tensors) -> str:
        return f"{sum(x.data.nbytes for x in tensors) / 2**20:.2f} MiB"

    trained, frozen = model.num_parameters(trained=True), model.num_parameters(trained=False)
    said = f"{trained + frozen:,} parameters: {trained:,} trained, {frozen:,} frozen; {mib(model.parameters())}"
    buffers = list(model.buffers())
    return f"{said}, buffers {mib(buffers)}" if buffers else said


def _entry(name: str, path: str, module, known: dict[int, str], held: Callable) -> _Entry:
    """The row of a module, and those inside it. known: id of each Parameter and module so far -> its path; grows."""
    known[id(module)] = path or "the model"
    parameters, modules, entries, notes = [], [], [], []
    for key, thing in held(module, ""):
        place = f"{path}.{key}" if path else key
        if id(thing) in known:
            notes.append(f"{key} is {known[id(thing)]}")
        elif hasattr(thing, "extra_repr"):
            modules.append(key)
            entries.append(_entry(key, place, thing, known, held))
        else:
            known[id(thing)] = place
            parameters.append((key, thing))
            note = "" if thing.requires_grad else "frozen"
            entries.append(_Entry(key, f"Parameter {tuple(thing.shape)}", thing.size, note))
    count, settings = sum(entry.size for entry in entries), module.extra_repr()
    if not modules:  # its Parameters need no rows
        frozen = [entry.name for entry in entries if entry.note]
        notes += [f"{', '.join(frozen)} frozen" if len(frozen) < len(entries) else "frozen"] if frozen else []
        settings = settings or ", ".join(f"{key} {tuple(p.shape)}" for key, p in parameters)
        entries = []
    what = f"{type(module).__name__}({settings})" if settings or not modules else type(module).__name__
    return _Entry(name, what, count, "; ".join(notes), tuple(entries))


def _rows(entries: tuple[_Entry, ...], path: str) -> list[tuple[str, str, str, str]]:
    """(path, parameters, layer, note) of entries and all inside them."""
    rows = []
    for name, times, entry in _folded(entries):
        place, many = path + name, f"{times} × " if times > 1 else ""
        rows.append((place, f"{many}{entry.size:,}", entry.what, entry.note))
        rows += _rows(entry.inside, f"{place}.")
    return rows


def _folded(entries: tuple[_Entry, ...]) -> list[tuple[str, int, _Entry]]:
    """(name, how many, the first of them): blocks.0, blocks.1, blocks.2 that are alike become blocks.0-2."""
    runs: list[list[_Entry]] = []
    for entry in entries:
        if runs and _follows(runs[-1][-1], entry):
            runs[-1].append(entry)
        else:
            runs.append([entry])
    names = [run[0].name + (f"-{run[-1].name.rpartition('.')[2]}" if len(run) > 1 else "") for run in runs]
    return [(name, len(run), run[0]) for name, run in zip(names, runs, strict=True)]


def _follows(a: _Entry, b: _Entry) -> bool:
    """Whether b is like a, and its name is a's with the next number."""
    (place, _, i), (other, _, j) = a.name.rpartition("."), b.name.rpartition(".")
    return place == other and i.isdecimal() and j.isdecimal() and int(j) == int(i) + 1 and a[1:] == b[1:]
