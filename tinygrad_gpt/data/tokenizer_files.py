"""Saved tokenizers, of whatever kind."""

import json
from pathlib import Path
from typing import Any

from tinygrad_gpt import arguments
from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.gpt1_tokenizer import END_OF_WORD, GPT1Tokenizer
from tinygrad_gpt.data.library_tokenizer import LARGEST, MERGES, SENTENCE_TOKENS, VOCABULARY
from tinygrad_gpt.data.tokenizers import CONFIG_NAME, FILE_NAME, CharTokenizer, Tokenizer
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import WORDPIECE_FILE, WordPieceTokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer, is_for_xlnet
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path

PIECES = ".spm"  # how the names of SentencePiece's files end
_NOT_READ = (
    "goes with SentencePiece files (source.spm and target.spm), which are not read: give --tokenizer a tokenizer.json "
    "of this model"
)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer saved at `path`: a tokenizer.json, a vocab.json with merges.txt beside it, BERT's vocab.txt, or a
    folder with one of these.

    A tokenizer_config.json beside a BERT's says whether upper case becomes lower case, and so on. Where tokenizer.json
    says otherwise, it does not count, as in transformers.

    Raises UserError, naming the file, if it is missing, damaged or of an unknown kind, such as the SentencePiece files
    (source.spm, target.spm) with which OPUS-MT's Marian models are published.
    """
    path = user_path(arguments.path("load_tokenizer", "path", path))
    if path.is_dir():
        names = (FILE_NAME, VOCABULARY, WORDPIECE_FILE)
        folder, name = path, next((name for name in names if (path / name).exists()), None)
        if name is None and any(folder.glob(f"*{PIECES}")):
            raise UserError(f"{folder} {_NOT_READ}")
        path = folder / (name or FILE_NAME)
    if path.suffix == ".txt":
        return WordPieceTokenizer.from_vocab(path, **_wordpiece_settings(path.with_name(CONFIG_NAME)))
    content = read_json(path, most=LARGEST)
    try:
        if path.name == VOCABULARY:
            if {*SENTENCE_TOKENS} <= content.keys() and not path.with_name(MERGES).exists():
                raise UserError(_NOT_READ)
            is_gpt1 = any(token.endswith(END_OF_WORD) for token in content)
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_files(path, path.with_name(MERGES))
        if content.get("type") == "char" and isinstance(content.get("characters"), str):
            return CharTokenizer(content["characters"])
        if isinstance(content.get("model"), dict):
            if content["model"].get("type") == "WordLevel":
                return CharTokenizer.from_library(content)
            if content["model"].get("type") == "WordPiece":
                return WordPieceTokenizer.from_json(json.dumps(content | {"normalizer": _normalizer(content, path)}))
            if content["model"].get("type") == "Unigram":
                is_xlnets = is_for_xlnet(token.get("content") for token in content.get("added_tokens") or ())
                return (XLNetTokenizer if is_xlnets else UnigramTokenizer).from_json(json.dumps(content))
            is_gpt1 = content["model"].get("end_of_word_suffix") == END_OF_WORD
            return (GPT1Tokenizer if is_gpt1 else BPETokenizer).from_json(json.dumps(content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    raise UserError(f'{path} is not a tokenizer: expected "type": "char" and characters, or the library\'s format')


def _normalizer(content: dict, path: Path) -> Any:
    """What a tokenizer.json of BERT's kind does to a text before it splits it."""
    written, settings = content.get("normalizer"), _wordpiece_settings(path.with_name(CONFIG_NAME))
    if not isinstance(written, dict):
        return written
    return written | {
        {"tokenize_chinese_chars": "handle_chinese_chars"}.get(name, name): x for name, x in settings.items()
    }


def _wordpiece_settings(path: Path) -> dict[str, bool | None]:
    """What a tokenizer_config.json says of how BERT's tokenizer splits text, if the file exists."""
    if not path.exists():
        return {}
    config = read_json(path, {"do_lower_case?": bool, "strip_accents?": (bool, None), "tokenize_chinese_chars?": bool})
    names = {"lowercase": "do_lower_case"} | {name: name for name in ("strip_accents", "tokenize_chinese_chars")}
    return {ours: config[theirs] for ours, theirs in names.items() if theirs in config}
