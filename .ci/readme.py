"""The README as a page of a package index shows it: without links to files of the repository, which lead nowhere there.

A hook for hatchling (pyproject.toml names it), so that wheels describe themselves with it.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


def without_links_to_files(markdown: str) -> str:
    """The text with [words](path) as words, wherever the path is no web address."""
    return re.sub(r"\[([^][]+)\]\((?!https?://)[^()\s]+\)", r"\1", markdown)


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata: dict) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_links_to_files(text)}
