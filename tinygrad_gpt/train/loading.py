"""`tinygrad_gpt.load` and `tinygrad_gpt.save`.

model, tokenizer = tg.load("runs/shakespeare-1")     # or a Hugging Face folder, or a name on their hub
print(tg.load("runs/shakespeare-1").sample("ROMEO:", 200))
print(tg.load("runs/bert-1").fill("The [MASK] sat on the mat."))
print(tg.load("runs/de-en-1").translate(["Ein Hund schläft."]))
print(*tg.load("runs/cola-1").predict(["They is here."]))

tg.save(model, "weights.safetensors")                # or a dictionary of name -> array
model.load_state_dict(tg.load("weights.safetensors"))
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from tinygrad_gpt import array
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import replacing, user_path
from tinygrad_gpt.files.tensor_file import TensorFile, can_write, write_arrays
from tinygrad_gpt.generate.text import encode_prompt, stream_text
from tinygrad_gpt.generate.translate import translate
from tinygrad_gpt.models.bert import BertPreTrainedModel
from tinygrad_gpt.models.fill_mask import Candidate, fill_mask
from tinygrad_gpt.models.transformer import Transformer
from tinygrad_gpt.nn import Module
from tinygrad_gpt.tensor import Tensor
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned
from tinygrad_gpt.train.fine_tuning.folder import is_fine_tuning
from tinygrad_gpt.train.loadable import WRITERS
from tinygrad_gpt.train.trained_model import open_model

SUFFIX = ".safetensors"
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


class Loaded(NamedTuple):
    """A trained model, in evaluation mode, and its tokenizer: `model, tokenizer = tg.load(...)`."""

    model: Module
    tokenizer: Tokenizer

    def sample(self, prompt: str = "", tokens: int = 200, **how) -> str:
        """The prompt, and what the model writes after it.

        tokens  how many to write
        how     temperature, top_k, top_p, seed, stop_token: see generate.generate
        """
        return prompt + "".join(self.stream(prompt, tokens, **how))

    def stream(self, prompt: str = "", tokens: int = 200, **how) -> Iterator[str]:
        """Yield what the model writes after the prompt (a line end if it is empty), piece by piece; see `sample`."""
        who = type(self.model).__name__
        if isinstance(self.model, BertPreTrainedModel):
            raise UserError(f"sample: a {who} reads a text on both sides of each token, and cannot write one")
        if isinstance(self.model, Transformer):
            raise UserError(f"sample: a {who} writes only what a source says: translate([text]) does that")
        return stream_text(self.model, self.tokenizer, encode_prompt(self.tokenizer, prompt), tokens, **how)

    def fill(self, text: str, top: int = 5) -> list[list[Candidate]]:
        """The `top` likeliest tokens for each [MASK] of a text, in a BERT's opinion; see models.fill_mask."""
        return fill_mask(self.model, self.tokenizer, text, top)

    @overload
    def translate(self, texts: str, **how) -> str: ...
    @overload
    def translate(self, texts: Sequence[str], **how) -> list[str]: ...
    def translate(self, texts, **how):
        """The translation of each text of a list, or of one text, by a translator.

        how  beams, penalty, length_penalty, max_new_tokens, ...: see generate.translate.translate_ids
        """
        if not isinstance(self.model, Transformer):
            raise UserError(f"translate: a {type(self.model).__name__} is no translator")
        return translate(self.model, self.tokenizer, texts, **how)


def load(path_or_name: str | os.PathLike, tokenizer: str | None = None, device: str = "cpu") -> Any:
    """What is kept at a path, or under a name:

    a run folder, a Hugging Face folder, a name on their hub   Loaded: (model, tokenizer); sample(), fill(),
                                                               translate()
    a folder that `finetune` made                              FineTuned: its model, tokenizer; predict()
    a file FILE.safetensors                                    dict of name -> NumPy array

    tokenizer  path of another tokenizer than the model's own
    device     where the model computes

    Nothing is unpickled. But to open a run that was trained with --model is to run the Python in its folder,
    own_model.py and a file for each op that --with made: open such a run only if you trust who made it.

    Raises UserError for what is missing, damaged, or another kind of file.
    """
    name = os.fspath(path_or_name) if isinstance(path_or_name, str | os.PathLike) else None
    if not isinstance(name, str) or not name:
        raise TypeError(f"load: expected a path or a name, got {shown(path_or_name)}")
    path = user_path(name)
    if path.suffix == SUFFIX and not path.is_dir():
        return _arrays(path)
    if path.suffix in _PICKLES and not path.is_dir():
        raise UserError(
            f"{name} is a pickle by its name, which runs code when it is read: in PyTorch, write the weights with "
            f"safetensors.torch.save_file(model.state_dict(), 'weights{SUFFIX}'), and load that file"
        )
    if path.is_file():
        raise UserError(f"load: expected a run folder, a Hugging Face folder or a {SUFFIX} file, got the file {name}")
    if is_fine_tuning(path):
        if tokenizer is not None:
            raise UserError("load: a fine-tuned model reads texts with its own tokenizer: leave out tokenizer")
        return FineTuned(path, device)
    before = array.default_dtype()
    try:
        _, own, model = open_model(name, tokenizer, device, kinds=(*WRITERS, "bert", "transformer"))
    finally:
        array.set_default_dtype(before)  # that of a float64 run is not the caller's
    return Loaded(model, own)


def save(model_or_arrays, path: str | os.PathLike) -> None:
    """Write a Module's parameters, or a dictionary of name -> array, to a safetensors file, whole or not at all.

    Raises UserError for another kind of file and when the system refuses, TypeError for what is no array.
    """
    to = user_path(os.fspath(path))
    if to.suffix != SUFFIX:
        why = ": a pickle runs code when it is read" if to.suffix in _PICKLES else ""
        raise UserError(f"save: expected a file name that ends in {SUFFIX}, got {shown(os.fspath(path))}{why}")
    state = model_or_arrays.state_dict() if hasattr(model_or_arrays, "state_dict") else model_or_arrays
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(f"save: expected a Module, or a dictionary of name -> array, got {shown(model_or_arrays)}")
    with replacing(to) as file:
        write_arrays(file, {name: _saveable(name, value) for name, value in state.items()}, {})


def _saveable(name: str, value) -> np.ndarray:
    a = value.data if isinstance(value, Tensor) else value
    a = to_numpy(a) if array.is_array(a) else np.asarray(a)
    if not can_write(a.dtype):
        raise TypeError(
            f"save: expected float32, float64, int64, int32, uint8 or booleans as {name}, got {shown(value)}"
        )
    return a


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file. Halves, which NumPy computes slowly or does not have, become float32."""
    from safetensors import safe_open

    opened, arrays = TensorFile(path), {}
    with safe_open(str(path), framework="numpy") as file:
        for name, shape in opened.shapes.items():
            if opened.dtypes[name] in ("F16", "BF16"):
                arrays[name] = np.empty(shape, np.float32)
                opened.copy(name, arrays[name])
            else:
                arrays[name] = file.get_tensor(name)
    return arrays
