# %% [markdown]
# # 5. Inside GPT-2
#
# GPT-2's weights are public: a file of numbers and a page of settings. In this lesson we open such a checkpoint,
# compute by hand, in plain NumPy, what it says about the next letter, and find the model's own numbers at every step
# of the way.
#
# So that nothing has to be downloaded we first make a small checkpoint of our own, with the very names and layout of
# the real one. If you have the real one on disk, set `CHECKPOINT` to its folder: "Open the files" and "Every step by
# hand" hold for it too. (The ids of our letters are then other tokens. What comes after needs our letters.)

# %%
import json
import math
import tempfile
from pathlib import Path

import numpy as np
from safetensors import safe_open

import tinygrad_gpt as tg
from tinygrad_gpt.files.plots import show_figure
from tinygrad_gpt.generate import token_probabilities
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.models import GPT2, GPTConfig
from tinygrad_gpt.optim import AdamW

text = "the cat sat on the mat. the dog sat on the log. the cow ran to the sea. " * 20
letters = sorted(set(text))
ids = np.array([letters.index(c) for c in text])


def encode(words: str) -> np.ndarray:
    """A row of ids, (1, T)."""
    return np.array([[letters.index(c) for c in words]])


tg.manual_seed(0)
small = GPT2(GPTConfig(len(letters), block_size=32, n_layer=2, n_head=2, n_embd=32))
optimizer = AdamW(small.named_parameters(), lr=1e-2)
for step in range(150):
    starts = np.random.default_rng(step).integers(len(ids) - 32, size=(16, 1))
    windows = ids[starts + np.arange(32)]  # (16, 32)
    loss = small(windows, labels=windows).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss after 150 steps: {loss.item():.3f} nats per letter")
print(f"a guess among {len(letters)} letters:  {math.log(len(letters)):.3f}")
assert loss.item() < 0.5

folder = tempfile.TemporaryDirectory()
CHECKPOINT = folder.name
small.save_pretrained(CHECKPOINT)

# %% [markdown]
# ## Open the files
#
# `config.json` says how large the model is and how it is put together. `model.safetensors` holds the arrays, each under
# a name: a header that lists them, and then their bytes. There is no code in it, so nothing can run when it is
# opened. (Older checkpoints come as pickles, which can run anything; this package refuses those.)

# %%
config = json.loads((Path(CHECKPOINT) / "config.json").read_text(encoding="utf-8"))
for name in ("model_type", "n_layer", "n_head", "n_embd", "n_positions", "vocab_size"):
    print(f"{name:22} {config[name]}")

w = {}
with safe_open(str(Path(CHECKPOINT) / "model.safetensors"), framework="numpy") as file:
    for name in file.keys():  # noqa: SIM118 (no dict)
        w[name.removeprefix("transformer.")] = file.get_tensor(name)
for name, array in w.items():
    if not name.startswith("h.1"):
        print(f"{name:22} {array.shape}")

# %% [markdown]
# `wte` are the token embeddings and `wpe` those of the positions. `h.0`, `h.1`, ... are the blocks. In each,
# `attn.c_attn` makes queries, keys and values in one product, `attn.c_proj` joins the heads, and `mlp.c_fc` and
# `mlp.c_proj` are the feed-forward. There is no output layer: GPT-2 uses `wte` again.
#
# Look at the shape of `mlp.c_fc.weight`. A linear layer from 32 to 128 channels is kept as (128, 32) in PyTorch and
# here: one row per output. In GPT-2's files it is (32, 128). OpenAI's code wrote it as a convolution of width 1, and
# the transposed layout has stayed ("Conv1D"). Loading turns it round:

# %%
model = GPT2.from_pretrained(CHECKPOINT).eval()
ours = model.state_dict()
assert (ours["blocks.0.feed_forward.up.weight"] == w["h.0.mlp.c_fc.weight"].T).all()
print(f"{model.num_parameters():,} numbers in {len(ours)} arrays")

# %% [markdown]
# ## Every step by hand
#
# Now the forward pass, from the file's arrays alone. With `output_hidden_states=True` the model returns what goes into
# each block too, so that we can look for mistakes after every step, and with `output_attentions=True` how much every
# position looks at every other.

# %%
prompt = encode("the dog sat on the ")
output = model(prompt, labels=prompt, output_hidden_states=True, output_attentions=True)


def agree(ours: np.ndarray, models) -> None:
    """Hold one sequence's array against the model's, to float32's precision."""
    theirs = models.data[0]
    size = max(1, np.abs(theirs).max())  # GPT-2's own hidden states go into thousands
    error = np.abs(ours - theirs).max() / size
    print(f"    largest difference {error:.1e}")
    assert error < 1e-4


def layer_norm(x: np.ndarray, name: str) -> np.ndarray:
    x = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(x**2, axis=-1, keepdims=True)
    x = x / np.sqrt(variance + config["layer_norm_epsilon"])
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: np.ndarray, name: str) -> np.ndarray:
    return (
        x @ w[f"{name}.weight"] + w[f"{name}.bias"]
    )  # the file's layout: no transpose


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(x: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    T, C = x.shape
    H = config["n_head"]
    qkv = linear(x, f"{name}.c_attn").reshape(T, 3, H, C // H)
    q, k, v = qkv.transpose(1, 2, 0, 3)  # 3 of (H, T, D)
    scores = q @ k.swapaxes(1, 2) / math.sqrt(C // H)  # (H, T, T)
    scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)  # nobody looks ahead
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    y = (weights @ v).swapaxes(0, 1).reshape(T, C)  # (H, T, D) -> (T, C)
    return linear(y, f"{name}.c_proj"), weights


T = prompt.shape[1]
x = w["wte.weight"][prompt[0]] + w["wpe.weight"][:T]  # (T, C)
print("embeddings")
agree(x, output.hidden_states[0])
for layer in range(config["n_layer"]):
    block = f"h.{layer}"
    added, weights = attention(layer_norm(x, f"{block}.ln_1"), f"{block}.attn")
    x = x + added
    hidden = gelu(linear(layer_norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc"))
    x = x + linear(hidden, f"{block}.mlp.c_proj")
    print(f"block {layer}: attention weights, then what it hands on")
    agree(weights, output.attentions[layer])
    if layer < config["n_layer"] - 1:
        agree(x, output.hidden_states[layer + 1])
x = layer_norm(x, "ln_f")
print("after the last norm")
agree(x, output.hidden_states[-1])
logits = x @ w["wte.weight"].T  # (T, C) -> (T, V)
print("logits")
agree(logits, output.logits)

# %% [markdown]
# Here is who looks at whom: a row for each position, a column for each it looks at, the first head of each block. All
# is dark above the diagonal, where the future lies.


# %%
def draw(figure):
    panels = zip(figure.subplots(1, config["n_layer"]), output.attentions, strict=True)
    for layer, (axes, weights) in enumerate(panels):
        axes.imshow(weights.data[0, 0], vmin=0)  # (T, T)
        axes.set(title=f"block {layer}", xlabel="looked at")
        axes.set_xticks(range(T), [letters[i] for i in prompt[0]])
        axes.set_yticks(range(T), [letters[i] for i in prompt[0]])


show_figure("attention", draw, (4 * config["n_layer"], 4))  # takes matplotlib
assert np.triu(output.attentions[0].data[0, 0], 1).max() == 0

# %% [markdown]
# That is all of GPT-2. The largest one has 48 blocks in place of these 2, and nothing else is different.
#
# ## What it says
#
# The last position's logits, made probabilities, are the model's opinion about the next letter:

# %%
probabilities = token_probabilities(logits[-1])
likeliest = np.argsort(-probabilities)[:3]
print("after 'the dog sat on the ':")
for i in likeliest:
    print(f"{letters[i]!r} {probabilities[i]:.3f}")
assert letters[likeliest[0]] in "lm", "a log or a mat"

# %% [markdown]
# And the loss is how badly it guessed each letter from those before: position t predicts letter t + 1, so the labels
# are the prompt itself, shifted by one. (The model shifts them; you pass the ids.)

# %%
log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
by_hand = -np.mean([log_p[t, prompt[0, t + 1]] for t in range(T - 1)])
print(f"loss by hand {by_hand:.5f}, the model's {output.loss.item():.5f}")
assert abs(by_hand - output.loss.item()) < 1e-4

log_probs = {}
for words in ("the cat sat on the mat.", "the mat sat on the cat."):
    log_probs[words] = model.log_prob(encode(words))[0]
    print(f"log p({words!r}) = {log_probs[words]:.2f}")
assert log_probs["the cat sat on the mat."] > log_probs["the mat sat on the cat."]

# %% [markdown]
# ## Two prompts at once
#
# Arrays are rectangular and prompts are not, so the shorter one is padded: on the left, so that the next token comes
# last in both rows. The attention mask says what is padding, and positions count the real tokens only. What the padding
# holds makes no difference (blanks in the end, which are id 0):

# %%
long, short = encode("the cow ran to the "), encode("the cat ")
padding = long.shape[1] - short.shape[1]
for filler in (5, 0):
    padded = np.pad(short, ((0, 0), (padding, 0)), constant_values=filler)
    batch = np.concatenate([long, padded])  # (2, T)
    mask = np.ones_like(batch)
    mask[1, :padding] = 0
    places = position_ids(mask)
    together = model(batch, attention_mask=mask, position_ids=places).logits.data
    alone = model(short).logits.data
    assert np.allclose(together[1, padding:], alone[0], atol=1e-4)
for row in model.generate(batch, attention_mask=mask, max_new_tokens=12):
    print(repr("".join(letters[i] for i in row)))

# %% [markdown]
# ## Exercises
#
# 1. Set one attention head's part of `c_proj` to zero and look how much the loss rises. Which head matters most, and
#    what does its attention map look like?
# 2. Skip block 1 altogether. Why does the model not fall silent? (Think of what x is made of.)
# 3. Set `CHECKPOINT` to the real GPT-2 and read the top five tokens after a sentence of yours; `load_tokenizer` in
#    `tinygrad_gpt.data` reads its vocabulary from the same folder.

# %%
folder.cleanup()
