"""Byte-level BPE, as in GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section
2.2): text becomes bytes, and frequent neighbours among them are merged into longer tokens."""

from typing import Any

from tinygrad_gpt.data.library_tokenizer import MergingTokenizer, splitting_steps
from tinygrad_gpt.data.tokenizers import UNNAMED_CLASS
from tinygrad_gpt.errors import UserError

END_OF_TEXT = "<|endoftext|>"  # GPT-2's special token, which stands between texts


class BPETokenizer(MergingTokenizer):
    """Byte-level BPE: every text has ids, and decode(encode(text)) == text.

    If the vocabulary has <|endoftext|>, these characters in a text become that one token.
    """

    @staticmethod
    def _around(library, model):
        backend = library.Tokenizer(model)
        backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = library.decoders.ByteLevel()
        if backend.token_to_id(END_OF_TEXT) is not None:
            backend.add_special_tokens([END_OF_TEXT])
        return backend

    @staticmethod
    def _learning(library, vocab_size: int) -> dict[str, Any]:
        if vocab_size < 256:
            raise UserError(f"a byte-level BPE needs a vocabulary of at least 256 (one per byte), not {vocab_size}")
        return {"initial_alphabet": library.pre_tokenizers.ByteLevel.alphabet()}

    @property
    def end_of_text(self) -> int | None:
        """The id of <|endoftext|>, or None if the vocabulary does not have it."""
        return self._backend.token_to_id(END_OF_TEXT)

    def _for_transformers(self) -> dict[str, str]:
        if self.end_of_text is None:
            return {"tokenizer_class": UNNAMED_CLASS}
        content = self._content()
        added, splits = [token["content"] for token in content["added_tokens"]], content["pre_tokenizer"]
        is_gpt2 = added == [END_OF_TEXT] and splits["type"] == "ByteLevel" and splits["use_regex"]
        special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
        return {"tokenizer_class": "GPT2Tokenizer" if is_gpt2 else UNNAMED_CLASS} | special

    def _check_kind(self, content: dict) -> None:
        """Raise UserError unless encoding leaves the text as it is (no lower case, no space in front) and gives the
        same ids each time (no dropout)."""
        steps = splitting_steps(content.get("pre_tokenizer") or {})
        byte_steps = [step for step in steps if step.get("type") == "ByteLevel"]
        if (
            (content.get("model") or {}).get("type") != "BPE"
            or not byte_steps
            or content["model"].get("dropout")
            or content.get("normalizer")
            or any(step.get("add_prefix_space") for step in byte_steps)
        ):
            raise UserError(
                "only byte-level BPE tokenizers that leave the text as it is are supported, such as GPT-2's"
            )

    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        byte_of = _printable_bytes()
        added = {token.content for token in self._backend.get_added_tokens_decoder().values()}
        table = [
            token.encode("utf-8")
            if token in added or not byte_of.keys() >= set(token)
            else bytes(map(byte_of.get, token))
            for token in written
        ]
        missing = {bytes([byte]) for byte in range(256)} - set(table)
        if missing:
            raise UserError(f"the tokenizer has no token for {len(missing)} of the 256 bytes, such as {min(missing)!r}")
        return table


def _printable_bytes() -> dict[str, int]:
    """How GPT-2 writes bytes in a vocabulary: character -> byte.

    Bytes that Latin-1 prints are written as themselves, the others, in order, as the characters from U+0100 on.
    """
    printed = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + i): byte for i, byte in enumerate(others)}
