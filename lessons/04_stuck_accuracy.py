# %% [markdown]
# # 4. The accuracy that would not move
#
# Somebody built GPT-1 from its paper, trained it on Shakespeare for three epochs, and wrote it up with an honest last
# sentence: the accuracy never moved, and they could not say why. It is a good riddle, because nothing in that program
# crashes. The loss even falls a little. Here we build it again, smaller, and instead of guessing we *measure*: what the
# model says, its loss beside losses that we can work out without any model, and how much gradient arrives where.
#
# The recipe of the write-up: 12 blocks with layer norms *after* the residual sums, sequences of 63 tokens with a start
# and an end token, a softmax as the last layer and cross-entropy on what comes out of it, Adam at its default of 1e-3
# from the first step on, weights as the framework draws them.
#
# Half a minute on a laptop. You need lesson 2, and cross-entropy: -log of the probability of the right token.

# %%
import math

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt.data import CharTokenizer, open_corpus
from tinygrad_gpt.files.plots import show_figure
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.optim import Adam, grad_norm

# %% [markdown]
# ## The text, and what can be known without a model
#
# Each line of a text is one sequence: start, its characters, end, and padding up to 63. Padding is no text. It must
# count neither in the loss nor in the accuracy, or a model that knows where lines end looks clever.

# %%
T = 63
corpus = open_corpus("python-docs")  # at hand everywhere; the write-up's: "shakespeare"
tokenizer = CharTokenizer.from_corpus(corpus)
START, END = tokenizer.vocab_size, tokenizer.vocab_size + 1
V, NO_TARGET = tokenizer.vocab_size + 2, -100

text = "".join(corpus.train(1 << 20))
inputs, targets = [], []
for line in text.splitlines():
    if line.strip():
        ids = [START, *tokenizer.encode(line)[: T - 1], END]
        padding = T + 1 - len(ids)
        inputs.append(ids[:-1] + padding * [END])
        targets.append(ids[1:] + padding * [NO_TARGET])
inputs, targets = np.array(inputs), np.array(targets)  # (lines, T)

real = targets[targets != NO_TARGET]
share = np.bincount(real, minlength=V) / len(real)
unigram_entropy = -sum(p * math.log(p) for p in share if p > 0)
padded = np.mean(targets == NO_TARGET)
print(f"{len(inputs)} lines, {V} tokens; {padded:.0%} of all places are padding")
print(f"a blind guess:                loss {math.log(V):.3f}")
print(f"knowing how often each comes: loss {unigram_entropy:.3f}, the unigram entropy")
commonest = tokenizer.decode([int(share.argmax())])
print(f"saying {commonest!r} everywhere:       accuracy {share.max():.3f}")
assert share.max() < 0.3 and unigram_entropy < math.log(V)

# %% [markdown]
# The last two numbers in a log mean: the model reads nothing.
#
# ## Softmax, twice
#
# Cross-entropy, as frameworks have it, takes *logits*: it makes the softmax itself. If the model ends with a softmax,
# there are two. The inner one gives probabilities $p$ between 0 and 1, and the outer one takes them for logits:
#
# $$\mathrm{loss} = -\log\frac{e^{p_t}}{\sum_j e^{p_j}} = \log\Big(\sum_j e^{p_j}\Big) - p_t$$
#
# *How low can it get?* For a model that is sure and right, $p_t = 1$ and all others are 0:
# $\log(e + V - 1) - 1 = \log(1 + (V-1)/e)$. Not 0, but little below $\log V$. The scale of the loss is nearly gone.
#
# *What does it reward?* All $p_j$ are small or one of them is near 1, so the sum is about $V$ to $V + 1.7$ whatever the
# model says, and the loss is a constant less $p_t$. So the model is paid for the *probability* of the right token, not
# for its logarithm. Suppose you know only that a space comes in 16 % of cases. With the logarithm you do best to say
# 16 %. With the probability itself you do best to say 100 %: always, and for sure.
#
# *And then?* The gradient goes back through the inner softmax, whose slopes are $p_i(\delta_{ij} - p_j)$. For a sure
# model they are all 0. It cannot leave.


# %%
def twice(logits, targets):
    return F.cross_entropy(F.softmax(logits), targets)


def gradient_at(loss_function, sureness):
    """Norm of the gradient for one prediction, which says token 0 with this logit, and
    should have said token 1."""
    logits = tg.Tensor(np.zeros((1, V)), requires_grad=True)
    logits.data[0, 0] = sureness
    loss_function(logits, np.array([1])).backward()
    return float(np.linalg.norm(logits.grad))


floor = math.log(1 + (V - 1) / math.e)
constant = math.log(math.e + V - 1) - share.max()
right = tg.Tensor(np.eye(V)[:1] * 1000)  # as sure as can be
assert math.isclose(twice(right, np.array([0])).item(), floor)
print(f"softmax twice: at best {floor:.3f}")
print(f"saying the commonest token everywhere, for sure: {constant:.3f}")
print("\nhow sure it is of a wrong token:", *(f"{s:9}" for s in (0, 5, 10, 20)))
for name, function in (("softmax once", F.cross_entropy), ("softmax twice", twice)):
    norms = [gradient_at(function, s) for s in (0, 5, 10, 20)]
    print(f"gradient, {name:22}", *(f"{norm:9.1e}" for norm in norms))
assert gradient_at(F.cross_entropy, 20) > 1 and gradient_at(twice, 20) < 1e-6

# %% [markdown]
# Once: the surer and wronger, the larger the gradient. Twice: the surer, the smaller.
#
# ## The model, and the instruments
#
# `recipe` has one entry for each thing that we are going to change. The write-up's weights came from the framework:
# Glorot's rule, $\sigma^2 = 2/(\mathrm{in} + \mathrm{out})$, for every matrix, and a narrow uniform for embeddings.

# %%
AS_WRITTEN = dict(loss=twice, lr=1e-3, warmup=0, weights="glorot", norm="post")
SIZES = dict(vocab_size=V, block_size=T, n_layer=12, n_head=4, n_embd=64, n_inner=128)
SHAPE: dict = SIZES | dict(activation="relu", tied=False)
STEPS, LINES = 120, 8  # lines in a batch


def make_model(recipe):
    tg.manual_seed(1)
    model = GPT(
        GPTConfig(**SHAPE, norm=recipe["norm"])
    )  # normal, σ = 0.02, as in GPT-1
    if recipe["weights"] == "glorot":
        for name, weight in model.named_parameters():
            if "embedding" in name:
                weight.data *= 0.05 / math.sqrt(3) / weight.data.std()
            elif weight.ndim == 2:
                out, into = weight.shape
                out = out // 3 if "qkv" in name else out  # three matrices in one
                weight.data *= math.sqrt(2 / (into + out)) / weight.data.std()
    return model


def train(recipe) -> dict:
    """Train, and keep what the instruments show at each step."""
    model, rng = make_model(recipe), np.random.default_rng(1)
    optimizer = Adam(model.named_parameters())
    seen = {"loss": [], "accuracy": [], "commonest": [], "gradients": []}
    for step in range(STEPS):
        rows = rng.integers(0, len(inputs), LINES)
        x, y = inputs[rows], targets[rows]  # (B, T)
        logits = model(x)  # (B, T, V)
        loss = recipe["loss"](logits, y)
        loss.backward()
        said = logits.numpy().argmax(-1)[y != NO_TARGET]
        seen["loss"].append(loss.item())
        seen["accuracy"].append(np.mean(said == y[y != NO_TARGET]))
        seen["commonest"].append(np.bincount(said).max() / len(said))
        norms = [grad_norm(block.parameters()) for block in model.blocks]
        seen["gradients"].append(norms)
        optimizer.lr = recipe["lr"] * min(1, (step + 1) / (recipe["warmup"] + 1))
        optimizer.step()
        optimizer.zero_grad()
    return {name: np.array(values) for name, values in seen.items()} | {"model": model}


def mean(seen, key):
    """Over the last twenty steps."""
    return seen[key][-20:].mean(axis=0)


def show(results):
    """The means of the last twenty steps."""
    print(f"{'':30}   loss  accuracy  commonest is  gradient: block 1  block 12")
    for name, seen in results.items():
        means = [mean(seen, key) for key in ("loss", "accuracy", "commonest")]
        first, last = mean(seen, "gradients")[[0, -1]]
        print(f"{name:30} {means[0]:6.3f} {means[1]:9.3f} {means[2]:13.0%}", end="")
        print(f"{first:19.1e} {last:9.1e}")


# %% [markdown]
# ## As written

# %%
results = {"as written": train(AS_WRITTEN)}
show(results)
stuck = results["as written"]
assert mean(stuck, "commonest") > 0.99
assert abs(mean(stuck, "loss") - constant) < 0.05
assert stuck["gradients"][-1].max() < 1e-2

# %% [markdown]
# There it is, and no longer a riddle. It says one token everywhere; its accuracy is the share of that token; its loss
# is the number that we worked out for exactly this, and the gradient is gone. It is not slow to learn: it has learned
# what its loss asks for.
#
# Is the small model the same as the real one? The same measurement at the write-up's own size (C 512, 8 heads, 25
# million parameters; Shakespeare's characters, V = 68, batches of 16 lines, 150 steps) took half an hour and gave
#
# | | loss | accuracy | commonest is | gradient: block 1 | block 12 |
# |---|---|---|---|---|---|
# | as written | 4.090 | 0.155 | 100 % | 3e-17 | 5e-10 |
# | softmax once | 3.336 | 0.155 | 100 % | 7e-12 | 5e-1 |
# | and a warm-up of 100 to 3e-4 | 3.112 | 0.160 | 86 % | 7e-2 | 9e-1 |
#
# with 4.091 for the commonest token everywhere, and a unigram entropy of 3.308. The larger the model, the worse.
#
# ## First remedy: one softmax

# %%
once = AS_WRITTEN | dict(loss=F.cross_entropy)
results["softmax once"] = train(once)
show(results)
seen = results["softmax once"]
assert abs(mean(seen, "loss") / unigram_entropy - 1) < 0.05
assert mean(seen, "commonest") > 0.9
first, last = seen["gradients"][-1, [0, -1]]
assert first < 0.05 * last, "from the last block to the first it fades"

# %% [markdown]
# Better by more than a nat, and the accuracy has not moved at all. This is why one bug hides another. But the loss
# tells where we are: at the unigram entropy. The output layer has learned how often each token comes. The blocks have
# learned nothing, and the last two columns say why: hardly any gradient arrives at the first one.
#
# At step 0 it did, so the cause is not the depth but the first updates. Here is each block before them and at the end:
# its gradient; the size of a residual sum before its norm; how much of the block's output depends on the model's input.


# %%
def look_inside(model):
    sums, depends = [], []
    parts = (".attention_norm", ".feed_forward", "")
    with model.watching(*[f"blocks.*{part}" for part in parts]) as seen:
        model.features(inputs[:16])
    for i in range(len(model.blocks)):
        x, f_of_x, y = (seen[f"blocks.{i}{part}"].output.numpy() for part in parts)
        sums.append((x + f_of_x).std(axis=-1).mean())  # of (B, T, C)
        depends.append(y.std(axis=(0, 1)).mean() / y.std())
    return sums, depends


models = (("as drawn", make_model(once), 0), ("trained", seen["model"], -1))
for name, model, step in models:
    sums, depends = look_inside(model)
    gradients = seen["gradients"][step]
    print(f"{name:9} gradient:            ", *(f"{g:6.0e}" for g in gradients))
    print(f"{name:9} size of the sum:     ", *(f"{s:6.2f}" for s in sums))
    print(f"{name:9} depends on the input:", *(f"{d:6.4f}" for d in depends))
first, last = seen["gradients"][0, [0, -1]]
assert first > 0.1 * last, "as the weights were drawn, it arrives"
assert depends[-1] < 0.02, "what the last block says is the same everywhere"

# %% [markdown]
# A norm after the residual sum, $\mathrm{norm}(x + f(x))$, divides the sum by its size: on the way up what depends on
# the input becomes smaller beside the rest, block by block, and on the way down so does the gradient. As drawn, a sum
# is 1.2 times as large as $x$. Adam's first steps move every weight by the full learning rate, all in the same
# direction, $f(x)$ outgrows $x$, and it becomes 1.5 to 2, and there are 24 norms in a row.
#
# ## Second remedy: smaller first steps

# %%
results["+ warm-up of 50, lr 3e-4"] = train(once | dict(lr=3e-4, warmup=50))
show(results)
warm = results["+ warm-up of 50, lr 3e-4"]
assert mean(warm, "gradients")[0] > 10 * mean(seen, "gradients")[0]

# %% [markdown]
# Now the gradient arrives. After so few and so small steps the accuracy is still where it was; with more it does move
# (exercise 1). GPT-1's authors warmed up over 2000 steps, to 2.5e-4 (Radford et al., 2018, section 4.1).
#
# ## Third remedy: norms that don't stand in the way
#
# GPT-2 put the norms *before* attention and feed-forward, $x + f(\mathrm{norm}(x))$. Nothing divides what comes back
# along $x$ any more, and the higher learning rate does no harm (Xiong et al., 2020).

# %%
before = once | dict(norm="pre", warmup=50)
results["+ norms before, lr 1e-3"] = train(before)
results["the same, but softmax twice"] = train(before | dict(loss=twice))
show(results)
final = results["+ norms before, lr 1e-3"]
assert mean(final, "accuracy") > 1.2 * share.max()
assert mean(final, "loss") < 0.95 * unigram_entropy
relapse = results["the same, but softmax twice"]
assert mean(relapse, "accuracy") < mean(final, "accuracy")
assert mean(relapse, "loss") > floor

# %% [markdown]
# It moves. The last line is the control: all remedies but the first. The gradient no longer fades from block to block
# then, but there is next to none to begin with: each fault was enough to stop the model alone.
#
# ## The whole story in one picture


# %%
def draw(figure):
    losses, gradients = figure.subplots(1, 2)
    for name, seen in results.items():
        losses.plot(seen["loss"], linewidth=1, label=name)
        gradients.plot(range(1, 13), mean(seen, "gradients"), marker=".", label=name)
    for level, style in ((unigram_entropy, "--"), (math.log(V), ":")):
        losses.axhline(level, color="grey", linestyle=style)
    losses.set(xlabel="step", ylabel="loss")
    losses.set_title("dashed: unigram entropy; dotted: log V")
    gradients.set(xlabel="block", ylabel="norm of the gradient", yscale="log")
    gradients.set_title("at the end")
    gradients.legend(fontsize="small")


show_figure("stuck_accuracy", draw, (11, 4))  # takes matplotlib

# %% [markdown]
# ## What you have now
#
# - Before you train, work out log V and the unigram entropy of your text. A loss that stays at either is a message.
# - An accuracy that equals the share of the commonest token is not an accuracy.
# - Look at the gradient of each layer. "It does not learn" is often "nothing arrives".
# - Repair one thing at a time, and measure after each: the second fault was invisible until the first was gone.
#
# `tinygrad-gpt train` measures all this as it goes and says so when it looks like this; `tinygrad-gpt doctor` explains.
#
# **Try it.**
#
# 1. Set `STEPS` to 500 and train the second remedy alone. When does its accuracy leave that of the commonest token?
#    Does it with `lr=1e-3` and the same warm-up?
# 2. Which of the recipes gets better with `weights="normal"`? What do its gradients at step 0 say about it?
# 3. Let padding count: replace NO_TARGET by END in `targets`, and train `AS_WRITTEN`. What accuracy would the write-up
#    have reported, and which token does the model say now?
