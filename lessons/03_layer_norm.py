# %% [markdown]
# # 3. Layer norm: derive it, check it, break it
#
# Every operation in this package has a file with its derivation in `tinygrad_gpt/ops`. In this lesson you write one
# of them yourself: layer normalisation, which stands before every attention and every feed-forward block of a GPT. It
# is the first derivative in this course that most people get wrong, and we shall get it wrong on purpose, to see how
# one finds out.

# %%
from types import SimpleNamespace

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt.check import check_op

# %% [markdown]
# ## What it does
#
# Each row of $C$ numbers is shifted to mean 0, scaled to variance 1, and given a learned scale and shift:
#
# $$\hat x = (x - \mu)\, r, \qquad r = \frac{1}{\sqrt{\mathrm{mean}((x-\mu)^2) + \varepsilon}}, \qquad
# y = w\,\hat x + b$$
#
# The $\varepsilon$ keeps us from dividing by zero when all numbers of a row are equal. As code, for arrays of shape
# $(..., C)$. Remember the contract: forward returns `y`, and whatever backward will want to see again.


# %%
def forward(x, weight, bias=None, *, eps=1e-5):
    mean = np.mean(x, axis=-1, keepdims=True)  # (..., C) -> (..., 1)
    centred = x - mean
    rstd = 1 / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + eps)
    x_hat = centred * rstd  # (..., C)
    y = x_hat * weight
    if bias is not None:
        y = y + bias
    return y, (x_hat, rstd, weight, bias is not None)


x = np.array([[1.0, 2.0, 6.0], [10.0, 20.0, 60.0]])
y, _ = forward(x, np.ones(3))
print(y)
assert np.allclose(y.mean(axis=-1), 0, atol=1e-12)
assert np.allclose(y.std(axis=-1), 1, atol=1e-4)
assert np.allclose(y[0], y[1], atol=1e-4), (
    "a row and ten times that row become the same"
)

# %% [markdown]
# ## The easy gradients
#
# In $y = w\hat x + b$, one weight scales its column in *every* row, and so does one bias. Used many times, so: summed
# over the rows (lesson 2).
#
# $$db = \sum_{rows} dy, \qquad dw = \sum_{rows} dy\,\hat x, \qquad d\hat x = dy\, w$$
#
# ## The hard one
#
# Now $x$. Every $x_j$ moves *all* the $\hat x_i$ of its row, in three ways: directly, by moving the mean, and by
# moving the variance. One at a time:
#
# - directly: $\hat x_j$ grows by $r$.
# - through the mean: $\partial\mu/\partial x_j = 1/C$, so every $\hat x_i$ sinks by $r/C$.
# - through $r$: the variance is $v = \frac1C\sum_i (x_i-\mu)^2$, so $\partial v/\partial x_j = \frac2C (x_j-\mu)$,
#   and from $r = (v+\varepsilon)^{-1/2}$ follows $\partial r/\partial v = -\frac12 r^3$. Together $\partial
#   r/\partial x_j = -\frac1C r^3 (x_j-\mu) = -\frac1C r^2\hat x_j$, so every $\hat x_i = (x_i-\mu)\,r$ sinks by
#   $\frac1C\, r\,\hat x_i \hat x_j$.
#
# Add the three, multiply by what arrives at each $\hat x_i$, and sum over $i$:
#
# $$dx_j = \sum_i d\hat x_i\; r\left(\delta_{ij} - \frac1C - \frac{\hat x_i\hat x_j}{C}\right)
# = r\left(d\hat x_j - \mathrm{mean}(d\hat x) - \hat x_j\,\mathrm{mean}(d\hat x\,\hat x)\right)$$
#
# Read it in words: *take $d\hat x$, remove its mean, remove its part along $\hat x$, scale by $r$.* That makes sense.
# Layer norm makes mean and size of a row irrelevant, so no gradient may point in those two directions.


# %%
def backward(dy, saved):
    x_hat, rstd, weight, has_bias = saved
    rows = tuple(range(dy.ndim - 1))
    dbias = np.sum(dy, axis=rows) if has_bias else None
    dweight = np.sum(dy * x_hat, axis=rows)
    dx_hat = dy * weight
    through_mean = np.mean(dx_hat, axis=-1, keepdims=True)
    through_variance = x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True)
    dx = rstd * (dx_hat - through_mean - through_variance)
    return dx, dweight, dbias


# %% [markdown]
# The two directions that should have vanished, on random numbers:

# %%
rng = np.random.default_rng(3)
x, weight, dy = rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=(4, 6))
_, saved = forward(x, weight, eps=0.0)
dx, _, none = backward(dy, saved)
along_ones, along_x = dx.sum(axis=-1), (dx * x).sum(axis=-1)
print("dx · 1 =", along_ones.round(12) + 0.0, "  dx · x =", along_x.round(12) + 0.0)
assert np.allclose(along_ones, 0) and np.allclose(along_x, 0) and none is None

# %% [markdown]
# ## Check it
#
# Two nice properties are no proof. `check_op` compares a pair with measured derivatives, for every input, on a set of
# awkward shapes, and looks at the contract besides: nothing changed in place, nothing remembered between two calls,
# the right shapes, float32 in and float32 out. It wants any object that has a `forward` and a `backward`.

# %%
mine = SimpleNamespace(forward=forward, backward=backward)
report = check_op("layer_norm", mine)
print(report)
assert report.ok

# %% [markdown]
# ## Break it
#
# A check that has never failed has told you nothing. So let us make the mistakes that people make, and read what
# comes out. First: forget that the mean moves.


# %%
def without_mean_term(dy, saved):
    x_hat, rstd, weight, _ = saved
    _, dweight, dbias = backward(dy, saved)
    dx_hat = dy * weight
    through_variance = x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True)
    return rstd * (dx_hat - through_variance), dweight, dbias


wrong = SimpleNamespace(forward=forward, backward=without_mean_term)
report = check_op("layer_norm", wrong)
print(report)
assert report.mistakes == ("N01",)

# %% [markdown]
# It names the input, the worst element, and both numbers. And it knows the mistake: of the wrong backwards that people
# have written before, one gives these very numbers in every case, and so it is named, by an id that never changes. A
# mistake that nobody has made before is described by what all cases agree on. Now the others, only the hints:


# %%
def without_variance_term(dy, saved):
    _, rstd, weight, _ = saved
    _, dweight, dbias = backward(dy, saved)
    dx_hat = dy * weight
    return rstd * (dx_hat - np.mean(dx_hat, axis=-1, keepdims=True)), dweight, dbias


def without_row_sum(dy, saved):
    dx, dweight, _ = backward(dy, saved)
    return dx, dweight, dy.copy() if saved[3] else None


def ignoring_dy(dy, saved):
    return backward(np.ones_like(dy), saved)


def with_a_slip(dy, saved):
    dx, dweight, dbias = backward(dy, saved)
    return -dx, dweight, dbias


latest = {}


def forward_with_a_global(x, weight, bias=None, *, eps=1e-5):
    y, latest["saved"] = forward(x, weight, bias, eps=eps)
    return y, None


def backward_from_a_global(dy, _):
    return backward(dy, latest["saved"])


mistakes = {
    "no variance term": (
        forward,
        without_variance_term,
        "variance",
    ),
    "bias not summed": (forward, without_row_sum, "not summed"),
    "dy ignored": (forward, ignoring_dy, "is dy ignored?"),
    "sign": (forward, with_a_slip, "the sign is flipped"),
    "kept in a global": (
        forward_with_a_global,
        backward_from_a_global,
        "a global or an attribute",
    ),
}
for name, (f, g, expected) in mistakes.items():
    report = check_op("layer_norm", SimpleNamespace(forward=f, backward=g))
    hints = [failure.hint for failure in report.failures if expected in failure.hint]
    print(f"{name:17} {hints[0]}")
    assert not report.ok

# %% [markdown]
# Look at the last one twice. Its formulas are right, and a single layer norm would train happily. With two in one
# model, the first one's backward would see the second one's numbers. That is why everything goes through `saved`.
#
# ## Use it
#
# Register the pair, and it runs wherever the package uses layer norm, ahead of the package's own versions.

# %%
version = tg.register("layer_norm", forward, backward)
example = tg.Tensor(rng.normal(size=(2, 5)), requires_grad=True)
print(tg.explain("layer_norm", example, np.ones(5)))
assert "  yours: runs" in tg.explain("layer_norm", example, np.ones(5))

# %% [markdown]
# And it learns. A small net shall tell whether the largest of six numbers stands in the first half; its hidden layer
# is normalised with your code.

# %%
inputs = rng.normal(size=(256, 6))
labels = (inputs.argmax(axis=-1) >= 3).astype(np.int64)


def train(steps=150, rate=0.5):
    init = np.random.default_rng(0)
    w1 = tg.Tensor(init.normal(size=(32, 6)) / np.sqrt(6), requires_grad=True)
    gain = tg.Tensor(np.ones(32), requires_grad=True)
    shift = tg.Tensor(np.zeros(32), requires_grad=True)
    w2 = tg.Tensor(init.normal(size=(2, 32)) / np.sqrt(32), requires_grad=True)
    losses = []
    for _ in range(steps):
        hidden = F.linear(inputs, w1)  # (256, 6) -> (256, 32)
        hidden = F.relu(F.layer_norm(hidden, gain.shape, gain, shift))
        loss = F.cross_entropy(F.linear(hidden, w2), labels)
        loss.backward()
        losses.append(loss.item())
        for weight in (w1, gain, shift, w2):
            weight.data -= rate * weight.grad
            weight.grad = None
    return losses


yours = train()
tg.unregister(version)
packages = train()
print("loss with your layer norm, and with the package's")
for step in (0, 50, 149):
    print(f"step {step:3}   {yours[step]:.4f}   {packages[step]:.4f}")
assert yours[-1] < 0.5 * yours[0]
assert np.allclose(yours, packages, rtol=1e-3)

# %% [markdown]
# ## What you have now
#
# - You have derived the gradient, proved it, and seen five ways to lose it and how each one shows.
# - A pair that keeps the contract is as good as the package's own.
#
# Put `forward` and `backward` into a file called `layer_norm.py`, and the command trains a whole GPT on them, after
# checking them as we did here: `tinygrad-gpt train --with layer_norm.py`.
#
# **Try it.** RMS norm leaves the mean alone: $y = w\,x\,/\sqrt{\mathrm{mean}(x^2)+\varepsilon}$. Which of the three
# ways from $x$ to $y$ is left? Write its forward and backward as above. `my_norm = tg.op("my_norm", forward, backward)`
# makes them an op that Tensors run through; check it with `gradcheck(my_norm, x, weight)`, from `tinygrad_gpt.check`.
# For the command, they go into a file my_norm.py, with `SHAPES = [((3, 5), (5,))]` to check them on:
# `tinygrad-gpt gradcheck --with my_norm.py`.
