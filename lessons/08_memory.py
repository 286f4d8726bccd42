# %% [markdown]
# # 8. Transformer-XL, and what it remembers
#
# A GPT reads a window of so many tokens; what stands before them does not exist. Text is longer. Cut it into segments of
# T tokens, and the first of each is guessed from nothing. *Transformer-XL* (Dai, Yang et al., 2019) keeps what its
# blocks were given for the last M tokens, and looks at that as well: its memory. No gradient goes back into it, so a
# training step costs little more; but a memory breaks the positions that a GPT adds to its tokens.
#
# Here we make a text in which what comes next was told long ago, so that we can *count* what a memory is worth, and
# then measure it. Ten seconds on a laptop. You need attention, as in lesson 5, and a loss in nats, as in lesson 4.

# %%
import math

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt import models
from tinygrad_gpt.files.plots import show_figure
from tinygrad_gpt.nn.positions import sinusoids
from tinygrad_gpt.optim import AdamW

# %% [markdown]
# ## A text that needs a memory
#
#     e2 b? b0 a3 e? e2 b1 ...
#
# There are 12 boxes, a to l, and a digit in each. `e2` puts a 2 into box e. `b?` asks what is in box b, and the next
# token must answer: `b0`. What counts is where the box was named last, and that may be long ago.

# %%
BOXES, DIGITS, T, ROWS = "abcdefghijkl", "0123", 16, 32
N, P = len(BOXES), len(DIGITS)
words = [f"{box}?" for box in BOXES]
words += [box + digit for box in BOXES for digit in DIGITS]
V = len(words)


def text(rng, length) -> list[int]:
    """A text of so many tokens. Questions are ids below N, and the rest tells a box."""
    holds, ids = rng.integers(P, size=N), []
    boxes, digits = rng.integers(N, size=length), rng.integers(P, size=length)
    for box, digit, asks in zip(boxes, digits, rng.random(length) < 0.6, strict=True):
        if asks:
            ids.append(box)  # a question, and below its answer
        else:
            holds[box] = digit
        ids.append(N + box * P + holds[box])
    return ids[:length]


rng = np.random.default_rng(0)
STEPS, SEGMENTS = 600, 32
train = np.array([text(rng, STEPS * T + 1) for _ in range(ROWS)])
fresh = np.array([text(rng, SEGMENTS * T + 1) for _ in range(ROWS)])  # to test on
print(*(words[i] for i in fresh[0, :24]))

# %% [markdown]
# How well can the answers be guessed by one who sees the last n tokens, and no further? If the box is named there, he
# knows the answer, and its $-\log p$ is 0. If not, it is one of 4 digits: $\log 4 = 1.39$. So we need only count. At
# place t of a segment, whoever remembers M tokens sees M + t + 1, the question among them.

# %%
gaps = np.full((ROWS, SEGMENTS * T), np.nan)  # from each question back to its box
for row, gap in zip(fresh, gaps, strict=True):
    named = {}  # box -> place
    for place, i in enumerate(row[:-1]):
        if i < N:
            gap[place] = place - named.get(i, -math.inf)
        else:
            named[(i - N) // P] = place
gaps = gaps.reshape(ROWS, SEGMENTS, T)


def least(m) -> np.ndarray:
    """The loss that a memory of m tokens cannot avoid, (B, S, T); nan elsewhere."""
    too_far = gaps > m + np.arange(T)  # further back than all that is seen
    return np.where(np.isnan(gaps), np.nan, too_far * math.log(P))


def by_place(losses) -> np.ndarray:
    """The mean loss at the answers, by place in the segment: (B, S, T) -> (T,)."""
    return np.nanmean(losses[:, 8:], axis=(0, 1))  # where 128 tokens come before


MEMORIES = 0, 16, 32, 64, 128
for m in MEMORIES:
    losses = by_place(least(m))
    print(f"memory {m:3}: {losses.mean():.3f} nats; by place", losses[::5].round(2))
assert math.isclose(by_place(least(0))[0], math.log(P)), "the question alone is no help"

# %% [markdown]
# ## Which place is that?
#
# A GPT adds a vector for its position to each token: 0, 1, 2, ... in every segment. Put a memory before the segment,
# and each number comes twice. Here a 2 and a 1 were put into box e, one in the memory and one in the segment, each at
# place 0. Which of them came last? Let us swap the two, and see what attention makes of it for the question.

# %%
C = 64
vectors, table = rng.standard_normal((V, C)), sinusoids(T, C)


def attended(tokens, numbers) -> np.ndarray:
    """What attention gives the last token, (C,). Queries, keys and values are x."""
    x = vectors[[words.index(token) for token in tokens.split()]] + table[numbers]
    return F.softmax(tg.Tensor(x[-1] @ x.T / C)).numpy() @ x


texts = "e2 b? b0 e1 a3 e?", "e1 b? b0 e2 a3 e?"
for numbers in ([0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]):
    one, other = (attended(tokens, numbers) for tokens in texts)
    print(f"numbered {numbers}: swapped, differs by {abs(one - other).max():.0e}")
    assert (abs(one - other).max() < 1e-9) == (numbers[3] == 0)

# %% [markdown]
# It cannot tell which came last. And to go on counting, from segment to segment, leads to numbers that no training has
# seen. So Transformer-XL adds nothing to the tokens. Its attention asks *how far apart* query and key are, with a
# vector p for each distance:
#
#     score[i, j] = ((q_i + u) · k_j + (q_i + w) · p_{i-j}) / √D
#
# That would be T · K products with p. But q times *all* p, as one matrix, already holds them, a row for a query and a
# column for a distance, the largest first: 4 3 2 1 0 for a memory of 2 and a segment of 3. Only, in each row they stand
# one place too far to the right, compared with the row below. `rel_shift` moves them. (The tens say whose row it is.)

# %%
by_distance = np.array([[10.0 * i + d for d in (4, 3, 2, 1, 0)] for i in (1, 2, 3)])
by_key = F.rel_shift(tg.Tensor(by_distance), first=2, keys=5).numpy()
print(by_distance, by_key, sep="\n\n")
i, j = np.indices((3, 5))
seen = j <= i + 2  # the causal mask, with two columns of memory before it
assert (by_key % 10 == np.where(seen, i + 2 - j, 0)).all()

# %% [markdown]
# It needs no loop: append a column, leave out the first two numbers, and cut what follows into rows of 5 again. Where
# distances run out, numbers of the next row appear. It does not matter what stands there: the mask forbids it.

# %%
flat = np.pad(by_distance, ((0, 0), (0, 1))).ravel()  # (T, K) -> (T (K + 1),)
print(cut_anew := flat[2 : 2 + 15].reshape(3, 5))
assert (cut_anew == by_key)[seen].all()

# %% [markdown]
# ## Two segments are one long one
#
# Distances are the same wherever one cuts. So a text read in two segments, with memory, gives what one pass over all of
# it gives, however many blocks there are: each remembers what *it* was given.


# %%
def new_model(mem_len, n_layer=1) -> models.TransformerXL:
    tg.manual_seed(1)
    shape: dict = dict(d_model=C, n_layer=n_layer, n_head=4, dropout=0.0, init_std=0.05)
    return models.TransformerXL(models.TransformerXLConfig(V, mem_len=mem_len, **shape))


model = new_model(T, n_layer=2)
two, targets = fresh[:2, : 2 * T], fresh[:2, 1 : 2 * T + 1]  # (B, 2 T)
whole = model.features(two).numpy()[:, T:]  # (B, T, C)
first = model.read(two[:, :T])  # features, and a memory: 2 arrays (B, M, C)
with_memory = model.features(two[:, T:], first.memory).numpy()
forgetful = model.features(two[:, T:]).numpy()
same, other = (np.abs(x - whole).max() for x in (with_memory, forgetful))
print(f"from one long pass it differs by {same:.0e} with memory, {other:.2f} without")
assert same < 1e-5 and other > 0.1

# %% [markdown]
# The gradient is not the same. Take the loss of the second segment. In one long pass it reaches back to all tokens, and
# can teach them what to keep for later. The memory is plain numbers: here the gradient is not small, but there is none.

# %%
with model.watching("token_embedding") as at_once:
    F.cross_entropy(model(two)[:, T:], targets[:, T:]).backward()
long_gradient = model.blocks[0].attention.kv.weight.grad
model.zero_grad()
with model.watching("token_embedding") as before:
    first = model.read(two[:, :T])
model.loss(two[:, T:], targets[:, T:], first.memory).backward()
cut_gradient = model.blocks[0].attention.kv.weight.grad

reached = np.linalg.norm(at_once["token_embedding"].grad, axis=(0, 2))  # (2 T,)
print(f"one pass: the first segment's tokens get {reached[:T].mean():.1e}")
print("two segments: they get", before["token_embedding"].grad)
off = np.linalg.norm(cut_gradient - long_gradient) / np.linalg.norm(long_gradient)
print(f"block 0's keys and values, of the same loss: a gradient {off:.0%} off")
assert reached.min() > 0 and before["token_embedding"].grad is None
assert off > 0.01

# %% [markdown]
# ## Train it
#
# As ever, but for two things. Segments must come *in order*: row b of this batch goes on where row b of the last one
# ended. And the memory goes from step to step. One block is enough here, and sees M + t + 1 tokens, as we counted.


# %%
def learn(model) -> models.TransformerXL:
    optimizer, memory = AdamW(model.named_parameters()), None
    for step in range(STEPS):
        here = slice(step * T, step * T + T)
        features, memory = model.read(
            train[:, here], memory
        )  # (B, T, C), and for later
        loss = model.loss_of(features, train[:, 1:][:, here])
        optimizer.lr = 5e-3 * min(1, (step + 1) / 50, 2 * (1 - step / STEPS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


inputs, answers = (x.reshape(ROWS, SEGMENTS, T) for x in (fresh[:, :-1], fresh[:, 1:]))


@tg.no_grad()
def measured(model, mem_len, clamp_len=-1) -> np.ndarray:
    """The loss at each answer, (B, S, T); nan elsewhere."""
    model.mem_len, model.clamp_len, memory, losses = mem_len, clamp_len, None, []
    for s in range(SEGMENTS):
        features, memory = model.read(inputs[:, s], memory)
        loss = model.loss_of(features, answers[:, s], "none").numpy()  # (B, T)
        losses.append(np.where(inputs[:, s] < N, loss, np.nan))
    return np.stack(losses, axis=1)


M = 32
without, model = learn(new_model(mem_len=0)), learn(new_model(mem_len=M))
columns = {"without": measured(without, 0), "counted": least(0)}
columns |= {f"M = {M}": measured(model, M), f"counted, {M}": least(M)}
columns = {name: by_place(losses) for name, losses in columns.items()}
print("place", *(f"{name:>12}" for name in columns))
for t, row in enumerate(zip(*columns.values(), strict=True)):
    print(f"{t:5}", *(f"{loss:12.2f}" for loss in row))
none, least_none, some, least_some = columns.values()
assert none[:4].mean() > none[-4:].mean() + 0.5 and some.max() < 0.5
assert abs(none - least_none).max() < 0.15 and abs(some - least_some).max() < 0.15

# %% [markdown]
# Without memory the loss falls along the segment: each place sees one token more. Who cuts a text to measure a model
# averages over all these beginnings, and finds another loss for each T. With memory it is nearly flat; what slope there
# is, we have counted: 32 tokens are sometimes too few.
#
# ## A longer memory than in training
#
# `model.mem_len` may be set: no weight has a size that depends on it, and p is made of sines, of any distance. So let
# it remember 64 tokens, or 128. But distances beyond M + T - 1 = 47 never came in training. The paper's authors clamp
# them when they evaluate: with `clamp_len`, all beyond count as the longest. *What will this do here?* Guess first.

# %%
ways = {"as it is": [measured(model, m) for m in MEMORIES]}
ways["clamped"] = [measured(model, m, clamp_len=M + T - 1) for m in MEMORIES]
ways["counted"] = [least(m) for m in MEMORIES]
curves = {name: [by_place(losses) for losses in way] for name, way in ways.items()}
print("memory", *(f"{name:>9}" for name in ways))
for m, row in zip(MEMORIES, zip(*curves.values(), strict=True), strict=True):
    print(f"{m:6}", *(f"{losses.mean():9.3f}" for losses in row))
free, clamp, at_least = (np.mean(curve, axis=1) for curve in curves.values())  # (5,)
assert np.all(np.diff(free[:4]) < -0.05)
assert free[3] < 0.75 * free[2] and clamp[4] > free[4] > at_least[4] + 0.02


def draw(figure):
    places, along = figure.subplots(1, 2)
    for name, style in zip(columns, ("C0", "C0:", "C1", "C1:"), strict=True):
        places.plot(columns[name], style, label=name)
    places.plot(curves["as it is"][3], "C2", label="set to 64")
    places.set(xlabel="place in the segment", ylabel="loss at the answers, nats")
    for name, curve in zip(curves, (free, clamp, at_least), strict=True):
        along.plot(curve, ":" if name == "counted" else "-", label=name)
    along.set_xticks(range(len(MEMORIES)), MEMORIES)
    along.set(xlabel="tokens remembered (32 in training)")
    for axes in (places, along):
        axes.legend()


show_figure("memory", draw, (10, 4))  # takes matplotlib

# %% [markdown]
# The longer memory halves the loss, without a step of training. The next one holds all the answers, and yet is no
# better: among more keys, attention has more to be wrong about, at distances that nothing has taught it. Clamping helps
# a little at 64 and harms at 128: it makes all far tokens equally far, so that of two that name a box, the model no
# longer knows which one was last. In a text where only the topic is far away, that would not matter. So a figure for a
# model with memory says which T, which M and which clamp it was measured with, or it says nothing.
#
# ## Zeros are not nothing
#
# At the beginning there is nothing to remember: M = 0. The paper's code starts so, and so do we. The same model in
# transformers begins with M vectors of zeros, "no information". `zero_memory` does that. Their keys are 0, as there are
# no biases; but a score of 0 is no weight of 0, and by distance they have scores like all others.

# %%
model.mem_len = M
empty = measured(model, M)
model.zero_memory = True
zeros = measured(model, M)
with model.watching("blocks.0.attention") as seen:
    model.read(inputs[:, 0])
share = seen["blocks.0.attention"].weights.numpy()[..., :M].sum(axis=-1)  # (B, H, T)
print(f"zeros get {share[..., 0].mean():.0%} of the attention at place 0,", end=" ")
print(f"{share[..., -1].mean():.0%} at place {T - 1}")
print("segment  counted   empty   zeros   largest difference")
apart = np.nanmax(abs(zeros - empty), axis=(0, 2))  # (S,)
for s in range(4):
    row = (np.nanmean(losses[:, s]) for losses in (least(M), empty, zeros))
    print(f"{s:7}", *(f"{loss:7.3f}" for loss in row), f"{apart[s]:10.3f}")
at_once = model.features(two).numpy()[:, T:]
in_two = model.features(two[:, T:], model.read(two[:, :T]).memory).numpy()
print(f"one long pass and two segments differ by {np.abs(at_once - in_two).max():.2f}")
model.zero_memory = False
assert share[..., 0].mean() > 0.1 and apart[0] > 0.05 and np.all(apart[M // T :] == 0)
assert np.abs(at_once - in_two).max() > 1e-4

# %% [markdown]
# Nothing crashes, the mean loss moves little, and after M tokens the zeros are forgotten: on a long text nobody notices.
# But each logit before is another, and depends on where the text was cut. Whoever compares two programs with the same
# weights will search for days, unless he asks *where* they differ: at the beginning, and then no more. (With n blocks
# it takes about n · M tokens to pass, since what a block remembers was made with the zeros, too.)
#
# **Try it.**
#
# 1. Shuffle the rows of `train` before each step, and keep the memory as it is. What does the model learn, and what
#    would you see in the loss? (It is the commonest mistake with memories.)
# 2. A model of two blocks and a memory of T: how many tokens back does its last vector change? Change one token at a
#    time, and look. Then set `same_length`.
# 3. Look at the attention weights with a memory of 128: how much do tokens get that name another box?
# 4. Train with a memory of 16, evaluate with 64. How far beyond its training does it carry?
# 5. Leave out the second term of the score (set `position_bias` and the weights of `attention.r` to 0). Which answers
#    are wrong now, and why not all?
