"""A small WordPiece vocabulary, and a text to learn one from."""

TEXT = "The cats sat on the mats; the cat's hat, and THE Café's bats!\n" * 40
PIECES = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##a", "##ff", "##able", "##ffa", "the", "a"]
PIECES += ["##bl", "##e", ".", ",", "'", "s", "cafe", "café", "Café", "中", "文", "中文", "naive", "naïve"]


def written(path, tokens):
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return path


def tokens(tokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(token) for token in tokenizer.encode(text)]
