"""Small graphs, whose gradients are those of the package's Tensors."""

from collections import deque

import numpy as np

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.exercises.writing import Case, wrong


def chain(a, b):
    c = a * b
    return c + b * c


def diamond(a, b):
    c = a + b
    return (c * c) + c


def long_and_short(a, b):
    c = a * b
    d = c + a
    e = d * d
    return e * c


def ladder(a, b):
    for _ in range(5):
        a, b = a + b, a * b
    return a + b


def cases():
    for name, graph in (
        ("a product", lambda a, b: a * b),
        ("a number used twice", lambda a, b: a * a + b),
        ("a short arm and a long one", chain),
        ("a diamond", diamond),
        ("a long arm first", long_and_short),
        ("five diamonds on top of each other", ladder),
    ):
        yield Case(name, (graph,), right=gradients(graph))
    yield Case("no graph at all", (lambda a, b: a,), right={"a": 1.0, "b": 0.0})


def gradients(graph):
    a, b = (Tensor(np.array(x), requires_grad=True) for x in (0.5, -1.5))
    graph(a, b).backward()
    return {"a": float(a.grad), "b": float(b.grad)}


def run(module, graph):
    a, b = module.Value(0.5), module.Value(-1.5)
    module.backward(graph(a, b))
    return {"a": float(a.grad), "b": float(b.grad)}


@wrong(
    "G13",
    "each number passes on once for every path that leads to it",
    why="the second time it passes on all that it has, the first time's share among it",
    look="what does a number pass on when it is reached a second time?",
)
def path_by_path(loss):
    def go(value):
        value.pass_on()
        for one in value.inputs:
            go(one)

    loss.grad = 1.0
    go(loss)


@wrong(
    "BO01",
    "level by level: those that are fewest steps from the loss come first",
    why="a number with a short way to the loss may have a long one as well, and passes on before that has arrived",
    look="if there is one way of one step and another of three, when may it pass on?",
)
def breadth_first(loss):
    loss.grad = 1.0
    todo, seen = deque([loss]), {loss}
    while todo:
        value = todo.popleft()
        value.pass_on()
        for one in value.inputs:
            if one not in seen:
                seen.add(one)
                todo.append(one)


@wrong(
    "BO02",
    "each number passes on when it is first met, and then its inputs do",
    why="the walk goes down one arm to the end before it looks at the other, whose share comes too late",
    look="in (c · c) + c, has c all of its gradient when you meet it first?",
)
def first_met(loss):
    seen = set()

    def go(value):
        if value not in seen:
            seen.add(value)
            value.pass_on()
            for one in value.inputs:
                go(one)

    loss.grad = 1.0
    go(loss)


def listed(loss):
    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for one in value.inputs:
                visit(one)
            order.append(value)

    visit(loss)
    return order


@wrong(
    "BO03",
    "the loss has no gradient: nothing starts",
    why="∂loss/∂loss is 1, and all others are made from it; sums of zeros stay 0",
    look="what is the loss's own gradient?",
)
def no_seed(loss):
    for value in reversed(listed(loss)):
        value.pass_on()


@wrong(
    "BO04",
    "from the inputs to the loss: the list is not turned round",
    why="when the inputs' turn comes, nothing has arrived yet; in the end only the loss passes on",
    look="who has a gradient at the very beginning?",
)
def not_reversed(loss):
    loss.grad = 1.0
    for value in listed(loss):
        value.pass_on()


@wrong(
    "BO05",
    "every number starts with a gradient of 1",
    why="only the loss does: the 1 of the others is added to what they get",
    look="what is ∂loss/∂a before anything has arrived at a?",
)
def all_ones(loss):
    for value in listed(loss):
        value.grad = 1.0
    for value in reversed(listed(loss)):
        value.pass_on()
