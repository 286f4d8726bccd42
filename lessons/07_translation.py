# %% [markdown]
# # 7. Translation: who looks at whom
#
# The Transformer was made to translate (Vaswani et al., 2017). It has two halves. An *encoder* reads a sentence, all of
# it at once, as BERT does. A *decoder* writes another one, word by word, as GPT does; and in each of its blocks it
# looks at what the encoder made of the sentence: *cross-attention*.
#
# Here we invent a language, so that we know which word of a translation comes from which, train a small Transformer,
# and look where it looked. Then come mistakes that crash nothing: the future leaks into the past, labels are not
# shifted, a mask belongs to the other sentence. A few lines find each of them.
#
# Half a minute on a laptop. You need lesson 6, and attention, as in lesson 5.

# %%
import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt import models
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.files.plots import show_figure
from tinygrad_gpt.generate.translate import alignments, translate_ids
from tinygrad_gpt.optim import AdamW

# %% [markdown]
# ## A language with known alignments
#
#     my old cat meets the small sad king   ->   mi kato olda rego trista eta iras al
#
# Each word has its translation in a dictionary. Some verbs become two words, and "the" becomes none. Adjectives move
# behind their noun, the nearest first, and the verb to the end.

# %%
DETERMINERS = {"the": "", "my": "mi", "this": "ci", "some": "iu"}
ADJECTIVES = dict(old="olda", red="ruga", small="eta", poor="povra", sad="sola")
NOUNS = dict(dog="hundo", cat="kato", hen="koko", king="rego", child="filo")
VERBS = dict(sees="vidas", likes="amas", hears="audas")
VERBS |= dict(meets="iras al", leaves="iras de", visits="venas al")
DICTIONARY = DETERMINERS | ADJECTIVES | NOUNS | VERBS


def pair(rng) -> tuple[list[str], list[str], list[int]]:
    """A sentence, its translation, and the place of each of its words' source."""
    source, order = [], []
    for _ in ("subject", "object"):
        start, n = len(source), rng.integers(3)  # n adjectives
        for some, how_many in ((DETERMINERS, 1), (ADJECTIVES, n), (NOUNS, 1)):
            source += rng.choice(list(some), how_many, replace=False).tolist()
        order += [start, *range(start + n + 1, start, -1)]  # nouns before adjectives
        if start == 0:
            verb = len(source)
            source.append(str(rng.choice(list(VERBS))))
    made = [(word, i) for i in [*order, verb] for word in DICTIONARY[source[i]].split()]
    return source, [word for word, _ in made], [i for _, i in made]


rng = np.random.default_rng(0)
pairs = [pair(rng) for _ in range(4200)]
train, fresh = range(4000), range(4000, 4200)  # to learn from, to test on
for row in fresh[:3]:
    print(*pairs[row][0], "->", *pairs[row][1], *pairs[row][2])

# %% [markdown]
# ## A batch
#
# Sentences end with `</s>`. The decoder finds each word from those before it, so it reads the translation *shifted by
# one place*: a start token, for which padding serves, and then all but the last. All are padded to one length. The
# source's mask says where, and labels of -100. What the decoder reads needs none: it never looks ahead to its padding.

# %%
PAD, END, NO_TARGET, LENGTH = 0, 1, -100, 11
words = ["<pad>", "</s>", *sorted({word for s, t, _ in pairs for word in (*s, *t)})]
number = {word: i for i, word in enumerate(words)}
sources = [np.array([number[word] for word in s] + [END]) for s, _, _ in pairs]
targets = [np.array([number[word] for word in t] + [END]) for _, t, _ in pairs]


def batch(rows) -> tuple[np.ndarray, ...]:
    """source, its mask, what the decoder reads, labels: 4 of (B, T)."""
    source, mask = pad_right([sources[row] for row in rows], PAD, LENGTH)
    shifted = [np.append(PAD, targets[row][:-1]) for row in rows]
    labels = pad_right([targets[row] for row in rows], NO_TARGET, LENGTH).rows
    return source, mask, pad_right(shifted, PAD, LENGTH).rows, labels


source, mask, reads, labels = batch(fresh)
print(f"source {source[0]}\nmask   {mask[0]}\nreads  {reads[0]}\nlabels {labels[0]}")

# %% [markdown]
# ## The model, and its loop
#
# One block in each half, two heads, 64 channels. A training step is five lines. On the way we ask two things about
# sentences it has not seen: which words does it find *after the right ones*, as in training, and which when it writes
# *alone*, each word after those that it wrote before?

# %%
SHAPE: dict = dict(vocab_size=len(words), d_model=64, norm="pre", dropout=0.0)
SHAPE |= dict(encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=128)
SHAPE |= dict(decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=128)


def new_model() -> models.Transformer:
    tg.manual_seed(2)
    return models.Transformer(models.TransformerConfig(**SHAPE))


def learn(model, steps, batch_of=batch, look=lambda model: None) -> list:
    """Train it. Returns what `look` saw every 25 steps."""
    optimizer, rng, seen = AdamW(model.named_parameters()), np.random.default_rng(2), []
    for step in range(1, steps + 1):
        loss = model.loss(*batch_of(rng.integers(len(train), size=64))).total
        optimizer.lr = 5e-3 * min(1, step / 50, 2 * (1 - step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            seen.append(look(model))
    return seen


def after_right_ones(model, batch_of=batch) -> np.ndarray:
    """Which words it finds after the right ones, (B, T)."""
    source, mask, reads, labels = batch_of(fresh)
    return model(source, reads, mask).numpy().argmax(-1) == labels


def alone(model) -> np.ndarray:
    """Which words it finds after its own, (B, T)."""
    of_fresh = [sources[row] for row in fresh]
    written = translate_ids(model, of_fresh, beams=1, max_new_tokens=LENGTH)
    ids = pad_right([[*row, END] for row in written], PAD, LENGTH).rows
    return ids == batch(fresh)[-1]


real = labels != NO_TARGET  # (B, T): the words of fresh translations, with their ends


def share(right) -> float:
    return right[real].mean()


def whole(right) -> float:
    """The share of sentences without a mistake."""
    return (right | ~real).all(axis=1).mean()


model = new_model()
history = learn(model, 300, look=lambda model: (after_right_ones(model), alone(model)))
for i, (forced, free) in enumerate(history, start=1):
    print(f"step {25 * i:3}: words {share(forced):4.0%}, sentences {whole(free):4.0%}")
assert share(history[-1][0]) > 0.95 and whole(history[-1][1]) > 0.85

# %% [markdown]
# ## Right words are not right sentences
#
# To be taught with the right words before is *teacher forcing*. Of 8 words that are right 9 times in 10 each, all are
# right in 4 cases of 10 ($0.9^8$). And look half way at what comes after a first mistake:

# %%
forced, free = next(pair for pair in history if whole(pair[1]) > 0.25)
mistakes_before = np.cumsum(~free & real, axis=1) - (~free & real)  # (B, T)
none, some = real & (mistakes_before == 0), real & (mistakes_before > 0)
print(f"{share(forced):.0%} of the words, {whole(free):.0%} of the sentences")
print("                     after the right ones   alone")
for name, where in (("up to first mistakes", none), ("after them", some)):
    print(f"{name:20}{forced[where].mean():21.0%}{free[where].mean():8.0%}")
assert (forced == free)[none].mean() > 0.99 and whole(free) < share(forced) - 0.1
assert free[some].mean() < forced[some].mean() - 0.2

# %% [markdown]
# It goes on after beginnings that training never showed it; and a word too few moves all the others. The accuracy of
# training knows nothing of this. So translate, and compare the translations.
#
# ## Where it looks
#
# To find a word, the decoder weighs the places of the source. `alignments` reads off these weights, as a mean over the
# heads. In `[ ]` is the place that the dictionary says.

# %%
weights = alignments(model, sources[fresh[0] :], targets[fresh[0] :])
row = max(range(20), key=lambda row: len(pairs[fresh[row]][0]))  # a long one
source_words, target_words, places = pairs[fresh[row]]
print(f"{'':8}", *(f"{word:>7}" for word in source_words))
for word, place, looks in zip(target_words, places, weights[row][:-1], strict=True):
    cells = [f"{w:.2f} " if w >= 0.05 else "· " for w in looks[:-1]]
    cells[place] = f"[{cells[place].strip()}]"
    print(f"{word:8}", *(f"{cell:>7}" for cell in cells))


def draw(figure):
    axes = figure.subplots()
    axes.imshow(weights[row][:-1, :-1], vmin=0, cmap="Greys")
    axes.plot(places, range(len(places)), "s", fillstyle="none", color="red")
    axes.set_xticks(range(len(source_words)), source_words, rotation=45)
    axes.set_yticks(range(len(target_words)), target_words)


show_figure("translation", draw, (6, 5))  # takes matplotlib

known = [np.array(pairs[row][2]) for row in fresh]
looked = [matrix[:-1].argmax(axis=1) for matrix in weights]
aligned = np.mean(np.concatenate(looked) == np.concatenate(known))
same_place = np.mean(np.concatenate([np.arange(len(k)) == k for k in known]))
print(f"the most looked at is the right one for {aligned:.0%} of the words;")
print(f"the word at the same place would be for {same_place:.0%}")
assert aligned > 2 * same_place

# %% [markdown]
# Nobody told it. But attention is no explanation: with another seed it may look elsewhere for all the verbs, and
# translate as well. The encoder's vectors know the whole sentence, and may carry a word to another place.
#
# ## Three masks
#
# Weights that are 0 show the masks. Here is a short sentence, padded:

# %%
short = min(fresh, key=lambda row: len(sources[row]))
source, mask, reads, _ = batch([short])
names = "encoder.0.attention", "decoder.0.attention", "decoder.0.cross_attention"
with model.watching(*names) as seen:
    model(source, reads, mask)
encoder, decoder, cross = (seen[name].weights.numpy()[0, 0] > 0 for name in names)
print(f"{'encoder':24}{'decoder':24}decoder to source")
for rows in zip(encoder, decoder, cross, strict=True):
    print("   ".join(" ".join(np.where(row, "■", "·")) for row in rows))
assert (encoder == mask).all() and (cross == mask).all()
assert (decoder == np.tri(LENGTH)).all()

gpt = models.GPT(models.GPTConfig(len(words), 32, n_layer=1, n_head=2, n_embd=64))
bert = models.BertModel(models.BertConfig(len(words), 64, 1, 2, 128))
blocks = {"GPT": gpt.blocks[0], "BERT": bert.blocks[0]}
blocks |= {"encoder": model.encoder[0], "decoder": model.decoder[0]}
parts = {}
for name, b in blocks.items():
    parts[name] = b.attention.causal, b.cross_attention is not None
    print("{:8} causal: {!s:6} cross-attention: {}".format(name, *parts[name]))
assert parts["BERT"] == parts["encoder"] and len(set(map(type, blocks.values()))) == 1

# %% [markdown]
# GPT, BERT and this model are made of one block. They differ in a mask and in a sublayer; and around it, in where norms
# stand and how places get their vectors. Transformer-XL and XLNet are another matter: their scores also depend on how
# far apart two words are, with weights of their own, and they look back at states kept from the text before. XLNet
# reads in random orders, with two vectors for a place, of which one must not know its own word. No mask does all that.
#
# ## The future leaks
#
# One setting, and the decoder has no causal mask. Or labels are not shifted, and it reads the very word that it is to
# find. *Does the loss of a word change with this word itself, or with a later one?* The gradient tells, before any
# training. In the right model it is not small, but 0: the mask has cut every way.


# %%
def leaky_model() -> models.Transformer:
    model = new_model()
    model.decoder[0].attention.causal = False
    return model


def unshifted(rows) -> tuple[np.ndarray, ...]:
    source, mask, _, labels = batch(rows)
    return source, mask, np.where(labels == NO_TARGET, PAD, labels), labels


def influence(model, batch_of) -> np.ndarray:
    """How much the loss of word t changes with the vector of word s: (words, words)."""
    source, mask, reads, labels = batch_of([short])
    n, first = len(pairs[short][1]), int(reads[0, 0] == PAD)  # where it reads word 0
    norms = []
    for t in range(n):
        with model.watching("token_embedding") as seen:  # it embeds the target last
            F.cross_entropy(model(source, reads, mask)[:, t], labels[:, t]).backward()
        vectors = seen["token_embedding"].grad[0, first : first + n]  # (words, C)
        norms.append(np.linalg.norm(vectors, axis=-1))
    return np.array(norms)


cases = {"right": (new_model, batch), "no causal mask": (leaky_model, batch)}
cases["labels not shifted"] = new_model, unshifted
found = {name: influence(make(), batch_of) for name, (make, batch_of) in cases.items()}
print("".join(f"{name:22}" for name in found))
for rows in zip(*found.values(), strict=True):
    print("".join(f"{' '.join(np.where(row > 0, '■', '·')):22}" for row in rows))
leaks = {name: np.triu(norms).max() for name, norms in found.items()}
assert leaks.pop("right") == 0 and min(leaks.values()) > 1e-3

# %% [markdown]
# And who trains them without having asked?

# %%
for name in leaks:
    make, batch_of = cases[name]
    learn(leaking := make(), 150, batch_of)
    forced, free = after_right_ones(leaking, batch_of), alone(leaking)
    print(f"{name}: accuracy {share(forced):.0%}, sentences alone {whole(free):.0%}")
    assert share(forced) > 0.95 and share(free) < 0.4 and whole(free) < 0.05

# %% [markdown]
# In half the steps they find nearly every word, and they cannot translate one sentence: when they write, the word to be
# copied is not there yet. An accuracy that is too good is a message, too.
#
# ## The mask of the other sentence
#
# Cross-attention looks at the source, so it needs the *source's* mask. The target's fits as well, since all are padded
# to one length; and where a sentence and its translation are equally long, it is the same:

# %%
losses = {}
for longer in (-2, -1, 0, 1):
    rows = [row for row in fresh if len(targets[row]) - len(sources[row]) == longer]
    source, mask, reads, labels = batch(rows)
    masks = {"source": mask, "target": labels != NO_TARGET}
    for of, looks_at in masks.items():
        x = model.decode(reads, model.encode(source, mask), looks_at)
        loss = losses[longer, of] = F.cross_entropy(model.logits(x), labels).item()
        print(f"target longer by {longer:2}, mask of the {of}: loss {loss:.3f}")
assert losses[0, "source"] == losses[0, "target"]
assert losses[-2, "target"] > 5 * losses[-2, "source"]

# %% [markdown]
# A shorter target hides the end of the source, a longer one shows padding. Nothing crashes, and a test in which all
# lengths are equal passes. So test masks with lengths that differ, on both sides.
#
# **Try it.**
#
# 1. Change one word of a source, and see which words of the translation change. Does this find the alignment better
#    than attention does? Try it where attention is wrong.
# 2. Set `norm="post"`, as in the paper, or two decoder layers, and read the alignment of each. Who does the work?
# 3. Replace one word that the decoder reads by another of its kind, then by one of another kind. What follows?
# 4. Train with the target's mask in the cross-attention. Which sentences does the model learn, and which never?
