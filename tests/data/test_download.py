"""Downloads, from a server on this machine that can misbehave."""

import gzip
import hashlib
import http.server
import socket
import threading

import pytest

from tinygrad_gpt.data import corpora, open_corpus
from tinygrad_gpt.data.corpora import Remote
from tinygrad_gpt.data.download import DownloadError, download
from tinygrad_gpt.errors import UserError

CONTENT = b"To be, or not to be, that is the question.\n" * 5000  # 215,000 bytes: several reads
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LIMIT = len(CONTENT)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        what = self.path.strip("/")
        if what == "missing":
            self.send_error(404)
            return
        body = CONTENT
        if what == "other":
            body = body[:-1] + b"?"
        if what in ("large", "large-unannounced"):
            body += b"x"
        self.send_response(200)
        if what not in ("unannounced", "large-unannounced"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if what == "cut":
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def shakespeare_at(monkeypatch):
    """Make the corpus `shakespeare` a file of that URL."""
    return lambda url: monkeypatch.setitem(corpora.FILES, "tinyshakespeare/input.txt", Remote(url, LIMIT, SHA256))


@pytest.mark.parametrize("page, total", [("whole", LIMIT), ("unannounced", None)])
def test_whole_file(server, tmp_path, page, total):
    seen = []
    download(f"{server}/{page}", tmp_path / "new" / "file", SHA256, LIMIT, lambda *call: seen.append(call))
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert seen[0] == (0, total) and seen[-1] == (LIMIT, total) and len(seen) > 2
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize(
    "page, says",
    [
        ("missing", "404"),
        ("other", "not the expected one"),
        ("large", f"{LIMIT + 1} bytes, and at most {LIMIT}"),
        ("large-unannounced", f"more than the {LIMIT} bytes"),
        ("cut", f"cut off after {LIMIT // 2} of {LIMIT} bytes"),
    ],
)
def test_what_goes_wrong_leaves_nothing_behind(server, tmp_path, page, says):
    with pytest.raises(DownloadError, match=says):
        download(f"{server}/{page}", tmp_path / "file", SHA256, LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_connection_refused_and_unknown_host(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        with pytest.raises(DownloadError):
            download(f"http://127.0.0.1:{unused.getsockname()[1]}/", tmp_path / "file", SHA256, LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        download(f"{server}/whole", tmp_path / "file" / "below", SHA256, LIMIT)


def test_corpus_is_downloaded_once_and_then_found_in_the_cache(server, shakespeare_at, own_cache):
    shakespeare_at(f"{server}/whole")
    seen = []
    corpus = open_corpus("shakespeare", progress=lambda *call: seen.append(call))
    assert corpus.characters == len(CONTENT) and seen
    shakespeare_at("http://127.0.0.1:9/")  # nobody answers there
    assert open_corpus("shakespeare").sha256 == corpus.sha256


def test_damaged_file_in_the_cache_is_fetched_again(server, shakespeare_at, own_cache):
    cached = own_cache / "corpora" / "tinyshakespeare" / "input.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:1000])
    shakespeare_at(f"{server}/whole")
    assert open_corpus("shakespeare").characters == len(CONTENT)
    assert cached.read_bytes() == CONTENT


def test_data_folder_goes_before_cache_and_network(server, shakespeare_at, tmp_path, monkeypatch):
    shakespeare_at(f"{server}/whole")
    (tmp_path / "data" / "tinyshakespeare").mkdir(parents=True)
    (tmp_path / "data" / "tinyshakespeare" / "input.txt").write_text("A version of my own. " * 10)
    monkeypatch.setenv("TINYGRAD_GPT_DATA", str(tmp_path / "data"))
    assert open_corpus("shakespeare").characters == 210


def test_offline_says_which_file_to_put_where(shakespeare_at, own_cache):
    url = "http://127.0.0.1:9/input.txt"
    shakespeare_at(url)
    with pytest.raises(UserError) as error:
        open_corpus("shakespeare")
    message = str(error.value)
    assert "\n" not in message
    place = own_cache / "corpora" / "tinyshakespeare" / "input.txt"
    assert f"put {url} at {place}" in message and "TINYGRAD_GPT_DATA" in message
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)  # do as it says
    assert open_corpus("shakespeare").characters == len(CONTENT)


def test_published_places_are_https_and_sizes_and_hashes_are_those_of_the_files(real_data):
    for place, remote in corpora.FILES.items():
        path = real_data / place  # a plain file may lie there gzipped
        content = (
            path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
        )
        assert remote.url.startswith("https://")
        assert (len(content), hashlib.sha256(content).hexdigest()) == (remote.size, remote.sha256)
