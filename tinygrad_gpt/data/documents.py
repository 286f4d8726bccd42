"""Documents: texts as lists of sentences, for models that learn which sentences follow one another.

    documents = open_documents("wikitext-2")
    documents.train[0][:2]      # the first two sentences of a document

What a document is:
    wikitext-2   an article: it begins at a line " = Title = ". Headings are left out. A sentence ends after a full
                 stop, question mark or exclamation mark that stands alone as a word, and quotes or brackets that close
                 after it. WikiText's marks are undone: "@-@" joins two words, and "<unk>" is BERT's token [UNK]
    python-docs  a section of Python's language reference, without its heading. A paragraph is split as a long line is
    a path       of a UTF-8 text file, or of a folder of them: a blank line, or the end of a file, ends a document. A
                 line is a sentence (the format that Google's code for BERT reads). A line of more than 200
                 characters, or one that is a whole document, is split after each full stop, question or exclamation
                 mark before a space and a capital letter, a digit or an opening quote
    shakespeare  40 speeches that follow one another, a few of them by each of a few people: about a scene. (The file
                 has no marks of scenes.) A line is a sentence, the name of who speaks too

Whole documents are held out, so that no sentence of a text that trained is evaluated. WikiText-2 has two files for it.
Otherwise the documents are put in the order of their SHA-256, a shuffle that is the same everywhere, and the last tenth
is held out, at least two of them: the second sentence of a pair may come from another document. A document that is
there twice counts once: a passage from its copy is no other one's, and a held-out copy would have been learned.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tinygrad_gpt.data.corpora import CORPORA, TRAIN_SHARE, find_file
from tinygrad_gpt.data.python_docs import python_docs
from tinygrad_gpt.data.text_files import read_text, text_files
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.progress import Progress

Document = list[str]  # its sentences, none of them blank

LONG_LINE = 200  # characters; a longer line may be several sentences
NAMES = ("wikitext-2", "python-docs", "shakespeare")
UNKNOWN = "[UNK]"  # in BERT's tokenizers
_SCENE = 40  # speeches of a document of shakespeare
_FEWEST = 2  # documents of each part
_END = re.compile(r"(?<=[.!?])[\"')\]”’]*(?=\s+[\"'(\[“‘]?[A-Z0-9])")  # of a sentence in plain text
_WIKI_END = re.compile(r"(?<= [.?!])(?: [)\]])*(?= |$)")  # of one in WikiText's, word by word
_HEADING = re.compile(r" ?(=(?: =)*) .* \1 ?")
_TITLE = re.compile(r"^.+\n(?:\*{3,}|={3,}|~{3,}|\^{3,}|-{3,})$", re.MULTILINE)  # of a section of python-docs
_MARK = re.compile(r" @([-.,])@ ")


@dataclass(frozen=True)
class Documents:
    """A corpus of documents, in two parts.

    name      the name or path that open_documents was called with
    train     documents to learn from
    held_out  documents to evaluate on
    sha256    of the sentences of both parts: equal for equal content, wherever it was read from
    """

    name: str
    train: list[Document]
    held_out: list[Document]
    sha256: str

    def text(self) -> Iterator[str]:
        """The sentences that train, a line each and without unknown words, for a tokenizer to learn from."""
        for document in self.train:
            yield "".join(f"{sentence}\n" for sentence in document).replace(UNKNOWN, "")


def open_documents(
    name_or_path: str | Path,
    hold_out: bool = True,
    *,
    progress: Progress | None = None,
    hold_none: str = "hold_out=False",
) -> Documents:
    """The documents with this name, or of this file or folder.

    hold_out   whether some are held out; if not, all train
    progress   called with (bytes so far, total bytes or None) while a file is downloaded
    hold_none  how the caller's user can have none held out, for the error about too few documents

    Raises UserError for a name or path that does not exist, a file that is not UTF-8 text, and a text without
    sentences, or with too few documents.
    """
    name = str(name_or_path)
    if name == "wikitext-2":
        files = [find_file(name, f"wikitext-2/{part}.txt", progress) for part in ("valid", "test")]
        train, held_out = ([*wikitext_documents("".join(read_text(file)))] for file in files)
    else:
        train, held_out = _split(name, _read(name, progress), hold_out, hold_none)
    return _made(name, train, held_out) if hold_out else _made(name, train + held_out, [])


def _read(name: str, progress: Progress | None) -> list[Document]:
    """All documents of a name or path but wikitext-2."""
    if name == "python-docs":
        sections = (section for topic in python_docs().split("\n\n\n") for section in _TITLE.split(topic))
        return plain_documents(sections, by_paragraph=True)
    if name == "shakespeare":
        speeches = plain_documents(["".join(read_text(find_file(name, "tinyshakespeare/input.txt", progress)))])
        return [list(chain(*speeches[i : i + _SCENE])) for i in range(0, len(speeches), _SCENE)]
    if name in CORPORA:
        raise UserError(
            f"the lines of {name} are not in the order of a text, so none follows another: expected "
            f"{', '.join(NAMES)}, or the path of a text with a blank line between documents"
        )
    path = user_path(name) if name else Path()
    if name and (path.is_dir() or path.is_file()):
        paths = text_files(path) if path.is_dir() else [path]
        return plain_documents("".join(read_text(file)) for file in paths)
    raise UserError(
        f"there are no documents, file or folder {in_short(name)!r}{did_you_mean(name, NAMES)}: expected "
        f"{', '.join(NAMES)}, or the path of a text with a blank line between documents, or of a folder of them"
    )


def wikitext_documents(text: str) -> Iterator[Document]:
    """The articles of a file of WikiText's."""
    document: Document = []
    for line in text.split("\n"):
        heading = _HEADING.fullmatch(line.rstrip())
        if heading and heading[1] == "=":  # a title; longer ones are headings inside the article
            if document:
                yield document
            document = []
        elif not heading and line.strip():
            document += map(_without_marks, _quotes_closed([*_cut(" " + line.strip(), _WIKI_END)]))
    if document:
        yield document


def plain_documents(texts: Iterable[str], by_paragraph: bool = False) -> list[Document]:
    """The documents of texts with a sentence on each line and a blank line between documents; with by_paragraph, each
    text is a document, with a blank line between paragraphs."""
    documents = []
    for text in texts:
        blocks = [block.split("\n") for block in re.split(r"\n\s*\n", text)]
        if by_paragraph:
            documents.append([" ".join(" ".join(lines).split()) for lines in blocks])
        else:
            documents += [[line for line in lines if line.strip()] for lines in blocks]
    split = (
        [s for line in lines for s in _sentences(line.strip(), len(lines) == 1 and not by_paragraph)]
        for lines in documents
    )
    return [sentences for sentences in split if sentences]


def _sentences(line: str, whole: bool) -> Iterator[str]:
    """Those of a line; `whole` says that it is a document."""
    yield from _cut(line, _END) if whole or len(line) > LONG_LINE else [line] if line else []


def _cut(text: str, end: re.Pattern) -> Iterator[str]:
    """The pieces of a text that end where the pattern does, without white space around them."""
    begin = 0
    for found in end.finditer(text):
        yield text[begin : found.end()].strip()
        begin = found.end()
    if rest := text[begin:].strip():
        yield rest


def _quotes_closed(sentences: list[str]) -> list[str]:
    """The sentences, each with the quote that closes it and not the one before, which looks as one that opens."""
    for i in range(len(sentences) - 1):
        if sentences[i].count('"') % 2 and sentences[i + 1].startswith('"'):
            sentences[i], sentences[i + 1] = sentences[i] + ' "', sentences[i + 1][1:].lstrip()
    return [sentence for sentence in sentences if sentence]


def _without_marks(sentence: str) -> str:
    return _MARK.sub(r"\1", sentence).replace("<unk>", UNKNOWN)


def _split(
    name: str, documents: list[Document], hold_out: bool, hold_none: str
) -> tuple[list[Document], list[Document]]:
    """(those that train, those that are held out). Raises UserError if there are too few."""

    def place(document: Document) -> bytes:
        return hashlib.sha256("\n".join(document).encode()).digest()

    if not documents:
        raise UserError(f"{name} has no sentences: it is empty, or blank")
    ordered = [document for _, document in sorted({place(document): document for document in documents}.items())]
    if len(ordered) < (2 * _FEWEST if hold_out else _FEWEST):
        has = f"{name} has {len(ordered)} {'different ' * (len(documents) > 1)}document{'s' * (len(ordered) != 1)}"
        apart = "put a blank line between documents"
        if len(ordered) < _FEWEST:
            raise UserError(f"{has}, so no sentence is from another one: {apart}")
        raise UserError(f"{has}, too few to hold two out: {apart}, or hold none out ({hold_none})")
    train = min(int(TRAIN_SHARE * len(ordered)), len(ordered) - _FEWEST)
    return ordered[:train], ordered[train:]


def _made(name: str, train: list[Document], held_out: list[Document]) -> Documents:
    digest = hashlib.sha256()
    for part in (train, held_out):
        for document in part:
            digest.update(("\n".join(document) + "\n\n").encode())
        digest.update(b"end of part\n")
    return Documents(name, train, held_out, digest.hexdigest())
