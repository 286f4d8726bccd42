# %% [markdown]
# # 9. XLNet, and every order of a text
#
# A GPT tells a text from left to right, each token from those before it. BERT fills a gap from both sides; but of two
# gaps it fills each for itself, and the words need not go together. *XLNet* (Yang et al., 2019) keeps the GPT's rule,
# "each from those before it", and draws another order for each text. The places stay; only who sees whom is permuted.
#
# Here we print the masks, ask the gradient who sees whom, and put in a mistake that trains splendidly. We add up what
# all 24 orders of 4 tokens say. Then one model learns all orders of a sentence, and fills a gap from what follows it.
#
# Ten seconds on a laptop. You need what a GPT cannot do at a gap (lesson 6), and distances as places (lesson 8).

# %%
import math
from functools import partial
from itertools import permutations, product

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt import models
from tinygrad_gpt.models.xlnet import TwoStreams
from tinygrad_gpt.optim import AdamW

# %% [markdown]
# ## An order, and its two masks
#
# In the order 3 2 4 1, the token at place 3 is told first, from nothing; that at place 2 from that at 3; and so on. For
# a mask we need it the other way round: *when* is each place told? Place i may see place j if j is told before i.


# %%
def mask_of(order) -> np.ndarray:
    """order (..., T): which place is told first, second, ... -> (..., T, T)."""
    when = np.argsort(order, axis=-1)  # when each place is told
    return when[..., np.newaxis, :] < when[..., :, np.newaxis]  # row i may see j


ORDER = np.array([3, 2, 4, 1]) - 1  # Python counts places from 0
T, ITSELF = 4, np.eye(4, dtype=bool)
query_mask = mask_of(ORDER)
content_mask = query_mask | ITSELF
print("query     content")
for rows in zip(query_mask, content_mask, strict=True):
    print("   ".join(" ".join(np.where(row, "■", "·")) for row in rows))
assert (query_mask[ORDER][:, ORDER] == np.tri(T, k=-1)).all()

# %% [markdown]
# The assertion says what it is: sort rows and columns by the order, and there is the causal mask of a GPT.
#
# But why two? To tell the token at place 2, a vector is needed that knows the place, and not the token. To tell the one
# at place 4 from it, a vector is needed that knows the token. No vector is both, so there are two streams. The content
# *h* begins as the token's vector, and sees itself. The query *g* begins as one vector, the same for all places; it
# looks at the contents, never at its own, and knows where it stands by how far away they are. Weights are shared.
#
# Four throws of rock, paper, scissors make 81 texts: we can go through all of these, too. The model has two layers, and
# large weights, so that it is far from indifferent before it has learnt anything.

# %%
V, C = 3, 32  # words, channels
ALL_TEXTS = np.array(list(product(range(V), repeat=T)))  # (81, T)
ALL_ORDERS = np.array(list(permutations(range(T))))  # (24, T)


def new_model(v, std, n_layer=2, attn_type="bi") -> models.XLNetLMHeadModel:
    tg.manual_seed(3)
    shape: dict = dict(d_model=C, n_layer=n_layer, n_head=4, d_inner=2 * C, dropout=0.0)
    shape |= dict(initializer_range=std, attn_type=attn_type)
    return models.XLNetLMHeadModel(models.XLNetConfig(v, **shape))


def streams(model, texts, mask) -> TwoStreams:
    """Both streams, (B, T, C) each: all places are asked for."""
    places = np.broadcast_to(np.arange(texts.shape[1]), texts.shape)
    mask = np.broadcast_to(mask, (*texts.shape, texts.shape[1]))  # (B, T, T)
    return model.read(texts, mask=mask, targets=places)


model = new_model(V, std=0.3).double()  # float64: we are going to compare exactly
text = np.array([[0, 2, 1, 0]])  # (1, T)

# %% [markdown]
# ## Who sees whom, by gradient
#
# A mask is what we wish. What a vector depends on, the gradient knows: $\partial g_t / \partial x_s$, where $x$ are the
# tokens' vectors. We send some direction back from one vector of a stream, and look where it arrives.


# %%
def influence(stream, mask) -> np.ndarray:
    """How much the vector at place t changes with the token at s: (T, T)."""
    direction, norms = np.random.default_rng(0).standard_normal(C), []
    for t in range(T):
        with model.watching("transformer.token_embedding") as seen:
            y = getattr(streams(model, text, mask), stream)  # (1, T, C)
            (y[0, t] * direction).sum().backward()
        x = seen["transformer.token_embedding"].grad[0]  # (T, C)
        norms.append(np.linalg.norm(x, axis=-1))
    return np.array(norms)


g, h = influence("query", query_mask), influence("content", query_mask)
print("∂g/∂x", g.round(2), "∂h/∂x", h.round(2), sep="\n")
assert (np.diag(g) == 0).all() and (np.diag(h) > 1e-3).all()
assert ((g > 0) == query_mask).all() and ((h > 0) == content_mask).all()

# %% [markdown]
# On the diagonal of g there is not a small number, but 0. The rest are the masks again, after two layers: whatever g
# sees has itself seen only what was told before it. Now look at place 3, the first. It sees nothing, and so does not
# even know where it stands. Nor does place 2, which sees one token: distances decide how attention *shares* its weight,
# and with a single key all of it goes there, from wherever one looks.

# %%
sees_one = np.tile(np.arange(T) == 2, (T, 1))  # all see place 3 alone
asks = streams(model, text, sees_one).query.numpy()[0, [0, 1, 3]]  # (3, C)
sees_two = np.tile(np.arange(T) >= 2, (T, 1))
knows = streams(model, text, sees_two).query.numpy()[0, :2]  # (2, C)
assert np.ptp(asks, axis=0).max() < 1e-12 and np.ptp(knows, axis=0).max() > 1e-3

# %% [markdown]
# Now the mistake: one mask for both streams, since "a token always sees itself". All shapes fit, nothing crashes.

# %%
print((leaky_g := influence("query", query_mask | ITSELF)).round(2))
assert np.diag(leaky_g).min() > 1e-3, "the gradient finds it, before any training"

# %% [markdown]
# ## What it does to the loss
#
# Let the throws be random. Then no honest model can tell them with less than $\log 3$ nats each, on average over the 81
# texts. We train both models on random throws in random orders, and measure in all orders. And one question more: each
# order makes a probability of every text. *What is their sum over all texts?*


# %%
def nats(model, texts, mask) -> tg.Tensor:
    """-log p of each token, as its query tells it: (B, T)."""
    logits = model.head(streams(model, texts, mask).query)  # (B, T, V)
    return F.cross_entropy(logits, texts, reduction="none")


def learn(model, batch_of, steps):
    """Train it on texts and masks."""
    optimizer, rng = AdamW(model.named_parameters()), np.random.default_rng(0)
    for step in range(1, steps + 1):
        loss = nats(model, *batch_of(rng)).mean()
        optimizer.lr = 5e-3 * min(1, step / 50, 2 * (1 - step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def throws(rng, also: np.ndarray | bool = False):
    orders = rng.permuted(np.tile(np.arange(T), (64, 1)), axis=1)
    return rng.integers(V, size=(64, T)), mask_of(orders) | also


@tg.no_grad()
def log_p(model, also: np.ndarray | bool = False) -> np.ndarray:
    """log p of all texts in all orders: (24, 81)."""
    masks = mask_of(ALL_ORDERS) | also
    return np.array([-nats(model, ALL_TEXTS, mask).numpy().sum(-1) for mask in masks])


honest, leaky = new_model(V, std=0.1), new_model(V, std=0.1)
learn(honest, throws, 100)
learn(leaky, partial(throws, also=ITSELF), 100)
found = {"honest": log_p(honest), "leaky": log_p(leaky, also=ITSELF)}
found["leaky, asked honestly"] = log_p(leaky)
for way, each in found.items():
    total = np.exp(each).sum(axis=1).mean()
    print(f"{way:22} {-each.mean() / T:.3f} nats; all texts add up to {total:.2f}")
good, bad, worse = (-each.mean() / T for each in found.values())
assert math.log(V) < good < math.log(V) + 0.02 and bad < 0.1 and worse > 1.5
assert np.allclose(np.exp(found["honest"]).sum(axis=1), 1, atol=1e-4)
assert np.exp(found["leaky"]).sum(axis=1).min() > 60

# %% [markdown]
# Nearly 81: each of the 81 texts is certain. So its loss was never that of a probability, and no entropy bounds it.
# Where the word is not there to be copied, it is far worse than a guess. The sum needs neither gradients nor training:
# with a tiny vocabulary, any model of texts can be asked for it.
#
# ## From left to right it is a causal model
#
# With attn_type "uni" an XLNet is one by construction, as a GPT is. `next_logits` gives it the beginning of a text, and
# asks for the next token: what is not there cannot leak. The order 1 2 3 4 must tell the same.

# %%
causal = new_model(V, std=0.3, attn_type="uni").double()
causal.load_state_dict(model.state_dict())
expected = [causal.next_logits(text[:, :t]).numpy()[0] for t in range(1, T)]
off = []
for told in (np.arange(T), ORDER):
    logits = model.head(streams(model, text, mask_of(told)).query).numpy()[0]  # (T, V)
    off.append(np.abs(logits[1:] - expected).max())
    print(f"the order {told + 1} differs from the causal model by {off[-1]:.0e}")
assert off[0] < 1e-6 and off[1] > 0.1

# %% [markdown]
# ## All 24 orders
#
# XLNet's loss is an expectation over orders z: $E_z \sum_n -\log p(x_{z_n} | x_{z_1} \ldots x_{z_{n-1}})$. Training
# draws them. Here we take all of them, 24 rows in one pass. Then the slow way, which trusts no mask: a pass for each
# question, 96 of them, in which every token that it must not know has been *replaced* by another.

# %%
masks = mask_of(ALL_ORDERS)  # (24, T, T)
fast = nats(model, np.repeat(text, 24, axis=0), masks).numpy()  # (24, T)
slow = np.zeros((24, T))
for z, t in np.ndindex(24, T):
    garbled = np.where(masks[z, t], text, (text + 1) % V)  # (1, T): itself, too
    logits = model.head(streams(model, garbled, masks[z]).query)
    slow[z, t] = -F.log_softmax(logits)[0, t, text[0, t]].item()
by_order = fast.sum(axis=1)  # (24,)
print("nats of this text by order:", by_order.round(2))
print(f"expectation {by_order.mean():.6f}, asked one by one {slow.sum() / 24:.6f}")
assert np.allclose(fast, slow, atol=1e-9) and np.ptp(by_order) > 0.1
assert np.allclose(np.exp(log_p(model)).sum(axis=1), 1), "all texts, in each order"

# %% [markdown]
# So each order is a distribution of its own, and they contradict each other: the weights are shared, but nothing forces
# $p(a)\,p(b|a)$ to equal $p(b)\,p(a|b)$. Training on all orders only draws them together.
#
# It is often said that an order only decides *which* tokens are known. Is that so? Place 3, after 1 2 and after 2 1:

# %%
swapped = mask_of(np.array([[0, 1, 2, 3], [1, 0, 2, 3]]))
for n_layer in (1, 2):
    some = new_model(V, std=0.3, n_layer=n_layer).double()
    one, other = nats(some, np.repeat(text, 2, axis=0), swapped).numpy()[:, 2]
    print(f"{n_layer} layers: {one:.6f} and {other:.6f} nats")
    assert (abs(one - other) < 1e-9) == (n_layer == 1)

# %% [markdown]
# With one layer it is: there g looks at the tokens' own vectors. With two it looks at contents, and what these have
# gathered depends on who was told before them.
#
# ## A gap that is told by what follows
#
#     [CLS] today we say merci to the baker in paris [SEP]
#
# The city gives the word away, and nothing before it does. All 32 sentences and their chances are known, so we need no
# test set: we compute the entropy H of the language, and the exact loss of a model. [CLS] and [SEP] are told first, in
# every order: then all the others see *two* tokens, and know where they stand.

# %%
CITIES = dict(merci="paris", grazie="rome", danke="berlin", gracias="madrid")
HOW_OFTEN = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
DAYS, PEOPLE = ("today", "always"), ("baker", "doctor", "driver", "teacher")
sentences = [
    f"[CLS] {day} we say {word} to the {person} in {CITIES[word]} [SEP]".split()
    for day, person, word in product(DAYS, PEOPLE, CITIES)
]
chances = np.tile(HOW_OFTEN, 8) / 8  # (32,)
words = sorted({word for s in sentences for word in s})
ids = np.array([[words.index(word) for word in s] for s in sentences])  # (32, 11)
FIRST, INNER, GAP, CITY = [0, 10], np.arange(1, 10), 4, 9  # places
H, H_gap = (-(p * np.log(p)).sum() for p in (chances, HOW_OFTEN))
print(f"a sentence: {H:.3f} nats; the gap, from what precedes it: {H_gap:.3f}")


def order(*last, inner=INNER) -> np.ndarray:
    return np.array([*FIRST, *(place for place in inner if place not in last), *last])


def batch(rng, shuffled):
    inner = (rng.permutation(INNER) if shuffled else INNER for _ in range(64))
    orders = np.array([order(inner=places) for places in inner])  # (B, T)
    return ids[rng.choice(32, size=64, p=chances)], mask_of(orders)


@tg.no_grad()
def by_place(model, mask) -> np.ndarray:
    """The expected loss at each place, (T,)."""
    return chances @ nats(model, ids, mask).numpy()


ORDERS = {"left to right": order(), "right to left": order(inner=INNER[::-1])}
ORDERS["the gap last"] = order(GAP)
losses = {}
for taught in ("left to right", "in all orders"):
    model = new_model(len(words), std=0.1)
    learn(model, partial(batch, shuffled=taught == "in all orders"), 300)
    for asked, places in ORDERS.items():
        losses[taught, asked] = by_place(model, mask_of(places))

print(f"{'taught':14}{'asked':14}", *(f"{word:>6}" for word in (*sentences[0], "all")))
for (taught, asked), row in losses.items():
    print(f"{taught:14}{asked:14}", *(f"{loss:6.2f}" for loss in (*row, row.sum())))
assert H_gap < losses["left to right", "left to right"][GAP] < H_gap + 0.1
assert losses["left to right", "the gap last"][GAP] > math.log(len(words))
assert losses["in all orders", "the gap last"][GAP] < 0.1
for asked in ORDERS:
    assert H < losses["in all orders", asked].sum() < H + 0.15

# %% [markdown]
# In its own order the first model pays the entropy at the gap, since what would tell it comes later. Asked from both
# sides it is worse than one who knows nothing: who learnt one order has learnt one order. The other model, of the same
# size and after as many steps, fills the gap, and still tells the text from left to right.
#
# And look at the last column. *In every order a sentence costs H*, or a little more. That is the chain rule of entropy:
# an order makes no text easier. It moves what is unknown, here from the gap to the city. So the losses of a GPT, of a
# BERT and of an XLNet are no contest: they answer different questions.
#
# ## Two gaps
#
# Hide the word *and* the city. BERT fills both at once, neither from the other; a mask makes our model do it, too.

# %%
both = mask_of(order(CITY, GAP))
at_once = both.copy()
at_once[GAP, CITY] = False
pair, alone = (by_place(model, mask)[[CITY, GAP]] for mask in (both, at_once))
print("city, then word:", pair.round(2), "  both at once:", alone.round(2))
assert pair.sum() < H_gap + 0.1 and alone.sum() > 1.9 * H_gap
print(f"drawn each for itself, {1 - HOW_OFTEN @ HOW_OFTEN:.0%} do not go together")

# %% [markdown]
# This is what XLNet has over BERT. It pays with a second stream, and with more to learn: the weights serve all orders.
#
# **Try it.**
#
# 1. Transpose the mask. The gradient finds it at once. Why does the expectation over the 24 orders not change at all,
#    and why does the language suffer?
# 2. Set `FIRST = [0]`, and let `INNER` have [SEP] in it. A sentence costs two nats more. Who does not know what?
# 3. Put the leak into the language. Which number says so without the gradient?
# 4. The paper asks only for the last sixth of each order. Take the loss of the last three alone. What does the model
#    then not know? Why do they do it?
