"""Fill a model with the tensors of a folder; or list everything about them that does not fit."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.array import cast_float_or_move
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.tensor_file import FLOAT_CODES, TensorFile
from tinygrad_gpt.models.hf.hub import CONFIG
from tinygrad_gpt.models.hf.layout import Layout
from tinygrad_gpt.nn.saving import saved_tensors

_LISTED = 5  # tensors that a message spells out

Weights = dict[str, TensorFile]  # tensor -> the file that has it


class _Match(NamedTuple):
    """Which tensors a model is made from, by their full names (see Layout).

    wanted   full name -> shape, of all that the model has
    trained  name in the file -> full name, of all that the file has
    found    full name -> name in the file
    new      heads that the model has and the file lacks
    unused   heads that the model lacks
    copies   tensors of the file that have to be equal to others -> these others
    """

    wanted: dict[str, tuple[int, ...]]
    trained: dict[str, str]
    found: dict[str, str]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    copies: dict[str, str]


class Heads(NamedTuple):
    """Those of a layout's heads that are not both in a model and in its file.

    new   the file lacks them: they are drawn anew
    left  the model lacks them
    """

    new: tuple[str, ...]
    left: list[str]


def fill(model: Any, folder: Path, weights: Weights, dtype: np.dtype) -> Heads:
    """Give each parameter and buffer of a model the tensors that hold it, in `dtype`. Heads that `weights` lacks are
    drawn anew; buffers that no file holds are only converted.

    Raises UserError if a tensor is missing, left over or of another shape.
    """
    layout: Layout = model.layout
    match = _match(model, weights)
    _check(match, layout, folder, weights)
    layout.check_computed(model.config, weights)
    for buffer in model.buffers():
        buffer.data = cast_float_or_move(buffer.data, dtype)
    loaded: dict[str, np.ndarray] = {}
    for name, p in saved_tensors(model).items():
        first = next(iter(layout.tensors(name, p.data)))
        if first not in match.wanted:  # it is optional, and was made as it should be
            continue
        if first.startswith(match.new):
            # Matrices were made uninitialised, and so are drawn here. Biases and norms are as they begin.
            p.data = layout.draw(model.config, p.shape, dtype) if p.ndim > 1 else p.data.astype(dtype)
            continue
        p.data = np.empty(p.shape, dtype)
        for full, part in layout.tensors(name, p.data).items():
            tensor = match.found[full]
            weights[tensor].copy(tensor, part)
            loaded[full] = part
    may_be_untied = "tie_word_embeddings" in layout.settings
    said = "tie_word_embeddings is true, but " if may_be_untied else ""
    untied = "set it to false" if may_be_untied else "untied ones are not supported"
    for copy, of in match.copies.items():
        tensor = match.found[copy]
        if not weights[tensor].equals(tensor, loaded[of]):
            raise UserError(
                f"{folder / CONFIG}: {said}{tensor} differs from {match.found[of]} "
                f"in {weights[tensor].path.name}: {untied}"
            )
    return Heads(match.new, [head for head in _heads(layout, match.found) if head in match.unused])


def _match(model: Any, weights: Weights) -> _Match:
    """Find the tensors of a model in a file, as far as they are there."""
    layout: Layout = model.layout
    wanted: dict[str, tuple[int, ...]] = {}
    for name, p in saved_tensors(model).items():
        wanted |= {tensor: part.shape for tensor, part in layout.tensors(name, p.data).items()}
    trained = layout.trained(weights, model.config)
    found = {full: tensor for tensor, full in trained.items()}
    wanted = {tensor: shape for tensor, shape in wanted.items() if tensor in found or tensor not in layout.optional}
    wanted_heads, found_heads = _heads(layout, wanted), _heads(layout, found)
    new = tuple([head for head in wanted_heads if head not in found_heads])
    unused = tuple([head for head in layout.heads if head not in wanted_heads])
    copies = {
        copy: of
        for copy, of in layout.copies(model.config).items()
        if copy in found and of in wanted and not copy.startswith(unused)
    }
    for copy, of in list(copies.items()):
        if of not in found:  # the copy alone was saved
            found[of] = found.pop(copy)
            del copies[copy]
    return _Match(wanted, trained, found, new, unused, copies)


def _check(match: _Match, layout: Layout, folder: Path, weights: Weights) -> None:
    """Raise UserError that lists all that is wrong with the tensors of a folder."""
    wanted, trained, found, new, unused, copies = match
    kept = set(found.values())  # if a name comes twice, with and without the prefix, only one of the two
    right = wanted | {copy: wanted[of] for copy, of in copies.items()}
    known = [(full, tensor, weights[tensor]) for full, tensor in found.items() if full in right]
    wrong = [(full, tensor, file.shapes[tensor]) for full, tensor, file in known if file.shapes[tensor] != right[full]]
    used = {tensor for _, tensor, _ in known}
    unexpected = [
        tensor
        for tensor, full in trained.items()
        if tensor not in kept or (tensor not in used and not full.startswith(unused))
    ]
    problems = {
        "missing": [full for full in wanted if full not in found and not full.startswith(new)],
        "unexpected": unexpected,
        "wrong shape": [f"{tensor} {shape}, not {right[full]}" for full, tensor, shape in wrong],
        "wrong dtype": [
            f"{tensor} {file.dtypes[tensor]}, not one of {', '.join(FLOAT_CODES)}"
            for _, tensor, file in known
            if file.dtypes[tensor] not in FLOAT_CODES
        ],
    }
    said = [f"{kind}: {_some(tensors)}" for kind, tensors in problems.items() if tensors]
    if said:
        can_do_without = unexpected or _heads(layout, [full for full, *_ in wrong])
        hint = "; Python can pass over some: from_pretrained(..., ignore=[...])" if can_do_without else ""
        raise UserError(f"the tensors in {folder} don't fit {CONFIG}: {'; '.join(said)}{hint}")


def _heads(layout: Layout, names: Iterable[str]) -> list[str]:
    """Those that tensors with these full names belong to."""
    return [head for head in layout.heads if any(name.startswith(head) for name in names)]


def _some(names: list[str]) -> str:
    more = f" (and {len(names) - _LISTED} more)" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
