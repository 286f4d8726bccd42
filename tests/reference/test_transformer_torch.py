"""The Transformer against PyTorch's own nn.Transformer: both places of the norms, both orders of the sinusoids, outputs
and gradients, with sources and targets padded to unequal lengths.

nn.Transformer is the two stacks alone, with one number of heads and one width of the feed-forward; the embedding, its
scale and the positions are put before it here, and the shared head behind it. It has a norm after each stack in any
case: where ours has none, it is taken away.
"""

import math

import numpy as np
import pytest

from tinygrad_gpt.models import Transformer, TransformerConfig

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),  # a way to be quicker, which it does not take
]

V, PAD, B, TS, T = 23, 4, 3, 9, 7
SHAPE = dict(
    vocab_size=V,
    d_model=12,
    encoder_layers=2,
    decoder_layers=3,
    encoder_attention_heads=3,
    decoder_attention_heads=3,
    encoder_ffn_dim=17,
    decoder_ffn_dim=17,
    max_position_embeddings=TS,
    dropout=0.0,
    pad_token_id=PAD,
)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}
# A layer of PyTorch's: its parameters' names -> ours.
_NAMES = {
    "self_attn.in_proj_": "attention.qkv.",
    "self_attn.out_proj.": "attention.out.",
    "multihead_attn.out_proj.": "cross_attention.out.",
    "linear1.": "feed_forward.up.",
    "linear2.": "feed_forward.down.",
}


def torch_stacks(ours: Transformer):
    """nn.Transformer with the weights of ours."""
    c = ours.config
    stacks = torch.nn.Transformer(
        c.d_model,
        c.encoder_attention_heads,
        c.encoder_layers,
        c.decoder_layers,
        c.encoder_ffn_dim,
        dropout=0.0,
        activation=c.activation_function,
        batch_first=True,
        norm_first=c.norm == "pre",
    ).to(torch.float64 if ours.token_embedding.weight.dtype == np.float64 else torch.float32)
    if c.norm == "post":
        stacks.encoder.norm = stacks.decoder.norm = None
    state = {name: torch.from_numpy(array.copy()) for name, array in ours.state_dict().items()}
    stacks.load_state_dict({name: their_form(name, state) for name in stacks.state_dict()})
    return stacks


def their_form(name: str, ours: dict):
    """A tensor that PyTorch's model calls `name`, from those of our state, by name."""
    stack, _, rest = name.partition(".layers.")
    if not rest:
        return ours[name.replace(".norm.", "_norm.")]
    number, _, rest = rest.partition(".")
    block, kind = f"{stack}.{number}.", rest.rpartition("_" if "in_proj" in rest else ".")[2]
    if rest.startswith("multihead_attn.in_proj"):  # q, k and v as one, where ours has q, and k and v
        return torch.cat([ours[f"{block}cross_attention.q.{kind}"], ours[f"{block}cross_attention.kv.{kind}"]])
    norms = ["attention_norm", "cross_attention_norm", "feed_forward_norm"]
    if stack == "encoder":
        del norms[1]
    for i, norm in enumerate(norms, 1):
        rest = rest.replace(f"norm{i}.", f"{norm}.")
    for theirs, name_of_ours in _NAMES.items():
        rest = rest.replace(theirs, name_of_ours)
    return ours[block + rest]


def torch_loss(ours: Transformer, stacks, embedding, source_ids, source_mask, target_ids, labels):
    """(logits (B, T, V), loss)"""
    c = ours.config

    def embedded(ids):
        x = torch.nn.functional.embedding(torch.from_numpy(ids), embedding, padding_idx=PAD)
        t, i = np.arange(ids.shape[1])[:, np.newaxis], np.arange(c.d_model)
        angles = t / 10_000 ** (2 * (i // 2) / c.d_model)
        table = np.where(i % 2, np.cos(angles), np.sin(angles))
        if c.positions == "halves":
            table = np.concatenate([table[:, 0::2], table[:, 1::2]], axis=1)
        table = torch.from_numpy(table.astype(np.float32)).to(embedding.dtype)  # as ours was made
        return x * (math.sqrt(c.d_model) if c.scale_embedding else 1.0) + table

    hidden = torch.from_numpy(source_mask == 0)
    future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
    x = stacks(
        embedded(source_ids),
        embedded(target_ids),
        tgt_mask=future,
        src_key_padding_mask=hidden,
        memory_key_padding_mask=hidden,
    )
    logits = x @ embedding.T
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(labels).flatten())


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("positions", ["interleaved", "halves"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize(
    "settings",
    [dict(), dict(activation_function="gelu", d_model=15, scale_embedding=False), dict(encoder_layers=1)],
    ids=str,
)
def test_logits_loss_and_gradients(norm, positions, settings, dtype):
    ours = Transformer(TransformerConfig(**(SHAPE | settings), norm=norm, positions=positions)).to(dtype).eval()
    rng = np.random.default_rng(0)
    for name, p in ours.named_parameters():
        std = p.shape[1] ** -0.5 if p.ndim == 2 else 0.5
        p.data[...] = rng.normal("norm.weight" in name, std, p.shape)
    stacks = torch_stacks(ours).eval()
    embedding = torch.from_numpy(ours.token_embedding.weight.data.copy()).requires_grad_()
    seen = np.arange(TS) < np.array([5, TS, 2])[:, np.newaxis]
    real = np.arange(T) < np.array([T, 3, 6])[:, np.newaxis]
    source = np.where(seen, rng.integers(0, V, (B, TS)), PAD)
    labels = np.where(real, rng.integers(0, V, (B, T)), -100)
    target = np.concatenate([np.full((B, 1), PAD), np.where(real, labels, PAD)[:, :-1]], axis=1)

    logits = ours(source, target, seen)
    loss = ours.loss(source, seen, target, labels).total
    their_logits, their_loss = torch_loss(ours, stacks, embedding, source, seen, target, labels)
    assert logits.dtype == dtype
    assert np.abs(logits.numpy() - their_logits.detach().numpy()).max() <= TOLERANCE[dtype]
    assert abs(loss.item() - their_loss.item()) <= TOLERANCE[dtype]

    loss.backward()
    their_loss.backward()
    gradients = {name: torch.from_numpy(np.asarray(p.grad)) for name, p in ours.named_parameters()}
    pairs = {name: (their_form(name, gradients), p.grad) for name, p in stacks.named_parameters()}
    pairs["embedding"] = gradients["token_embedding.weight"], embedding.grad
    assert sum(our.numel() for our, _ in pairs.values()) == ours.num_parameters(), "each of ours was compared"
    for name, (our, their) in pairs.items():
        assert (our - their).abs().max() <= TOLERANCE[dtype] * max(1.0, their.abs().max()), name
