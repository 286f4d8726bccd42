"""Finding a checkpoint: a folder, the hub's cache, the hub itself (which is played here); what is said otherwise."""

import json
import pickle
import sys
import types

import pytest

from tests.checkpoints import gpt2_folder
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT2
from tinygrad_gpt.models.hf.hub import cache_of_the_hub, find_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, in a working folder with nothing else in it; huggingface_hub is not installed."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


def put_in_cache(cache, name: str, commit: str, reference: str | None = None):
    """A snapshot as huggingface_hub lays it out."""
    repository = cache / f"models--{name.replace('/', '--')}"
    if reference:
        file = repository / "refs" / reference
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(commit, encoding="utf-8")
    return gpt2_folder(repository / "snapshots" / commit)


def refusal(*arguments) -> str:
    with pytest.raises(UserError) as error:
        find_folder(*arguments)
    message = str(error.value)
    assert "\n" not in message
    return message


# --- a folder -------------------------------------------------------------------------------------------------------


def test_a_local_folder_comes_before_the_hub(tmp_path, cache):
    put_in_cache(cache, "some/model", "abc", "main")
    folder = gpt2_folder(tmp_path / "here" / "some" / "model")
    assert find_folder("some/model").resolve() == folder.resolve()
    assert find_folder(folder) == folder
    assert "has no revision v1" in refusal(folder, "v1")


def test_folders_that_lack_something(tmp_path):
    folder = gpt2_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    assert f"{folder} has neither model.safetensors nor model.safetensors.index.json" in refusal(folder)
    (folder / "config.json").unlink()
    assert f"{folder} has no config.json" in refusal(folder)


def test_the_folder_of_a_run(tmp_path):
    folder = gpt2_folder(tmp_path / "run")
    (folder / "model.safetensors").rename(folder / "checkpoint.safetensors")
    assert f"{folder} is the folder of a run: tinygrad_gpt.load opens it" in refusal(folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "../model", "a/b/c", "~/nothing here", ""])
def test_a_path_that_is_no_name_on_the_hub(name):
    assert refusal(name).startswith(("there is no folder", ". has no config.json"))


class Trap:
    """What unpickling it runs."""

    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "weights.pkl"])
def test_pickles_are_refused_with_the_reason(tmp_path, name):
    folder = gpt2_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap()))
    for path in (folder, folder / name):
        with pytest.raises(UserError, match="reading it could run any code") as error:
            GPT2.from_pretrained(path)
        message = str(error.value)
        assert str(folder / name) in message and "save_pretrained" in message and "\n" not in message


def test_a_pickle_beside_weights_is_left_alone(tmp_path):
    folder = gpt2_folder(tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    assert GPT2.from_pretrained(folder).config.n_layer == 2


def test_a_file_in_place_of_its_folder(tmp_path):
    folder = gpt2_folder(tmp_path / "model")
    assert "is a file: give its folder" in refusal(folder / "model.safetensors")


# --- the cache ------------------------------------------------------------------------------------------------------


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert cache_of_the_hub() == tmp_path / "cache"
    monkeypatch.delenv("HF_HUB_CACHE")
    assert cache_of_the_hub() == tmp_path / "home" / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_of_the_hub() == tmp_path / "xdg" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert cache_of_the_hub() == tmp_path / "hf" / "hub"


def test_a_snapshot_by_branch_tag_and_commit(cache):
    old = put_in_cache(cache, "some/model", "abc", "v1")
    new = put_in_cache(cache, "some/model", "def", "main")
    change = put_in_cache(cache, "some/model", "123", "refs/pr/7")
    assert find_folder("some/model") == new
    assert find_folder("some/model", "v1") == find_folder("some/model", "abc") == old
    assert find_folder("some/model", "refs/pr/7") == change
    assert GPT2.from_pretrained("some/model", revision="v1").config.vocab_size == 11
    assert "no weights of some/model (v2)" in refusal("some/model", "v2")


def test_files_that_are_links_as_in_the_real_cache(cache):
    snapshot = put_in_cache(cache, "some/model", "abc", "main")
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir()
    for file in list(snapshot.iterdir()):
        file.rename(blobs / file.name)
        try:
            file.symlink_to(f"../../blobs/{file.name}")
        except OSError:
            pytest.skip("this system makes no links")
    assert GPT2.from_pretrained("some/model").config.n_layer == 2


def test_gpt2_by_its_short_name(cache):
    long = put_in_cache(cache, "openai-community/gpt2", "abc", "main")
    assert find_folder("gpt2") == find_folder("openai-community/gpt2") == long
    short = put_in_cache(cache, "gpt2", "def", "main")
    assert find_folder("gpt2") == short


def test_a_snapshot_without_weights_does_not_count(cache):
    snapshot = put_in_cache(cache, "some/model", "abc", "main")
    (snapshot / "model.safetensors").unlink()
    message = refusal("some/model")
    assert "no weights of some/model (main) in the cache" in message


def test_a_snapshot_whose_download_broke_off_does_not_count(cache):
    snapshot = put_in_cache(cache, "some/model", "abc", "main")
    shard = snapshot / "model-00001-of-00002.safetensors"
    (snapshot / "model.safetensors").rename(shard)
    index = {"weight_map": {"wte.weight": shard.name, "wpe.weight": "model-00002-of-00002.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert "no weights of some/model (main) in the cache" in refusal("some/model")
    (snapshot / "model-00002-of-00002.safetensors").write_bytes(shard.read_bytes())
    assert find_folder("some/model") == snapshot


def test_what_was_looked_for_where_and_what_to_install(cache):
    message = refusal("openai-community/gpt2")
    assert "no folder openai-community/gpt2" in message and str(cache) in message
    assert 'pip install "tinygrad-gpt[hub]"' in message


@pytest.mark.parametrize("revision", ["../../x", "..", "/etc", "a//b", " "])
def test_a_revision_stays_in_the_cache(cache, revision):
    put_in_cache(cache, "some/model", "abc", "main")
    assert "is not a valid revision name" in refusal("some/model", revision)


# --- the hub --------------------------------------------------------------------------------------------------------


def test_a_download(cache, monkeypatch):
    asked = []

    def snapshot_download(name, revision, allow_patterns):
        asked.append((name, revision, allow_patterns))
        return str(put_in_cache(cache, name, "abc", revision))

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    for _ in range(2):
        assert GPT2.from_pretrained("some/model").config.n_layer == 2
    ((name, revision, patterns),) = asked  # the second time it was in the cache
    assert (name, revision) == ("some/model", "main")
    assert "config.json" in patterns and not any("bin" in pattern or pattern.startswith("*") for pattern in patterns)


def test_a_download_that_fails(monkeypatch):
    def snapshot_download(*arguments, **settings):
        raise ConnectionError("cannot reach\nthe hub")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert "the download failed: ConnectionError: cannot reach the hub" in refusal("some/model")


def test_a_name_that_the_hub_does_not_have(monkeypatch):
    class RepositoryNotFoundError(Exception):
        pass

    def snapshot_download(*arguments, **settings):
        raise type("Of404", (RepositoryNotFoundError,), {})("401 Client Error. (Request ID: Root=1-6) ... " * 9)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    message = refusal("some/modle")
    assert message.startswith("there is no folder some/modle, and no weights of some/modle (main) in the cache")
    assert message.endswith("the download failed: the hub has no model of this name, or it is private")


def test_a_repository_with_pickles_only(cache, monkeypatch):
    def snapshot_download(name, revision, allow_patterns):
        snapshot = put_in_cache(cache, name, "abc", revision)
        (snapshot / "model.safetensors").unlink()
        return str(snapshot)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert "has neither model.safetensors nor" in refusal("some/model")
