"""Trained models by place: a run folder of ours, a Hugging Face folder, or a name on the Hugging Face hub.

source = find_model("runs/shakespeare-1")     # or "../gpt2", or "openai-community/gpt2"
source.config                                  # the model's shape; the weights are not read yet
model, tokenizer = source.load(), source.tokenizer()

find_model("../bert", kinds=("bert",)).encoder()   # for who can use a BERT, and no GPT
"""

from pathlib import Path
from typing import Any

from tinygrad_gpt import devices
from tinygrad_gpt.data import Tokenizer
from tinygrad_gpt.data.tokenizer_files import PIECES
from tinygrad_gpt.data.tokenizers import FILE_NAME
from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.bert import BertConfig, BertForPreTraining, BertModel
from tinygrad_gpt.models.hf.folder import open_weights
from tinygrad_gpt.models.hf.hub import CONFIG
from tinygrad_gpt.models.hf.pretrained import find_pretrained, is_of_transformers
from tinygrad_gpt.models.transformer import TransformerConfig
from tinygrad_gpt.models.transformer_xl import TransformerXLConfig
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel, XLNetModel
from tinygrad_gpt.nn import Module
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.loadable import WRITERS, TrainedModel
from tinygrad_gpt.train.room import check_use
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.saved_runs import BY_TASK, TrainedRun

_KINDS = {  # but for GPTs
    BertConfig: "bert",
    TransformerConfig: "transformer",
    TransformerXLConfig: "transformer-xl",
    XLNetConfig: "xlnet",
}


class HuggingFaceModel(TrainedModel):
    """A folder as transformers writes it, on this disk or from the hub."""

    def __init__(self, name: str):
        self.name, self.found = name, find_pretrained(name)
        self.folder, self.config, self.hf_config = self.found.folder, self.found.config, self.found.written
        self.kind = next((kind for config, kind in _KINDS.items() if isinstance(self.config, config)), "gpt")

    @property
    def parameters(self) -> int:
        return self.found.parameters

    def load(self) -> Any:
        return self.found.load()

    def encoder(self) -> Any:
        bare = {"bert": BertModel, "xlnet": XLNetModel}
        return self.found.load(bare[self.kind]) if self.kind in bare else super().encoder()

    def for_pretraining(self) -> Any:
        whole = {"bert": BertForPreTraining, "xlnet": XLNetLMHeadModel}
        return self.found.load(whole[self.kind]) if self.kind in whole else super().for_pretraining()

    def tokenizer(self) -> Tokenizer:
        names = (FILE_NAME, "vocab.json", "vocab.txt")
        if not any((self.folder / name).exists() for name in names) and not any(self.folder.glob(f"*{PIECES}")):
            raise UserError(f"{self.name} has no tokenizer: give one with --tokenizer PATH")
        return self.tokenizer_at(str(self.folder))

    def files(self) -> list[Path]:
        return [self.folder / CONFIG, *sorted({file.path for file in open_weights(self.folder).values()})]


def find_model(name: str, kinds: tuple[str, ...] = WRITERS) -> TrainedModel:
    """The model with this name: a run folder's, or what `find_pretrained` finds. Its weights are not read yet.

    kinds  of model that the caller can use: "gpt", "transformer-xl", "bert", "xlnet", "transformer"

    Raises UserError if there is no model, its description is damaged, or it is of another kind.
    """
    found = _find(name)
    if found.kind not in kinds:
        raise found.is_not(*kinds)
    return found


def _find(name: str) -> TrainedModel:
    path = user_path(name)
    if not path.exists() and _looks_like_a_path(name):
        beside = [str(p) for p in path.parent.glob("*") if p.is_dir()] if path.parent.is_dir() else []
        raise UserError(f"there is no folder {name}{did_you_mean(str(path), beside)}")
    if not path.is_dir():
        return HuggingFaceModel(name)
    try:
        written = read_json(path / CONFIG)
    except UserError:
        return TrainedRun(path)  # which says what is wrong
    if is_of_transformers(written):
        return HuggingFaceModel(name)
    return BY_TASK.get(RunFolder(path).task_name(), TrainedRun)(path)


def _looks_like_a_path(name: str) -> bool:
    """Whether a name is that of a folder here, and not one on the Hugging Face hub, such as owner/model."""
    parent = user_path(name).parent
    return name.startswith(("runs/", ".", "/", "~")) or "\\" in name or (parent != Path() and parent.is_dir())


def open_model(
    name: str, tokenizer: str | None = None, device: str = "cpu", kinds: tuple[str, ...] = WRITERS
) -> tuple[TrainedModel, Tokenizer, Module]:
    """(the trained model, its tokenizer, the loaded Module), for sampling and evaluation.

    tokenizer  path of another tokenizer than the model's own
    device     where the model computes
    kinds      of model that the caller can use; see find_model

    Raises UserError for a missing device, model or checkpoint, and for damaged files.
    """
    source = find_model(name, kinds)
    use_arithmetic(source.train or TrainConfig())
    chosen = devices.device(device)
    check_use(source.parameters, chosen)
    return source, source.tokenizer_at(tokenizer), source.load().to(chosen)
