"""The models that are measured, and the tokens they read: what all sides of a benchmark must agree on."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Config:
    """One size of model and batch. B sequences of T tokens out of V, C channels; `bias` is nanoGPT's choice."""

    name: str
    B: int
    T: int
    C: int
    layers: int
    heads: int
    V: int
    bias: bool

    def but(self, **changes) -> "Config":
        """This size with some numbers changed, and named by them: char-cpu,T=128."""
        changes = {key: value for key, value in changes.items() if value is not None}
        return replace(self, name=",".join([self.name, *(f"{k}={v}" for k, v in changes.items())]), **changes)


CONFIGS = {
    config.name: config
    for config in (
        Config("char-cpu", 12, 64, 128, 4, 4, 65, False),  # nanoGPT's recipes for characters
        Config("char-gpu", 16, 256, 384, 6, 6, 65, False),
        Config("gpt2-124m", 4, 64, 768, 12, 12, 50257, True),  # GPT-2's smallest
        Config("gpt2-124m-1k", 1, 1024, 768, 12, 12, 50257, True),
        Config("char-gpu-64", 64, 256, 384, 6, 6, 65, False),  # the recipe's own batch, for a GPU
        Config("gpt2-124m-8k", 8, 1024, 768, 12, 12, 50257, True),
    )
}
ON_CUDA = ("char-gpu-64", "gpt2-124m-8k")  # which are measured by default
ON_CPU = tuple(name for name in CONFIGS if name not in ON_CUDA)

# How every side trains.
LR, BETAS, EPS, WEIGHT_DECAY, MAX_NORM = 1e-3, (0.9, 0.99), 1e-8, 0.1, 1.0


def batches(config: Config, count: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` batches of random ids: inputs (B, T) and targets (B, T)."""
    rng = np.random.default_rng(0)
    ids = rng.integers(config.V, size=(count, config.B, config.T + 1))
    return [(row[:, :-1].copy(), row[:, 1:].copy()) for row in ids]


# --- what a benchmark tells its peers ----------------------------------------------------------------------------


class Settings(NamedTuple):
    """What every side is told.

    dtype    of what matrix products multiply: on the GPU for all sides, on the CPU for tinygrad_gpt's, the others
             computing in float32
    weights  file of those that all sides begin with; tinygrad_gpt's side writes it
    device   "cpu" or "cuda"
    """

    config: Config
    dtype: str
    weights: Path
    device: str


def write_settings(folder: Path, config: Config, dtype: str, device: str = "cpu") -> Path:
    """Write settings.json for `read_settings`; the weights are to be beside it."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps(asdict(config) | {"dtype": dtype, "device": device}), encoding="utf-8")
    return settings


def read_settings(settings: str) -> Settings:
    fields = json.loads(Path(settings).read_text(encoding="utf-8"))
    dtype, device = fields.pop("dtype"), fields.pop("device")
    return Settings(Config(**fields), dtype, Path(settings).with_name("weights.safetensors"), device)
