"""PyTorch's side of `translation.py`: `nn.TransformerEncoder` and `nn.TransformerDecoder`, and what they lack.

    python benchmarks/peers/torch_translation.py FOLDER HOW

HOW: "fused" or "unfused" AdamW, or "compiled": torch.compile, with the fused one.
"""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import torch
import translation
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from tinygrad_gpt.nn.positions import sinusoids

IN_A_BLOCK = {  # our module in a block -> theirs
    "encoder": {
        "attention.qkv": "self_attn.in_proj_",
        "attention.out": "self_attn.out_proj.",
        "attention_norm": "norm1.",
        "feed_forward.up": "linear1.",
        "feed_forward.down": "linear2.",
        "feed_forward_norm": "norm2.",
    },
    "decoder": {
        "attention.qkv": "self_attn.in_proj_",
        "attention.out": "self_attn.out_proj.",
        "attention_norm": "norm1.",
        "cross_attention.out": "multihead_attn.out_proj.",
        "cross_attention_norm": "norm2.",
        "feed_forward.up": "linear1.",
        "feed_forward.down": "linear2.",
        "feed_forward_norm": "norm3.",
    },
}


class Translator(nn.Module):
    """The Transformer of a folder's settings: post-norm, one table of vectors for both languages and the output."""

    def __init__(self, shape: dict, dropout: float):
        super().__init__()
        c = shape["d_model"]
        stacks = {}
        for half, layer in (("encoder", nn.TransformerEncoderLayer), ("decoder", nn.TransformerDecoderLayer)):
            heads, hidden = shape[f"{half}_attention_heads"], shape[f"{half}_ffn_dim"]
            stacks[half] = layer(c, heads, hidden, dropout, batch_first=True)
        self.embedding = nn.Embedding(shape["vocab_size"], c, padding_idx=translation.PAD)
        positions = sinusoids(shape["max_position_embeddings"], c, order=shape["positions"])
        self.register_buffer("positions", torch.from_numpy(positions))
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.TransformerEncoder(stacks["encoder"], shape["encoder_layers"])
        self.decoder = nn.TransformerDecoder(stacks["decoder"], shape["decoder_layers"])
        self.scale = math.sqrt(c)
        self._drop_only_what_joins_the_residual()

    def _drop_only_what_joins_the_residual(self) -> None:
        """These layers also drop attention weights and inside the feed-forward, which the paper's do not."""
        for layer in (*self.encoder.layers, *self.decoder.layers):
            layer.dropout.p = 0.0
            layer.self_attn.dropout = 0.0
        for layer in self.decoder.layers:
            layer.multihead_attn.dropout = 0.0

    def embed(self, ids):
        return self.dropout(self.embedding(ids) * self.scale + self.positions[: ids.shape[1]])

    def encode(self, ids, padding):
        return self.encoder(self.embed(ids), src_key_padding_mask=padding)

    def decode(self, ids, encoded, padding):
        future = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        x = self.embed(ids)
        return self.decoder(x, encoded, tgt_mask=future, memory_key_padding_mask=padding, tgt_is_causal=True)

    def logits(self, x):
        return F.linear(x, self.embedding.weight)

    def forward(self, input_ids, attention_mask, decoder_input_ids):
        padding = attention_mask == 0
        return self.logits(self.decode(decoder_input_ids, self.encode(input_ids, padding), padding))


def their_names(ours: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """tinygrad_gpt's weights under the names that Translator has for them."""
    theirs = {"embedding.weight": ours["token_embedding.weight"]}
    for name, array in ours.items():
        half, *rest = name.split(".")
        module, kind = ".".join(rest[1:-1]), rest[-1]
        if half in IN_A_BLOCK and module in IN_A_BLOCK[half]:
            theirs[f"{half}.layers.{rest[0]}.{IN_A_BLOCK[half][module]}{kind}"] = array
        elif module == "cross_attention.q":  # nn.MultiheadAttention keeps q, k and v together
            both = array, ours[name.replace("attention.q.", "attention.kv.")]
            theirs[f"decoder.layers.{rest[0]}.multihead_attn.in_proj_{kind}"] = torch.cat(both)
    return theirs


@torch.inference_mode()
def beam_search(model: Translator, ids, mask, beams: int, written: int) -> list[list[int]]:
    """The best translation of each of the sentences (S, Ts): up to `written` tokens, padded behind the end."""
    sentences, vocab = len(ids), model.embedding.num_embeddings
    padding = mask == 0
    encoded = model.encode(ids, padding).repeat_interleave(beams, dim=0)  # (S beams, Ts, C)
    padding = padding.repeat_interleave(beams, dim=0)
    texts = torch.full((sentences * beams, 1), translation.PAD)
    totals = torch.full((sentences, beams), -math.inf)
    totals[:, 0] = 0
    ended: list[list[tuple[float, list[int]]]] = [[] for _ in range(sentences)]  # (mean log-probability, tokens)
    first_rows = torch.arange(sentences)[:, None] * beams
    for length in range(1, written + 1):
        logits = model.logits(model.decode(texts, encoded, padding)[:, -1])
        scores = F.log_softmax(logits, dim=-1)
        if length == written:  # the end is forced, and so costs nothing
            scores[:] = -math.inf
            scores[:, translation.END] = 0
        sums = (totals[:, :, None] + scores.view(sentences, beams, vocab)).flatten(1)
        best, places = sums.topk(2 * beams)  # enough, even if `beams` of them end
        rows, tokens = first_rows + places // vocab, places % vocab
        ends = tokens == translation.END
        for s, place in ends[:, :beams].nonzero().tolist():
            ended[s].append((best[s, place].item() / length, [*texts[rows[s, place], 1:].tolist(), translation.END]))
        totals, chosen = best.masked_fill(ends, -math.inf).topk(beams)
        rows, tokens = rows.gather(1, chosen).flatten(), tokens.gather(1, chosen).flatten()
        texts = torch.cat([texts[rows], tokens[:, None]], dim=1)
        for some in ended:
            some.sort(reverse=True)
            del some[beams:]
        hopes = (totals[:, 0] / length).tolist()
        if all(len(some) == beams and some[-1][0] >= hope for some, hope in zip(ended, hopes, strict=True)):
            break
    best_texts = [some[0][1] for some in ended]
    longest = max(map(len, best_texts))
    return [text + [translation.PAD] * (longest - len(text)) for text in best_texts]


def main() -> None:
    folder, how = Path(sys.argv[1]), sys.argv[2]
    size = translation.read_size(folder)

    def load(dropout: float = size.shape["dropout"]) -> Translator:
        model = Translator(size.shape, dropout)
        theirs = their_names(load_file(folder / "weights.safetensors"))
        missing, unexpected = model.load_state_dict(theirs, strict=False)
        if missing != ["positions"] or unexpected:
            raise SystemExit(f"weights that don't fit nn.Transformer: {missing}, {unexpected}")
        return model

    def learn(**settings):
        model = load(**settings).train()
        optimizer = torch.optim.AdamW(model.parameters(), **translation.ADAMW, fused=how != "unfused")
        score = torch.compile(model) if how == "compiled" else model

        def update(batch: dict) -> float:
            optimizer.zero_grad()
            ids, mask, read, labels = batch.values()
            logits = score(ids, mask, read).flatten(0, 1)
            loss = F.cross_entropy(logits, labels.flatten(), label_smoothing=translation.SMOOTHING)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), translation.MAX_NORM)
            optimizer.step()
            return loss.item()

        return update

    def translator():
        model = load().eval()
        ids, mask = map(torch.from_numpy, translation.sources(size))
        return lambda: beam_search(model, ids, mask, translation.BEAMS, size.written)

    given = [{name: torch.from_numpy(a) for name, a in batch.items()} for batch in translation.batches(size)]
    harness.serve(translation.requests(learn, translator, given))


if __name__ == "__main__":
    main()
