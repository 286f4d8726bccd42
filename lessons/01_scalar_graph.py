# %% [markdown]
# # 1. A graph of numbers
#
# A neural network learns by asking one question over and over: *if I turned this knob a little, how much would the
# loss change?* For every knob there is one such number, a derivative, and training is little more than turning each
# knob against its own.
#
# In this lesson we build, in about sixty lines, a machine that answers the question for any formula we can type. It
# works on single numbers, so that nothing is hidden. The next lesson does the same with arrays, and that is the
# engine on which the GPT of this package trains.
#
# You need: Python, and the chain rule from school.

# %%
import gc
import math
import time
import weakref

# %% [markdown]
# ## A number that remembers
#
# Take $L = \tanh(a\,b + c)$. Python computes it in three steps, `ab = a * b`, `s = ab + c`, `L = tanh(s)`, and then
# forgets how. We want a number that remembers: which operation made it, and from which numbers.
#
# Each operation is simple enough that we know its derivatives by heart, so each result can carry a small function
# that says: "if you tell me how much the loss changes when *I* change, I tell my inputs how much it changes when
# *they* do." That is the chain rule, once. Here it is for all of our operations:


# %%
class Value:
    """A number, its gradient, the numbers it was made from, and a closure that passes
    gradients on to them."""

    def __init__(self, data, inputs=()):
        self.data = float(data)
        self.grad = 0.0
        self.inputs = inputs
        self.pass_on = lambda: None

    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))

        def pass_on():  # d(a + b)/da = 1, d(a + b)/db = 1
            self.grad += out.grad
            other.grad += out.grad

        out.pass_on = pass_on
        return out

    def __mul__(self, other):
        out = Value(self.data * other.data, (self, other))

        def pass_on():  # d(ab)/da = b, d(ab)/db = a
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out.pass_on = pass_on
        return out

    def tanh(self):
        out = Value(math.tanh(self.data), (self,))

        def pass_on():  # d tanh(x)/dx = 1 - tanh(x)²
            self.grad += (1 - out.data**2) * out.grad

        out.pass_on = pass_on
        return out

    def backward(self):
        order, seen = [], set()

        def visit(value):  # inputs first: backwards, each number comes after its users
            if value not in seen:
                seen.add(value)
                for x in value.inputs:
                    visit(x)
                order.append(value)

        visit(self)
        self.grad = 1.0  # dL/dL
        for value in reversed(order):
            value.pass_on()


# %%
a, b, c = Value(0.5), Value(-1.5), Value(0.25)
L = (a * b + c).tanh()
L.backward()
print(f"L = {L.data:.4f}")
print(f"dL/da = {a.grad:.4f}   dL/db = {b.grad:.4f}   dL/dc = {c.grad:.4f}")

# %% [markdown]
# Is that right? A derivative is a limit, so we can measure it: nudge one input both ways and look at the loss. This
# is the most honest check there is, because it knows nothing about our code.


# %%
def loss(a, b, c):
    return math.tanh(a * b + c)


h = 1e-6
measured = [
    (loss(0.5 + h, -1.5, 0.25) - loss(0.5 - h, -1.5, 0.25)) / (2 * h),
    (loss(0.5, -1.5 + h, 0.25) - loss(0.5, -1.5 - h, 0.25)) / (2 * h),
    (loss(0.5, -1.5, 0.25 + h) - loss(0.5, -1.5, 0.25 - h)) / (2 * h),
]
for name, value, m in zip("abc", (a, b, c), measured, strict=True):
    print(f"dL/d{name}   backward {value.grad:+.8f}   measured {m:+.8f}")
    assert abs(value.grad - m) < 1e-8

# %% [markdown]
# ## Why `+=`
#
# Look again at `self.grad += ...`. Why not `=`? Because a number may be used twice. Then it reaches the loss along
# two paths, and what it does to the loss is the *sum* over both. The smallest example is $x + x$, whose derivative is
# 2.

# %%
x = Value(3.0)
y = x + x
y.backward()
print("d(x + x)/dx =", x.grad)
assert x.grad == 2.0

# %% [markdown]
# ## Why backwards
#
# We started at the loss and walked towards the inputs. One could also walk forwards: start at one input with
# $da/da=1$, and carry "how much do I change when `a` changes" along with every operation. That works too, and needs no
# memory of the graph. But look at what one walk answers:
#
# | walk | starts from | one walk tells |
# |---|---|---|
# | forwards | one input | how *that input* changes every number |
# | backwards | the loss | how *every input* changes the loss |
#
# A language model has millions of inputs (its weights) and one loss. Backwards, one walk does. Forwards, it takes one
# walk for each weight. Let us count multiplications for a chain of 20 steps with a weight at each.

# %%
STEPS = 20
weights = [Value(0.9 + 0.01 * i) for i in range(STEPS)]
out = Value(0.3)
for w in weights:
    out = (out * w).tanh()
out.backward()


def forward_derivative(which):
    """d out / d weights[which], carried forwards along the chain, and the number of
    multiplications it took."""
    value, slope, multiplications = 0.3, 0.0, 0
    for i, w in enumerate(weights):
        slope = slope * w.data + (value if i == which else 0.0)
        value = math.tanh(value * w.data)
        slope = slope * (1 - value**2)
        multiplications += 2
    return slope, multiplications


results = [forward_derivative(i) for i in range(STEPS)]
forwards = sum(n for _, n in results)
backwards = 3 * STEPS  # two in each `*`, one in each `tanh`
print(f"all {STEPS} derivatives: {forwards} products forwards, {backwards} backwards")
for (slope, _), w in zip(results, weights, strict=True):
    assert abs(slope - w.grad) < 1e-12
assert forwards == 2 * STEPS**2

# %% [markdown]
# The same numbers, but one side grows with the square. Even a small GPT has a million weights, and forwards would
# take it a million walks. This is why everybody walks backwards, and why the price is worth paying: to walk backwards
# we must *remember* the graph.
#
# ## The price, measured
#
# How is memory given back when we are done? Python counts, for every object, how many references point to it, and
# frees it at the moment the count drops to zero. So once we forget the loss, the whole graph should be gone. Let us
# look, with Python's other helper, the garbage collector, switched off:


# %%
def graph_of(number):
    """The end of a chain of `number` additions, and a weak reference (one that does not
    count) to its middle."""
    one, value = Value(1.0), Value(0.0)
    middle = weakref.ref(value)
    for i in range(number):
        value = value + one
        if i == number // 2:
            middle = weakref.ref(value)
    return value, middle


gc.collect()
gc.disable()
end, middle = graph_of(500)
del end
still_there = middle() is not None
unreachable = gc.collect()
print("the graph is still there after we forgot it:", still_there)
print("objects that only the garbage collector could free:", unreachable)
assert still_there and middle() is None
assert unreachable > 500

# %% [markdown]
# It was still there! Follow the references: `out.pass_on` is a closure, and the closure mentions `out`. So `out`
# holds `pass_on` and `pass_on` holds `out`: a **cycle**. Each keeps the other's count above zero, forever. Only the
# garbage collector finds such islands, and it comes when it likes. With numbers that is a few kilobytes. With the
# activations of a GPT it is gigabytes that are dead and not free.
#
# ## The cure: edges in one direction only
#
# What does a backward step need? The *derivatives* with respect to the inputs, and the inputs' addresses. It does not
# need its own output object. So we let the result hold a plain record: pairs of (input, local derivative). References
# then point from outputs to inputs and never back, and a graph without cycles is freed by counting alone.


# %%
class Node:
    """A number that knows its inputs and the local derivatives: data, not a closure."""

    def __init__(self, data, edges=()):
        self.data, self.grad, self.edges = float(data), 0.0, edges

    def __add__(self, other):
        return Node(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Node(self.data * other.data, ((self, other.data), (other, self.data)))

    def tanh(self):
        t = math.tanh(self.data)
        return Node(t, ((self, 1 - t * t),))

    def backward(self):
        users = {
            self: 0
        }  # how many users of each number have yet to pass on their share
        stack = [self]
        while stack:
            for x, _ in stack.pop().edges:
                if x not in users:
                    users[x] = 0
                    stack.append(x)
                users[x] += 1
        self.grad, ready = 1.0, [self]
        while ready:
            node = ready.pop()
            for x, slope in node.edges:
                x.grad += slope * node.grad
                users[x] -= 1
                if users[x] == 0:
                    ready.append(x)


na, nb, nc = Node(0.5), Node(-1.5), Node(0.25)
(na * nb + nc).tanh().backward()
assert [na.grad, nb.grad, nc.grad] == [a.grad, b.grad, c.grad]

one, end = Node(1.0), Node(0.0)
middle = weakref.ref(end)
for i in range(500):
    end = end + one
    if i == 250:
        middle = weakref.ref(end)
del end
print("the new graph is still there after we forgot it:", middle() is not None)
unreachable = gc.collect()
print("objects left for the garbage collector:", unreachable)
assert middle() is None and unreachable == 0
gc.enable()

# %% [markdown]
# Gone at once, and nothing left over. We changed a second thing on the way: `backward` no longer calls itself. Our
# first version would have hit Python's recursion limit on a graph a thousand steps deep, and the loop above has no
# such limit. (How does it know the order without recursion? It counts each number's users first, and a number's turn
# comes when its last user has passed on its share.)

# %%
x = Node(1.0)
deep = x
for _ in range(50_000):
    deep = deep * Node(1.0)
start = time.perf_counter()
deep.backward()
seconds = time.perf_counter() - start
print(f"50,000 steps backwards in {seconds:.2f} s, and dL/dx = {x.grad}")
assert x.grad == 1.0

# %% [markdown]
# ## What you have now
#
# - A gradient is one number per knob, and one backward walk gives all of them.
# - Gradients along several paths add up.
# - A graph whose edges point only from outputs to inputs needs no garbage collector.
#
# Open `tinygrad_gpt/autograd.py` and you will find these three decisions again, on arrays.
#
# **Try it.** Add `exp` and division to `Node`, and check both with the nudge above. Then make `Value.tanh` forget the
# `+` in `+=`, and find the smallest formula whose gradient comes out wrong.
