# %% [markdown]
# # 6. BERT, and what comes after the gap
#
# A GPT reads from left to right, since it has to write. BERT gives that up: every token sees the whole text, on both
# sides. "Predict the next token" then makes no sense, since the next token is there to be seen. So BERT hides some
# tokens and learns to fill the gaps: a *masked* language model (Devlin et al., 2019).
#
# Here we make a text in which this decides everything, and train a small GPT and a small BERT on it. Then come mistakes
# that crash nothing: padding that is read, and a mean over the wrong places. And a label that is the other way round.
#
# Ten seconds on a laptop. You need lesson 4 (the unigram entropy), and attention, as in lesson 5.

# %%
import math
from functools import partial

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt import models
from tinygrad_gpt.files.plots import show_figure
from tinygrad_gpt.optim import AdamW, grad_norm

# %% [markdown]
# ## A text whose gap is told by what follows
#
#     there is a dog in the old barn and it barks again
#
# Which animal it is, chance decides, and nothing before it gives a hint: every sentence begins with "there is a". The
# end gives it away: only the dog barks. Adjective and adverb may be missing, so sentences differ in length.

# %%
SAYS = {"dog": "barks", "cat": "meows", "cow": "moos", "hen": "clucks"}
HOW_OFTEN = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
ADJECTIVES, ADVERBS = ("old", "red", "dark", "", ""), ("now", "again", "loudly", "", "")
PLACES = ("barn", "house", "yard")


def sentence(rng) -> list[str]:
    animal = rng.choice(list(SAYS), p=HOW_OFTEN)
    old, barn, again = (rng.choice(some) for some in (ADJECTIVES, PLACES, ADVERBS))
    text = f"there is a {animal} in the {old} {barn} and it {SAYS[animal]} {again}"
    return ["[CLS]", *text.split(), "[SEP]"]


rng = np.random.default_rng(0)
corpus = [sentence(rng) for _ in range(4200)]
special = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
words = special + sorted({word for text in corpus for word in text} - {*special})
number = {word: i for i, word in enumerate(words)}
V, PAD, MASK, NO_TARGET = len(words), number["[PAD]"], number["[MASK]"], -100
GAP = 4  # the animal's place: [CLS] there is a GAP

longest = max(map(len, corpus))
padded = [text + ["[PAD]"] * (longest - len(text)) for text in corpus]
all_ids = np.array([[number[word] for word in text] for text in padded])  # (N, T)
train_ids, fresh = all_ids[:4000], all_ids[4000:]  # to learn from, to test on
for text in padded[:3]:
    print(*text)

# %% [markdown]
# How well can the animal be guessed from "there is a"? By knowing how often each one comes, and no better. The mean of
# $-\log p$ is then the entropy $-\sum p \log p = \frac12 \log 2 + \frac14 \log 4 + \frac28 \log 8 = 1.75 \log 2$.

# %%
entropy = -sum(p * math.log(p) for p in HOW_OFTEN)
assert math.isclose(entropy, 1.75 * math.log(2))
print(f"the animal, from what precedes: {entropy:.3f} nats; from what follows: 0")

# %% [markdown]
# ## A GPT is stuck there
#
# One block, four heads, 64 channels. At the gap it has read "[CLS] there is a", whatever comes later. So it has one
# opinion $q$ about all gaps of all sentences, and its mean loss there is $-\sum p \log q$. That is never less than the
# entropy, and equal to it if $q = p$.

# %%
C, H, LENGTH, ROWS = 64, 4, 32, 64


def learn(model, loss_of, steps, look=lambda model: None) -> list:
    """Train the model. Returns what `look` saw of it every 25 steps, and at the end."""
    optimizer, seen = AdamW(model.named_parameters()), []
    for step in range(steps):
        if step % 25 == 0:
            seen.append(look(model))
        rng = np.random.default_rng(step)
        rows = rng.integers(len(train_ids), size=ROWS)
        loss = loss_of(model, rng, train_ids[rows])
        optimizer.lr = 5e-3 * min(1, (step + 1) / 50)  # a warm-up
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [*seen, look(model)]


def next_token(model, rng, ids):
    follows = np.where(ids[:, 1:] != PAD, ids[:, 1:], NO_TARGET)
    return model.loss(ids[:, :-1], follows)


def real(ids) -> np.ndarray:
    """The attention_mask: 1 for words, 0 for padding, (B, T)."""
    return (ids != PAD).astype(int)


tg.manual_seed(1)
gpt = models.GPT(models.GPTConfig(V, LENGTH, n_layer=1, n_head=H, n_embd=C))
learn(gpt, next_token, steps=200)

log_q = F.log_softmax(gpt(fresh[:1, :GAP])[0, -1]).numpy()  # (V,): after "there is a"
gpt_at_gap = -(HOW_OFTEN * log_q[[number[animal] for animal in SAYS]]).sum()
print(f"GPT at the gap: {gpt_at_gap:.3f} nats; the entropy is {entropy:.3f}")
assert entropy < gpt_at_gap < entropy + 0.2

# %% [markdown]
# More training brings it closer to the entropy, and never below. Nor is it stupid: of the sound it is sure, since the
# animal stands before it, and so it loses nothing as a model of the whole text. But the gap it cannot fill.
#
# ## A BERT reads it off
#
# Almost the same model, without the causal mask. Each step hides 15 % of the words, others each time, and the loss
# looks at these places alone: elsewhere labels are -100, which `cross_entropy` leaves out. (Of the chosen words BERT
# replaces 80 % by [MASK], 10 % by any word, and leaves 10 % as they are, since real texts have no [MASK]. We may do
# without that.)


# %%
def hide(rng, ids) -> tuple[np.ndarray, np.ndarray]:
    """The text with gaps, and labels: the hidden words, NO_TARGET elsewhere."""
    hidden = (rng.random(ids.shape) < 0.15) & (ids > MASK)  # no padding, no [CLS]
    return np.where(hidden, MASK, ids), np.where(hidden, ids, NO_TARGET)


def mean_over_gaps(model, gaps, labels):
    return model(gaps, real(gaps), labels=labels).loss


def masked(model, rng, ids, loss_of=mean_over_gaps):
    return loss_of(model, *hide(rng, ids))


shape = models.BertConfig(
    V,
    hidden_size=C,
    num_hidden_layers=1,
    num_attention_heads=H,
    intermediate_size=4 * C,
    max_position_embeddings=LENGTH,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.05,  # BERT's 0.02 is for hundreds of channels
)
gaps, gap_labels = fresh.copy(), np.full_like(fresh, NO_TARGET)
gaps[:, GAP], gap_labels[:, GAP] = MASK, fresh[:, GAP]  # the animal is hidden


def at_gap(model) -> float:
    return mean_over_gaps(model, gaps, gap_labels).item()


def new_bert():
    tg.manual_seed(1)
    return models.BertForMaskedLM(shape)


bert = new_bert()
on_the_way = learn(bert, masked, steps=300, look=at_gap)
filled = bert(gaps, real(gaps)).logits.numpy()[:, GAP].argmax(-1)  # (B,)
right = np.mean(filled == fresh[:, GAP])
print("BERT at the gap, every 25 steps:", *(f"{loss:.2f}" for loss in on_the_way))
assert on_the_way[-1] < 0.2 and right > 0.95

# %% [markdown]
# Look at the way it went. First it learns how often each animal comes, and rests where the GPT stays for ever: which of
# the other words counts, nothing has told it. Then the attention finds the sound. With a real text this rest takes
# many hundreds of steps. (Lesson 4 is about a model that never leaves it.)
#
# ## Where it looks
#
# With one block, all that the gap knows of another word comes to it by its own attention. Here is the row of the gap:
# its weights, summed over the heads, for each word. And the gradient: how much the score of the right animal changes
# with the vector of each word.

# %%
text, animal = gaps[:1, : real(gaps)[0].sum()], fresh[0, GAP]  # one sentence, (1, T)
with bert.watching("bert.token_embedding", "bert.blocks.0.attention") as seen:
    bert(text).logits[0, GAP, animal].backward()
looks = seen["bert.blocks.0.attention"].weights.numpy()[0, :, GAP].sum(axis=0)  # (T,)
bert_moves = np.linalg.norm(seen["bert.token_embedding"].grad[0], axis=-1)  # (T,)

with gpt.watching("token_embedding") as seen:
    gpt(fresh[:1, : text.shape[1]])[0, GAP - 1, animal].backward()
gpt_moves = np.linalg.norm(seen["token_embedding"].grad[0], axis=-1)

print("                BERT looks   BERT's gradient   GPT's gradient")
for t, token in enumerate(text[0]):
    print(f"{words[token]:12}{looks[t]:14.2f}{bert_moves[t]:18.4f}{gpt_moves[t]:17.4f}")
sound = [words[i] in SAYS.values() for i in text[0]].index(True)
assert looks[GAP + 1 :].argmax() == bert_moves[GAP + 1 :].argmax() == sound - GAP - 1
assert (gpt_moves[GAP:] == 0).all(), "the GPT's guess cannot depend on what follows"

# %% [markdown]
# For the GPT the gradient is not small there, but 0: the causal mask has cut every way.
#
# ## Padding changes nothing, if it is masked
#
# Sentences of a batch are padded to the longest one. To BERT, [PAD] is a token like others: it has a vector and
# positions, and everybody looks at it, unless `attention_mask` says 0. The same sentence, alone and with padding:

# %%
wide = np.pad(text, ((0, 0), (0, LENGTH - text.shape[1])), constant_values=PAD)
outputs = bert.bert(text), bert.bert(wide, real(wide)), bert.bert(wide)
alone, told, untold = (each.last_hidden_state.numpy()[0] for each in outputs)  # (T, C)
with_mask, without = (np.abs(x[: len(alone)] - alone).max() for x in (told, untold))
print(f"its vectors differ by {with_mask:.0e} with the mask, by {without:.2f} without")
assert with_mask < 1e-4 and without > 0.1

# %% [markdown]
# What comes out *at* the padding means nothing, mask or no mask. Whoever takes the mean of a text's vectors, as one for
# the whole, must leave it out: the same mistake, one step later.

# %%
one, weights = alone.mean(axis=0), real(wide)[0, :, np.newaxis]  # (C,), (T, 1)
of_words = np.linalg.norm((told * weights).sum(axis=0) / weights.sum() - one)
of_all = np.linalg.norm(told.mean(axis=0) - one)
print(f"mean of the words: off by {of_words:.0e}; of all places: by {of_all:.2f}")
assert of_words < 1e-4 and of_all > 0.1

# %% [markdown]
# ## The mean over the wrong places
#
# Take a loss for each place, times 1 where a word was hidden and 0 elsewhere; and then the mean over *all* places. It
# reads well, and *Dive into Deep Learning* had a form of it. The sum is right. The divisor is not.


# %%
def mean_over_all(model, gaps, labels):
    total = mean_over_gaps(model, gaps, labels) * np.sum(labels != NO_TARGET)
    return total / labels.size


batch = some_gaps, labels = hide(np.random.default_rng(3), train_ids[:ROWS])
hidden = labels != NO_TARGET
at_start = []
for loss_of in (mean_over_gaps, mean_over_all):
    loss = loss_of(model := new_bert(), *batch)
    loss.backward()
    at_start.append([loss.item(), grad_norm(model.parameters())])
    print(f"{loss_of.__name__:15} loss, gradient:", np.round(at_start[-1], 3))
print(f"log V = {math.log(V):.3f}; {hidden.mean():.1%} of the places are hidden")
assert np.allclose(np.divide(*at_start[::-1]), hidden.mean(), rtol=1e-3)

wrongly = partial(masked, loss_of=mean_over_all)
wrong_on_the_way = learn(new_bert(), wrongly, steps=300, look=at_gap)
print(f"at the gap in the end: {wrong_on_the_way[-1]:.3f} nats")
assert wrong_on_the_way[-1] < 0.2

# %% [markdown]
# A wonderful loss before the first step, and it trains as well as the other. So nobody notices: Adam divides a gradient
# by its size, and a common factor does nothing. But the loss no longer counts nats per gap. No entropy can be compared
# with it; it falls when a batch has more padding; clipping to 1 never finds a norm above it; and where a second loss is
# added, as in BERT, that one counts many times as much.
#
# *How does one find it?* With three questions that every loss must answer.

# %%
good, bad = at_start[0][0], at_start[1][0]

# 1. Before the first step, is it log V?
assert abs(good - math.log(V)) < 0.5 and bad < 0.5 * math.log(V)

# 2. Added up gap by gap, and divided by their number, is it the same?
log_p = F.log_softmax(model(some_gaps, real(some_gaps)).logits).numpy()  # (B, T, V)
one_by_one = [-log_p[b, t, labels[b, t]] for b, t in np.argwhere(hidden)]
assert math.isclose(good, np.mean(one_by_one), rel_tol=1e-4)

# 3. Does it stay, if padding is added and nothing else?
more = ((0, 0), (0, LENGTH - longest))
wider = np.pad(some_gaps, more), np.pad(labels, more, constant_values=NO_TARGET)
still_good, worse = (f(model, *wider).item() for f in (mean_over_gaps, mean_over_all))
print(f"with more padding: {good:.3f} -> {still_good:.3f}, {bad:.3f} -> {worse:.3f}")
assert math.isclose(good, still_good, rel_tol=1e-4) and worse < 0.6 * bad

# %% [markdown]
# ## Two segments
#
# BERT also learns whether the second of two passages follows the first. It reads both, [CLS] A [SEP] B [SEP], and
# `token_type_ids` say which is which: each token gets the vector of segment 0 or 1 added. The answer is read off at
# [CLS]. **Label 0 means "B follows A"**, and 1 "from elsewhere": the other way round than one would guess.

# %%
pair = models.BertForNextSentencePrediction(shape)
both = np.concatenate([fresh[:1, :9], fresh[1:2, 1:9]], axis=1)  # A and B, (1, T)
segments = np.array([[0] * 9 + [1] * 8])
output = pair(both, token_type_ids=segments, labels=np.array([0]))
scores, swapped = output.logits, pair(both, token_type_ids=1 - segments).logits
print(f"follows, from elsewhere: {scores.numpy()}; swapped: {swapped.numpy()}")
assert not np.allclose(scores.numpy(), swapped.numpy())
follows = -F.log_softmax(scores)[0, 0].item()
assert math.isclose(output.loss.item(), follows, rel_tol=1e-4)

# %% [markdown]
# ## The gap on the way, in one picture


# %%
def draw(figure):
    axes, steps = figure.subplots(), np.arange(len(on_the_way)) * 25
    axes.axhline(gpt_at_gap, color="grey", linestyle="--", label="GPT")
    axes.plot(steps, on_the_way, label="BERT, mean over the gaps")
    axes.plot(steps, wrong_on_the_way, label="BERT, mean over all places")
    axes.set(xlabel="step", ylabel="loss at the gap, nats")
    axes.legend()


show_figure("bert", draw, (7, 4))  # takes matplotlib

# %% [markdown]
# **Try it.**
#
# 1. Give the animals equal shares. Where does the GPT stop now, and where does BERT rest on its way?
# 2. Set `initializer_range` to BERT's 0.02. How long does it rest? What does a warm-up of 10 steps change?
# 3. Let the GPT fill gaps all the same: write sentences as "... it barks again . dog". What has changed: the model, or
#    the question?
# 4. Take the mean over all places *with* a label at each, the word that stands there. What does the loss say then, and
#    what does it learn?
