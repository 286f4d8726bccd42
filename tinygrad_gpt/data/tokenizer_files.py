"""Saved tokenizers, of whatever kind."""

import json
from pathlib import Path

from tinygrad_gpt import arguments
from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.gpt1_tokenizer import END_OF_WORD, GPT1Tokenizer
from tinygrad_gpt.data.library_tokenizer import LARGEST, MERGES, VOCABULARY
from tinygrad_gpt.data.tokenizers import FILE_NAME, CharTokenizer, Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer saved at `path`: a tokenizer.json, a folder with one, a folder with vocab.json and merges.txt, or
    that vocab.json.

    Raises UserError, naming the file, if it is missing, damaged or of an unknown kind.
    """
    path = user_path(arguments.path("load_tokenizer", "path", path))
    if path.is_dir():
        is_one_file = (path / FILE_NAME).exists() or not (path / VOCABULARY).exists()
        path /= FILE_NAME if is_one_file else VOCABULARY
    content = read_json(path, most=LARGEST)
    try:
        if path.name == VOCABULARY:
            is_gpt1 = any(token.endswith(END_OF_WORD) for token in content)
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_files(path, path.with_name(MERGES))
        if content.get("type") == "char" and isinstance(content.get("characters"), str):
            return CharTokenizer(content["characters"])
        if isinstance(content.get("model"), dict):
            if content["model"].get("type") == "WordLevel":
                return CharTokenizer.from_library(content)
            is_gpt1 = content["model"].get("end_of_word_suffix") == END_OF_WORD
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_json(json.dumps(content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    raise UserError(f'{path} is not a tokenizer: expected "type": "char" and characters, or the library\'s format')
