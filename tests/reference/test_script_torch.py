"""One script in the manner of nanoGPT, run with PyTorch and with this package: only its import differs."""

import numpy as np
import pytest

import tinygrad_gpt

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.reference

SCRIPT = """
import math

nn, F = torch.nn, torch.nn.functional


class CausalSelfAttention(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.attn_dropout = nn.Dropout(0.0)
        self.n_head, self.n_embd = n_head, n_embd
        mask = torch.tril(torch.ones(block_size, block_size))
        self.register_buffer("bias", mask.view(1, 1, block_size, block_size))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = self.attn_dropout(F.softmax(att, dim=-1))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.c_proj(y)


class Block(nn.Module):
    def __init__(self, n_embd, n_head, block_size):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd, 1e-6)
        self.attn = CausalSelfAttention(n_embd, n_head, block_size)
        self.ln_2 = nn.LayerNorm(n_embd, bias=False)
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab_size, block_size, n_layer, n_head, n_embd):
        super().__init__()
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(vocab_size, n_embd),
                wpe=nn.Embedding(block_size, n_embd),
                h=nn.ModuleList([Block(n_embd, n_head, block_size) for _ in range(n_layer)]),
                ln_f=nn.LayerNorm(n_embd),
            )
        )
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, idx, targets=None):
        x = self.transformer.wte(idx) + self.transformer.wpe(torch.arange(0, idx.size(1)))
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


def configure_optimizers(model):
    params = {n: p for n, p in model.named_parameters() if p.requires_grad}
    groups = [
        {"params": [p for p in params.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in params.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99))


def train(model, batches):
    optimizer = configure_optimizers(model)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5, eta_min=1e-3)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[3])
    model.train()
    history = []
    for x, y in batches:
        logits, loss = model(torch.from_numpy(x), torch.from_numpy(y))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        history.append((loss.item(), norm.item(), scheduler.get_last_lr()[0]))
    model.eval()
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(batches[0][0]))
    return history, logits.argmax(dim=-1).tolist()
"""


def run(library):
    names = {"torch": library, "__name__": "script"}
    exec(SCRIPT, names)
    return names


def test_a_script_for_pytorch_trains_the_same_model_here():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 11, (7, 3, 9))
    ids[:, 0, -1] = 4
    targets = np.roll(ids, -1, axis=-1)
    targets[:, 1, :2] = -1  # ignored
    batches = list(zip(ids, targets, strict=True))
    theirs, ours = run(torch), run(tinygrad_gpt)
    torch.manual_seed(1)
    model = theirs["GPT"](11, 9, 2, 2, 8)
    mine = ours["GPT"](11, 9, 2, 2, 8)
    mine.load_state_dict({name: value.numpy() for name, value in model.state_dict().items()})
    history, letters = ours["train"](mine, batches)
    expected, their_letters = theirs["train"](model, batches)
    np.testing.assert_allclose(history, expected, rtol=1e-4)
    assert history[-1][0] < history[0][0] and letters == their_letters
    trained = model.state_dict()
    for name, value in mine.state_dict().items():
        np.testing.assert_allclose(value, trained[name].numpy(), atol=2e-4, err_msg=name)
