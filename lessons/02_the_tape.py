# %% [markdown]
# # 2. The tape
#
# Lesson 1 built a graph of single numbers. A GPT multiplies matrices with millions of numbers in them, and a Python
# object for each would take years. The step up is simple: let each node of the graph be a whole *array*, and each
# operation a NumPy function. Then Python only does the bookkeeping, and there is little of it.
#
# Here we meet the real engine of this package, `tinygrad_gpt/autograd.py`, and look inside while it works.

# %%
import gc
import weakref

import numpy as np

import tinygrad_gpt as tg
import tinygrad_gpt.functional as F
from tinygrad_gpt.check import gradcheck

rng = np.random.default_rng(0)

# %% [markdown]
# ## Tensors
#
# A `Tensor` holds an array in `.data`, its gradient in `.grad`, and in `.node` the record of how it was made. A
# tensor that nothing made is a *leaf*: an input or a weight. Mark the leaves whose gradients you want:

# %%
x = tg.Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
y = x * x + x
loss = F.sum(y)
print(loss)
print("made by:", loss.node, "  its input was made by:", loss.node.edges[0].node)
loss.backward()
print("d loss / d x =", x.grad)
assert np.array_equal(x.grad, 2 * x.data + 1)
assert x.is_leaf and not y.is_leaf

# %% [markdown]
# ## Broadcasting, and its reverse
#
# NumPy lets you add a row to every row of a matrix. The row is *used* several times, so by lesson 1 its gradients
# must be *added*: whatever forward stretches, backward sums. This is the most common mistake in hand-written
# gradients, and it is easy to see from the shapes: a gradient always has the shape of its tensor.

# %%
matrix = tg.Tensor(rng.normal(size=(4, 3)), requires_grad=True)
row = tg.Tensor(rng.normal(size=3), requires_grad=True)
column = tg.Tensor(rng.normal(size=(4, 1)), requires_grad=True)
dy = rng.normal(size=(4, 3))
(matrix + row + column).backward(dy)  # not one number, so we say what gradient comes in

for name, t in (("matrix", matrix), ("row", row), ("column", column)):
    print(f"{name:7} shape {t.shape!s:7} gradient {t.grad.shape}")
assert np.allclose(matrix.grad, dy)
assert np.allclose(row.grad, dy.sum(axis=0))
assert np.allclose(column.grad, dy.sum(axis=1, keepdims=True))

# %% [markdown]
# ## The Node
#
# Every operation in this package is a pair of plain functions on plain arrays:
#
#     forward(*arrays, **settings) -> (y, saved)
#     backward(dy, saved)          -> one gradient per array
#
# `forward` decides what `backward` will need, and hands it over in `saved`. The Node keeps three things: which pair
# ran, what it saved, and where its inputs came from. No more is needed to walk back.

# %%
a = tg.Tensor(rng.normal(size=(2, 3)), requires_grad=True)
b = tg.Tensor(rng.normal(size=(2, 3)), requires_grad=True)
product = a * b
node = product.node
print("pair: ", node.version)
print("saved:", [f"{name} {x.shape}" for name, x in node.saved._asdict().items()])
print("edges:", ["a" if e is a else "b" for e in node.edges])
assert node.saved.a is a.data, "saving costs nothing: it is the very array, not a copy"
assert node.edges == (a, b)

# %% [markdown]
# You can call the pair yourself. There is no magic in between:

# %%
da, db = node.version.backward(np.ones((2, 3)), node.saved)
assert np.array_equal(da, b.data) and np.array_equal(db, a.data)

# %% [markdown]
# ## Walking backwards, one step at a time
#
# Let us build a net with one hidden layer, and watch. `backward()` runs to the end; `backward_steps()` is the same
# walk, but it stops after each node and shows what came in and what went out.

# %%
inputs = tg.Tensor(
    rng.normal(size=(5, 4))
)  # 5 examples of 4 numbers: no gradient wanted
w1 = tg.Tensor(rng.normal(size=(8, 4)), requires_grad=True)
b1 = tg.Tensor(np.zeros(8), requires_grad=True)
w2 = tg.Tensor(rng.normal(size=(3, 8)), requires_grad=True)
targets = np.array([0, 2, 1, 1, 0])


def net():
    hidden = F.tanh(F.linear(inputs, w1, b1))  # (5, 4) -> (5, 8)
    logits = F.linear(hidden, w2)  # (5, 8) -> (5, 3)
    return hidden, F.cross_entropy(logits, targets)


names = {id(t): name for name, t in (("w1", w1), ("b1", b1), ("w2", w2))}
hidden, loss = net()
ops = []
print(f"{'op':14} {'gradient in':12} gradients out")
for step in loss.backward_steps():
    out = []
    for source, g in zip(step.inputs, step.grads, strict=True):
        if source is not None:  # None: nobody asked for a gradient there
            out.append(f"{names.get(id(source), source)} {g.shape}")
    print(f"{step.op:14} {step.dy.shape!s:12} {', '.join(out)}")
    ops.append(step.op)
assert ops == ["cross_entropy", "linear", "tanh", "linear"]

# %% [markdown]
# Read the table from top to bottom: the chain rule, written by the machine. Each gradient that goes out of one line
# comes in on a later one, and the weights collect theirs on the way.
#
# ## What is kept, and for how long
#
# The gradient of `hidden` was needed for a moment and is gone: no copy of it lies around. If you want to look at it,
# say so before you walk.

# %%
assert hidden.grad is None
hidden, loss = net()
hidden.retain_grad()
loss.backward()
print("d loss / d hidden:", hidden.grad.shape)
assert hidden.grad.shape == hidden.shape

# %% [markdown]
# What the nodes saved is dropped even earlier: each one lets go of it as soon as its own turn is over. So memory
# falls while the walk goes on. And because edges only point backwards (lesson 1!), the rest is freed the moment we
# forget the loss, without a garbage collector.

# %%
gc.collect()
gc.disable()
hidden, loss = net()
activation = weakref.ref(hidden.data)
del hidden  # our own reference; the graph still holds the array, because tanh saved it
alive = []
for step in loss.backward_steps():
    alive.append((step.op, activation() is not None))
    del step
print("is the hidden activation alive after each step?", alive)
assert [op for op, _ in alive] == ["cross_entropy", "linear", "tanh", "linear"]
assert [is_alive for _, is_alive in alive] == [True, True, False, False]
assert gc.collect() == 0
gc.enable()

# %% [markdown]
# This has a consequence. After one walk there is nothing left to walk on, and asking again is an error. It has to be:
# some engines give a wrong number here, and a wrong number costs you a week.

# %%
try:
    loss.backward()
except RuntimeError as error:
    print("RuntimeError:", error)
    refused = True
assert refused

# %% [markdown]
# ## The mistake that no formula catches
#
# `saved` holds the very arrays, not copies. So what if somebody changes one between forward and backward?

# %%
w = tg.Tensor(np.array([3.0]), requires_grad=True)
square = w * w
w.data[0] = 100.0  # oops
square.backward()
print("d(w²)/dw at 3 should be 6, and is", w.grad[0])
assert w.grad[0] == 200.0

# %% [markdown]
# A silent wrong answer, the worst kind. Copying everything would prevent it, and double the memory. So there is a
# mode to look for it: inside `tg.debug()`, what backward will need is read-only until it has been used.

# %%
w = tg.Tensor(np.array([3.0]), requires_grad=True)
with tg.debug():
    square = w * w
    try:
        w.data[0] = 100.0
    except ValueError as error:
        print("ValueError:", error)
    square.backward()
    w.data[0] = 100.0  # now it is allowed
assert w.grad[0] == 6.0

# %% [markdown]
# ## Is it all right?
#
# Lesson 1 nudged a number to see whether the derivative was right. `gradcheck` does that for any function of tensors:


# %%
def loss_of(w1, b1, w2):
    hidden = F.tanh(F.linear(inputs, w1, b1))
    return F.cross_entropy(F.linear(hidden, w2), targets)


report = gradcheck(loss_of, w1, b1, w2)
print(report)
assert report.ok and report.worst_error < 1e-6

# %% [markdown]
# ## What you have now
#
# - An operation is a pair of functions; a Node remembers which pair ran, what it saved and where its inputs came
#   from.
# - What forward stretches, backward sums.
# - `backward()` is a walk; `backward_steps()` is the same walk with the lights on.
# - Memory is given back as early as possible, and mistakes that this could cause are errors.
#
# **Try it.** Add a second hidden layer and predict the table before you print it. Then train the net: repeat `net()`,
# `backward()`, `w.data -= 0.1 * w.grad` and `w.grad = None` for each weight, and watch the loss fall.
