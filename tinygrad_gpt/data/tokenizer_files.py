"""Reading a saved tokenizer: which kind is it?"""

import json
from pathlib import Path
from typing import Any

from tinygrad_gpt import arguments
from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.gpt1_tokenizer import END_OF_WORD, GPT1Tokenizer
from tinygrad_gpt.data.library_tokenizer import MERGES, VOCABULARY
from tinygrad_gpt.data.tokenizers import FILE_NAME, CharTokenizer, Tokenizer
from tinygrad_gpt.errors import UserError


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer saved at `path`: a tokenizer.json, a folder that has one, or one with vocab.json and merges.txt (or
    that vocab.json).

    Raises UserError, naming the file, for one that is missing, damaged or of a kind that isn't known.
    """
    path = arguments.path("load_tokenizer", "path", path)
    if path.is_dir():
        is_one_file = (path / FILE_NAME).exists() or not (path / VOCABULARY).exists()
        path /= FILE_NAME if is_one_file else VOCABULARY
    content = _read_json(path)
    try:
        if path.name == VOCABULARY:
            is_gpt1 = any(token.endswith(END_OF_WORD) for token in content)
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_files(path, path.with_name(MERGES))
        if content.get("type") == "char" and isinstance(content.get("characters"), str):
            return CharTokenizer(content["characters"])
        if isinstance(content.get("model"), dict):
            is_gpt1 = content["model"].get("end_of_word_suffix") == END_OF_WORD
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_json(json.dumps(content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    raise UserError(f'{path} holds no tokenizer: expected "type": "char" and characters, or the library\'s format')


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; {} for another kind of JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the tokenizer {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # the latter for brackets without end
        raise UserError(f"the tokenizer {path} is damaged: {error}") from None
    return content if isinstance(content, dict) else {}
