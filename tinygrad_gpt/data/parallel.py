"""Parallel corpora: sentences with their translations, by name or path.

    corpus = open_parallel("multi30k-en-de")
    corpus.train.source[0], corpus.train.target[0]      # a sentence and its translation

Names:
    multi30k-en-de, multi30k-de-en            captions of photographs, English and German (Elliott et al., "Multi30K:
                                              multilingual English-German image descriptions", 2016): 29,000 pairs to
                                              learn from, 1,014 to validate on and the 1,000 of test_2016_flickr
    multi30k-tok-en-de, multi30k-tok-de-en    the same as its authors prepared it with Moses' scripts: lower case, one
                                              form of quotes and dashes, a space around each punctuation mark
Their files are found or downloaded like those of corpora.py.

Anything else is a path, with the two languages, which are the endings of the files' names:
    a folder                                  train.en and train.de, and if one likes valid (or val, validation, dev)
                                              and test, in both languages
    what two file names begin with            corpus, for corpus.en and corpus.de
Line n of one file is the translation of line n of the other one. A file may be gzipped: train.en.gz. Without files to
validate on, the last tenth of the pairs is held out, 1,000 at most: neighbours in a text are alike, and the end of a
text is like what follows it.

White space around a line goes. A pair without text on both sides is left out, and counted.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.corpora import FILES, find_file
from tinygrad_gpt.data.text_files import GZIPPED, read_lines
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import reason, user_path
from tinygrad_gpt.progress import Progress

_NAMED = {  # name -> folder in a data folder, source and target language
    f"{folder}-{source}-{target}": (folder, source, target)
    for folder in ("multi30k", "multi30k-tok")
    for source, target in (("en", "de"), ("de", "en"))
}
PARALLEL = tuple(_NAMED)
_TRAIN, _TEST, _VALID = ("train",), ("test",), ("valid", "val", "validation", "dev")  # what files are called
_MOST_HELD_OUT = 1000  # pairs: enough to tell two models apart, little beside a corpus that takes long to read


@dataclass(frozen=True)
class Translations:
    """Sentences and their translations: target[i] is what source[i] means. len() is the number of pairs.

    blank  pairs without any text, which were left out
    """

    source: list[str]
    target: list[str]
    blank: int = 0

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Parallel:
    """A parallel corpus.

    name       the name or path that open_parallel was called with
    source     the language to translate from: the ending of its files' names, such as "en"
    target     the language to translate into
    train      pairs to learn from
    valid      pairs to validate on
    test       pairs to test on at last; empty where there are none
    sha256     of all pairs and their parts: equal for equal content, wherever it was read from
    lowercase  whether upper case became lower case
    path       the absolute path for a path, None for a name
    """

    name: str
    source: str
    target: str
    train: Translations
    valid: Translations
    test: Translations
    sha256: str
    lowercase: bool = False
    path: str | None = None

    def text(self) -> Iterator[str]:
        """The sentences to learn from: the source language's, then the target's. What a vocabulary of both languages is
        learned from, and none that the model is validated or tested on."""
        yield from self.train.source
        yield from self.train.target

    def __repr__(self) -> str:
        sizes = " + ".join(f"{len(part)}" for part in (self.train, self.valid, self.test))
        return f"Parallel({self.name!r}, {self.source} to {self.target}, {sizes} pairs)"


def open_parallel(
    name_or_path: str | Path,
    source: str = "",
    target: str = "",
    *,
    lowercase: bool = False,
    progress: Progress | None = None,
) -> Parallel:
    """The parallel corpus with this name, or of the files at this path. Names come first: write ./NAME for a path.

    source, target  the languages, for a path
    lowercase       whether upper case becomes lower case, on both sides and in all parts
    progress        called with (bytes so far, total bytes or None) while a file is downloaded

    Raises UserError, naming file and line, for a name, path or language that does not exist, a file that is not UTF-8
    text, files with different numbers of lines, a line whose translation is blank, and too few pairs.
    """
    name = str(name_or_path)
    if name in _NAMED:
        folder, *languages = _NAMED[name]
        if [source or languages[0], target or languages[1]] != languages:
            raise UserError(
                f"{name} is translated from {languages[0]} to {languages[1]}, not from {shown(source or languages[0])} "
                f"to {shown(target or languages[1])}: leave the languages out, or choose among {', '.join(PARALLEL)}"
            )
        parts = [
            _read(*(find_file(name, _place(folder, part, language), progress) for language in languages))
            for part in ("train", "val", "test_2016_flickr")
        ]
        return _made(name, *languages, *parts, lowercase=lowercase)
    path = user_path(name) if name else Path()
    beginnings = path / _TRAIN[0] if path.is_dir() else path
    if not name or not (found := _languages_at(beginnings)):
        raise UserError(_nothing_at(name, path))
    if not source or not target or source == target:
        known = " and ".join(found) if len(found) < 6 else f"{len(found)} endings"
        raise UserError(
            f"{beginnings} has files in {known}: say from which language to translate into which other one "
            f"(--source {found[0]} --target {found[1] if len(found) > 1 else 'LANGUAGE'})"
        )
    train = _read_part(path, _TRAIN, source, target)
    assert train is not None  # or _read_part had raised: it is needed
    valid, test = (
        _read_part(path, names, source, target, needed=False) if path.is_dir() else None for names in (_VALID, _TEST)
    )
    if valid is None:
        train, valid = _hold_out(beginnings, train)
    test = test or Translations([], [])
    return _made(name, source, target, train, valid, test, lowercase=lowercase, path=os.path.abspath(path))


def languages_of(name: str, source: str = "", target: str = "") -> tuple[str, str]:
    """From which language to which open_parallel's corpus of this name translates; of a path, those given."""
    named = _NAMED.get(name)
    return (source, target) if named is None else (named[1], named[2])


def is_parallel(path: str | Path, *languages: str) -> bool:
    """Whether there are files of a parallel corpus, of these languages, at a path: in this folder, or whose names begin
    so."""
    path = user_path(path)
    found = _languages_at(path / _TRAIN[0] if path.is_dir() else path)
    return bool(found) and {*languages} <= {*found}


def _place(folder: str, part: str, language: str) -> str:
    """A file of a named corpus, as FILES has it: gzipped or not."""
    place = f"{folder}/{part}.{language}"
    return place if place in FILES else place + GZIPPED


def _made(
    name: str, source: str, target: str, *parts: Translations, lowercase: bool, path: str | None = None
) -> Parallel:
    """The Parallel of these three parts. Raises UserError if there is nothing to learn from, or to validate on."""
    train, valid, _ = parts
    if not train or not valid:
        raise UserError(
            f"{name} has {len(train)} pairs of sentences to learn from and {len(valid)} to validate on: both need some"
        )
    if lowercase:
        parts = tuple(
            replace(part, source=[s.lower() for s in part.source], target=[s.lower() for s in part.target])
            for part in parts
        )
    digest = hashlib.sha256()
    for part in parts:
        for pair in zip(part.source, part.target, strict=True):
            digest.update("{}\n{}\n".format(*pair).encode())
        digest.update(b"\nend of part\n")
    return Parallel(name, source, target, *parts, sha256=digest.hexdigest(), lowercase=lowercase, path=path)


# --- files ------------------------------------------------------------------------------------------------------------


def _read(source: Path, target: Path) -> Translations:
    """The pairs of two files."""
    lines, others = ([line.strip() for line in read_lines(path)] for path in (source, target))
    if len(lines) != len(others):
        raise UserError(
            f"expected as many lines in {source} as in {target}, line n the translation of line n, got {len(lines):,} "
            f"and {len(others):,}"
        )
    for number, (line, other) in enumerate(zip(lines, others, strict=True), start=1):
        if bool(line) != bool(other):
            blank, full = (target, source) if line else (source, target)
            raise UserError(
                f"{blank}, line {number}: expected the translation of {shown(line or other)} in {full.name}, got a "
                "blank line"
            )
    pairs = [pair for pair in zip(lines, others, strict=True) if pair[0]]
    return Translations([s for s, _ in pairs], [t for _, t in pairs], blank=len(lines) - len(pairs))


def _read_part(
    path: Path, names: tuple[str, ...], source: str, target: str, needed: bool = True
) -> Translations | None:
    """The pairs of a part of a folder, whose files have one of these names, or of what two file names begin with; None
    if there are no such files and they are not needed."""
    if path.is_dir():
        existing = [name for name in names if {source, target} & set(_languages_at(path / name))]
        if not existing and not needed:
            return None
        if len(existing) > 1:
            raise UserError(f"the folder {path} has files {' and '.join(existing)}: leave those that should be read")
        path /= (existing or names)[0]
    return _read(*(_file(path, language) for language in (source, target)))


def _file(beginning: Path, language: str) -> Path:
    """The file in this language, gzipped or not. Raises UserError if there is none, or both are there."""
    names = (f"{beginning.name}.{language}", f"{beginning.name}.{language}{GZIPPED}")
    found = [name for name in names if (beginning.parent / name).is_file()]
    if len(found) > 1:
        raise UserError(f"the folder {beginning.parent} has {' and '.join(found)}: leave the one that should be read")
    if not found:
        raise UserError(f"the folder {beginning.parent} has no file {names[0]} (or {names[1]})")
    return beginning.parent / found[0]


def _languages_at(beginning: Path) -> list[str]:
    """The endings of the files whose names begin so, in alphabetical order: de, en."""
    dotted = f"{beginning.name}."
    try:
        files = [p.name for p in beginning.parent.iterdir() if p.name.startswith(dotted) and p.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"cannot read {beginning.parent}: {reason(error)}") from error
    return sorted({name.removeprefix(dotted).removesuffix(GZIPPED) for name in files})


def _nothing_at(name: str, path: Path) -> str:
    """What to say where there is no corpus."""
    if name and path.is_dir():
        return f"the folder {path} has no parallel corpus: expected the files train.SOURCE and train.TARGET"
    if name and path.is_file():
        return (
            f"{path} is one file: for a parallel corpus, write what the names of both files begin with, such as "
            f"{path.with_suffix('')}, and the two languages, their endings"
        )
    return (
        f"there is no parallel corpus, folder or pair of files {in_short(name)!r}{did_you_mean(name, PARALLEL)}: "
        f"expected {', '.join(PARALLEL)}, a folder with train.SOURCE and train.TARGET, or the beginning of both files' "
        "names"
    )


def _hold_out(name: Path, pairs: Translations) -> tuple[Translations, Translations]:
    """(the pairs to learn from, the last ones, to validate on)."""
    if len(pairs) < 2:
        raise UserError(
            f"{name}: expected at least 2 pairs of sentences, one of them to validate on, got {len(pairs)} (a model "
            "needs thousands to learn anything)"
        )
    cut = len(pairs) - min(max(1, len(pairs) // 10), _MOST_HELD_OUT)
    return (
        Translations(pairs.source[:cut], pairs.target[:cut], pairs.blank),
        Translations(pairs.source[cut:], pairs.target[cut:]),
    )
