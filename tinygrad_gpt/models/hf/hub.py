"""Find a checkpoint: in a folder, in the cache that Hugging Face's libraries share, or on the hub.

This file reads the cache without those libraries (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):

    CACHE/models--OWNER--NAME/refs/REVISION        text: the commit of a branch or tag when it was downloaded
    CACHE/models--OWNER--NAME/snapshots/COMMIT/    the files of that commit
"""

import os
import re
from pathlib import Path

from tinygrad_gpt import arguments
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import read_file, user_path

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
GENERATION = "generation_config.json"
# Files to download: no pickles, and no weights for other libraries.
_WANTED = (CONFIG, WEIGHTS, INDEX, "model-*.safetensors", "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")
_WANTED += (GENERATION, "tokenizer_config.json")  # the latter says whether a BERT's text is in lower case
_WANTED += ("1_Pooling/config.json", "sentence_bert_config.json")  # see sentences.py
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_REVISION = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_LONGEST_REFERENCE = 1000  # bytes
# What errors of huggingface_hub mean, whose own texts are paragraphs.
_MEANINGS = {
    "GatedRepoError": "the hub gives this model only to those who have asked for it: `hf auth login`",
    "RepositoryNotFoundError": "the hub has no model of this name, or it is private",
    "RevisionNotFoundError": "the model has no such revision",
    "LocalEntryNotFoundError": "the hub cannot be reached",
}
# Where the hub looks for gpt2, gpt2-medium, ..., openai-gpt; and for bert-base-uncased, ...
_OWNERS = ("openai-community", "google-bert")


def find_folder(path_or_hub_id: str | os.PathLike, revision: str | None = None) -> Path:
    """The folder of a checkpoint with config.json and safetensors weights: the local folder of this path; else the
    snapshot of a hub id ("gpt2", "openai-community/gpt2") in the cache; else one that is downloaded into the cache.

    revision  branch, tag or commit on the hub; None: main

    Raises UserError that says what was not found and where, and for pickled weights.
    """
    path = user_path(arguments.path("from_pretrained", "folder or name", path_or_hub_id))
    if path.is_dir():
        if revision is not None:
            raise UserError(f"{path} is a local folder, which has no revision {revision}: leave it out")
        return _checked(path)
    if path.is_file():
        raise UserError(_pickled(path) if path.suffix in _PICKLED else f"{path} is a file: give its folder")
    name = str(path_or_hub_id)
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"there is no folder {path}")
    revision = revision or "main"
    if not _REVISION.fullmatch(revision):
        raise UserError(f"{shown(revision)} is not a valid revision name")
    return _in_cache(name, revision) or _checked(_download(name, revision))


def _checked(folder: Path) -> Path:
    """`folder` itself. Raises UserError if it lacks config.json or safetensors weights."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder} has no {CONFIG}: expected a folder as transformers' save_pretrained writes it")
    if not (folder / WEIGHTS).exists() and not (folder / INDEX).exists():
        if (folder / "checkpoint.safetensors").exists():
            raise UserError(
                f"{folder} is the folder of a run: tinygrad_gpt.load opens it, and `tinygrad-gpt export` makes a "
                "Hugging Face folder of it"
            )
        pickled = sorted(file for file in folder.iterdir() if file.suffix in _PICKLED)
        raise UserError(_pickled(pickled[0]) if pickled else f"{folder} has neither {WEIGHTS} nor {INDEX}")
    return folder


def _pickled(file: Path) -> str:
    return (
        f"{file} is a pickle; reading it could run any code, so it is refused: if you trust it, load it with "
        f"transformers and write it with its save_pretrained, which makes {WEIGHTS}"
    )


# --- the cache -------------------------------------------------------------------------------------------------------


def cache_of_the_hub() -> Path:
    """HF_HUB_CACHE, else HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub on any system."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return user_path(cache)
    if home := os.environ.get("HF_HOME"):
        return user_path(home) / "hub"
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def _in_cache(name: str, revision: str) -> Path | None:
    """The snapshot of a hub id in the cache; None if it is missing or incomplete."""
    names = [name] if "/" in name else [name, *[f"{owner}/{name}" for owner in _OWNERS]]
    for repository in (cache_of_the_hub() / f"models--{name.replace('/', '--')}" for name in names):
        reference = repository / "refs" / revision
        commit = read_file(reference, _LONGEST_REFERENCE).decode().strip() if reference.is_file() else revision
        snapshot = repository / "snapshots" / commit
        if (snapshot / CONFIG).exists() and _has_all_weights(snapshot):
            return snapshot
    return None


def _has_all_weights(snapshot: Path) -> bool:
    """Whether all weights are present: a download may have broken off after the index."""
    if (snapshot / WEIGHTS).exists():
        return True
    try:
        index = read_json(snapshot / INDEX, {"weight_map": {...: str}})
    except UserError:
        return False
    return all((snapshot / file_name).exists() for file_name in index["weight_map"].values())


# --- the hub ---------------------------------------------------------------------------------------------------------


def _download(name: str, revision: str) -> Path:
    """The snapshot of a hub id in the cache, downloaded. Raises UserError."""
    looked = f"there is no folder {name}, and no weights of {name} ({revision}) in the cache {cache_of_the_hub()}"
    try:
        import huggingface_hub
    except ImportError:
        raise UserError(f'{looked}; to download them: pip install "tinygrad-gpt[hub]"') from None
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(_WANTED)))
    except Exception as error:  # of many kinds, from several libraries: not found, no access, offline, no connection
        meanings = [_MEANINGS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _MEANINGS]
        why = meanings[0] if meanings else f"{type(error).__name__}: {in_short(error, 300)}"
        raise UserError(f"{looked}; the download failed: {why}") from None
