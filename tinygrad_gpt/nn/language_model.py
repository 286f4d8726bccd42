"""What makes a Module a language model: forward(ids (B, T)) -> logits (B, T, V), which at each position score the token
that comes next. Whatever else is asked of it follows from that, unless the model has a quicker way of its own.

config    its settings: vocab_size V, block_size, the longest T (None: there is none), and its width C, under one of the
          names in WIDTHS
loss      optional: loss(ids, targets) -> Tensor ()
features  optional, with `head`: features(ids) -> (B, T, C), from which head makes the logits
"""

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor

WIDTHS = ("n_embd", "hidden_size", "d_model")  # of a GPT, of a BERT, of a Transformer


def width_of(model) -> int | None:
    """C, the channels between the model's blocks; None for a model without a config that says so."""
    config = getattr(model, "config", None)
    return next((getattr(config, name) for name in WIDTHS if hasattr(config, name)), None)


def logits_of(model, ids, first: int = 0) -> Tensor:
    """ids (B, T) -> logits (B, T - first, V): those of the positions from `first` on."""
    if hasattr(model, "features"):
        features = model.features(ids)
        return model.head(features[:, first:] if first else features)
    logits = model(ids)
    return logits[:, first:] if first else logits


def loss_of(model, ids, targets) -> Tensor:
    """Mean cross-entropy in nats per token; `targets` (B, T) holds the token that follows each of `ids` (B, T)."""
    if hasattr(model, "loss"):
        return model.loss(ids, targets)
    return F.cross_entropy(model(ids), targets)


def next_logits_of(model, ids, cache=None, **where) -> Tensor:
    """ids (B, T) -> logits (B, V) of the token after the last position.

    cache, where  those of GPT.next_logits, for a model that has this method

    Raises TypeError for an attention mask that the model has no place for.
    """
    if hasattr(model, "next_logits"):
        return model.next_logits(ids, cache, **where)
    if where:
        raise TypeError(
            f"generate: {type(model).__name__} takes no attention_mask, which prompts of different lengths need: "
            "give it one prompt at a time"
        )
    return model(ids)[:, -1]
