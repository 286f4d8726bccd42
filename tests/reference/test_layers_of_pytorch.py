"""Every name that nn, nn.init, nn.utils, optim, optim.lr_scheduler and their classes share with PyTorch: the same
arguments, in the same order, with the same defaults; or the difference stands in habits.DIFFERENCES. What they compute
is compared in test_nn_torch.py and test_optim_torch.py."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import habits, nn, optim

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.reference

OWNERS = {  # where the names stand: ours, PyTorch's
    "nn": (nn, torch.nn),
    "nn.init": (nn.init, torch.nn.init),
    "nn.utils": (nn.utils, torch.nn.utils),
    "optim": (optim, torch.optim),
    "optim.lr_scheduler": (optim.lr_scheduler, torch.optim.lr_scheduler),
    "Module": (nn.Module, torch.nn.Module),
    "Optimizer": (optim.Optimizer, torch.optim.Optimizer),
    "LRScheduler": (optim.lr_scheduler.LRScheduler, torch.optim.lr_scheduler.LRScheduler),
}
OWN_TESTS = "".join(
    (Path(__file__).parent / file).read_text(encoding="utf-8") for file in ("test_nn_torch.py", "test_optim_torch.py")
)
LAYERS_AND_OPTIMISERS = {name for name in habits.DIFFERENCES if re.split(r"[.(]", name)[0] in {"nn", "optim", *OWNERS}}


def is_own(owner, name: str) -> bool:
    """Whether the owner has the name itself: not what it imports, and not only to say what to write instead."""
    value = vars(owner)[name]
    if isinstance(owner, type):
        return callable(value) and not isinstance(value, habits.Habit)
    listed = getattr(owner, "__all__", None)
    here = value.__module__ == owner.__name__ if inspect.isroutine(value) or inspect.isclass(value) else False
    return (name in listed and callable(value) if listed else here) and name not in OWNERS


SHARED = [
    (place, name)
    for place, (ours, theirs) in OWNERS.items()
    for name in sorted(vars(ours))
    if not name.startswith("_") and hasattr(theirs, name) and is_own(ours, name)
]


def arguments(function) -> dict[str, inspect.Parameter]:
    found = inspect.signature(function).parameters.values()
    return {p.name: p for p in found if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def told(place: str, name: str = "") -> set[str]:
    """The arguments of which a difference is told: nn(device=, dtype=) and nn.Linear(bias=)."""
    rows = [row for row in habits.DIFFERENCES if row.partition("(")[0] in (place, f"{place}.{name}")]
    return {argument for row in rows for argument in re.findall(r"(\w+)=", row)}


def test_there_is_something_to_compare():
    found = {f"{place}.{name}" for place, name in SHARED}
    assert len(found) > 80
    assert {"nn.Linear", "nn.init.normal_", "nn.utils.clip_grad_norm_", "optim.AdamW", "Module.to"} <= found
    assert {"optim.lr_scheduler.StepLR", "Optimizer.step", "LRScheduler.get_last_lr"} <= found


@pytest.mark.parametrize("place, name", SHARED, ids=map(".".join, SHARED))
def test_arguments_are_pytorchs_or_the_difference_is_told(place, name):
    ours, theirs = (getattr(owner, name) for owner in OWNERS[place])
    mine, right, differ = arguments(ours), arguments(theirs), told(place, name)
    lacking = [argument for argument in right if argument not in mine and argument not in differ]
    if f"{place}.{name}" != "Module.to":  # PyTorch's takes *args
        assert not lacking, f"PyTorch has these too: {lacking}"
    for argument in mine.keys() & right.keys() - differ:
        assert mine[argument].default == right[argument].default, f"{argument}={right[argument].default} in PyTorch"
    positional = [argument for argument, p in mine.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for argument, wanted in zip(positional, right, strict=False):
        assert argument == wanted or {argument, wanted} & differ, f"{wanted} stands in the place of {argument}"
    for argument in set(positional) & right.keys():
        assert right[argument].kind is not inspect.Parameter.KEYWORD_ONLY
    by_name_there = [a for a, p in right.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for argument, p in mine.items():
        if p.kind is p.KEYWORD_ONLY and argument in by_name_there:
            assert argument in differ, f"PyTorch takes {argument} without its name"


@pytest.mark.parametrize("place, name", SHARED, ids=map(".".join, SHARED))
def test_each_is_compared_or_its_difference_is_told(place, name):
    """Those tests say that what is called there is right."""
    plain = f"{place}.{name}"
    found = re.search(rf"\b{name}\b", OWN_TESTS) or plain in CLAIMS or name in THE_REST
    assert found, f"nobody compared {plain} with PyTorch's"


def linear(library):
    return library.nn.Linear(3, 2)


def rate(library) -> list[float]:
    scheduler = library.optim.lr_scheduler.StepLR(library.optim.SGD(linear(library).parameters(), lr=0.5), 3)
    return scheduler.get_lr()


def with_a_part(library) -> list[str]:
    model = linear(library)
    model.register_module("part", linear(library))
    return [name for name, _ in model.named_parameters()]


def moved(method: str):
    def call(library):
        model = linear(library)
        try:
            return getattr(model, method)() is model
        except (AssertionError, RuntimeError, tg.UserError):
            return "there is none"

    return call


def iterated(name: str):
    """How many there are, the first of them taken by next(), as from an iterator."""

    def taken(library) -> int:
        model = library.nn.Sequential(linear(library), library.nn.Flatten())
        model.register_buffer("mask", library.zeros(2))
        iterator = getattr(model, name)()
        next(iterator)
        return 1 + len(list(iterator))

    return taken


THE_REST = {  # what the other two files do not compare
    **{name: iterated(name) for name in ("buffers", "children", "modules", "parameters")},
    "cpu": moved("cpu"),
    "cuda": moved("cuda"),
    "extra_repr": lambda library: linear(library).extra_repr(),
    "get_lr": rate,
    "register_module": with_a_part,
}


@pytest.mark.filterwarnings("ignore:To get the last learning rate")
@pytest.mark.parametrize("name", sorted(THE_REST))
def test_the_rest(name):
    assert THE_REST[name](tg) == THE_REST[name](torch)


# --- that what is told is so -------------------------------------------------------------------------------------


def names_of(library) -> list[str]:
    class Scaled(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear(library)
            self.own = library.nn.Parameter(library.ones(1))

    return [name for name, _ in Scaled().named_parameters()]


class Plain(nn.Module):
    def __init__(self):
        self.layers, self.named = [nn.Linear(2, 2)], {"a": nn.Linear(2, 2)}
        self.again = self.layers[0]


class TheirPlain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [torch.nn.Linear(2, 2)]


def refused(call, kind=(TypeError, ValueError, AttributeError)) -> bool:
    try:
        call()
    except kind:
        return True
    return False


def trained(p, grad):
    p.grad = grad
    return [p]


def clipped_where_not_finite() -> bool:
    grad = np.array([np.nan, 9], np.float32)
    p = trained(nn.Parameter(np.ones(2, np.float32)), grad.copy())
    q = trained(torch.nn.Parameter(torch.ones(2)), torch.tensor(grad))
    nn.utils.clip_grad_norm_(p, 1.0), torch.nn.utils.clip_grad_norm_(q, 1.0)
    return p[0].grad[1] == 9 and bool(q[0].grad.isnan().all())


def closed_form() -> bool:
    """A rate that somebody changed: PyTorch's goes on from it."""
    rates = []
    for library, p in ((optim, nn.Parameter(np.ones(2))), (torch.optim, torch.nn.Parameter(torch.ones(2)))):
        optimizer = library.SGD([p], lr=1.0)
        scheduler = library.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer.param_groups[0]["lr"] = 8.0
        optimizer.step()
        try:
            scheduler.step()
        except ValueError:
            rates.append(None)
        else:
            rates.append(optimizer.param_groups[0]["lr"])
    return rates == [None, 4.0]


def loaded_rates() -> bool:
    rates = []
    for library, p in ((optim, nn.Parameter(np.ones(2))), (torch.optim, torch.nn.Parameter(torch.ones(2)))):
        first, second = library.SGD([p], lr=1.0), library.SGD([p], lr=1.0)
        one, other = (library.lr_scheduler.ExponentialLR(o, 0.5) for o in (first, second))
        first.step(), one.step()
        other.load_state_dict(one.state_dict())
        rates.append(second.param_groups[0]["lr"])
    return rates == [0.5, 1.0]


def a_group(**settings) -> list:
    return [{"params": [nn.Parameter(np.ones(2))], **settings}]


CLAIMS = {  # the name of a row without an argument -> whether it is so
    "nn.CrossEntropyLoss": lambda: refused(lambda: nn.CrossEntropyLoss(np.ones(3))),
    "nn.Dropout": lambda: refused(lambda: nn.Dropout(1)) and torch.nn.Dropout(1).p == 1,
    "nn.LayerNorm": lambda: refused(lambda: nn.LayerNorm((3, 4))) and torch.nn.LayerNorm((3, 4)).weight.ndim == 2,
    "nn.Linear": lambda: (
        abs(nn.Linear(400, 100).weight.data.std() * 20 - 1) < 0.05
        and not nn.Linear(4, 3).bias.data.any()
        and bool(torch.nn.Linear(4, 3).bias.any())
    ),
    "Module": lambda: (
        len(list(Plain().parameters())) == 4
        and not list(TheirPlain().parameters())
        and refused(lambda: Plain().register_forward_hook)
    ),
    "Module.named_parameters": lambda: (
        names_of(tg) == ["inner.weight", "inner.bias", "own"]
        and names_of(torch) == ["own", "inner.weight", "inner.bias"]
    ),
    "Module.load_state_dict": lambda: (
        refused(lambda: nn.Linear(2, 2).load_state_dict({}), ValueError)
        and refused(lambda: torch.nn.Linear(2, 2).load_state_dict({}), RuntimeError)
    ),
    "Module.state_dict": lambda: (
        list(Plain().state_dict())
        == [f"{layer}.{name}" for layer in ("layers.0", "named.a") for name in ("weight", "bias")]
        and type(nn.Linear(2, 2).state_dict()["weight"]) is np.ndarray
    ),
    "Module.to": lambda: refused(lambda: nn.Linear(2, 2).to("cpu", np.float64)),
    "nn.utils.clip_grad_norm_": clipped_where_not_finite,
    "optim": lambda: (
        refused(lambda: optim.SGD([tg.ones(2)], lr=0.1))
        and refused(lambda: optim.SGD(a_group(lrr=1), lr=0.1))
        and not refused(lambda: torch.optim.SGD([{"params": [torch.ones(2)], "lrr": 1}], lr=0.1))
    ),
    "optim.SGD": lambda: (
        refused(lambda: optim.SGD(a_group(), momentum=1.0))
        and not refused(lambda: torch.optim.SGD([torch.ones(2)], momentum=1.0))
    ),
    "Optimizer.load_state_dict": lambda: refused(
        lambda: optim.Adam(a_group()).load_state_dict(torch.optim.Adam([torch.ones(2)]).state_dict())
    ),
    "Optimizer.state_dict": lambda: (
        set(map(type, optim.Adam(a_group()).state_dict().values())) == {np.ndarray}
        and "param_groups" in torch.optim.Adam([torch.ones(2)]).state_dict()
    ),
    "LRScheduler.load_state_dict": loaded_rates,
    "optim.lr_scheduler": closed_form,
}


REFUSED = {  # a row of an argument that is there to be refused -> calls
    "nn(inplace=)": [lambda: nn.ReLU(inplace=True), lambda: nn.SiLU(inplace=True), lambda: nn.Dropout(inplace=True)],
    "nn.Embedding(padding_idx=)": [lambda: nn.Embedding(3, 2, padding_idx=0)],
    "nn.LogSoftmax(dim=)": [nn.LogSoftmax],
    "nn.Softmax(dim=)": [nn.Softmax],
    "nn.utils.clip_grad_norm_(norm_type=)": [
        lambda: nn.utils.clip_grad_norm_(nn.Linear(2, 2).parameters(), 1.0, norm_type=1.0)
    ],
    "Optimizer.step(closure=)": [
        lambda: optim.SGD(a_group()).step(lambda: 1.0),
        lambda: optim.SGD(a_group()).step(closure=lambda: 1.0),
    ],
}


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_what_is_told_is_so(name):
    assert name in habits.DIFFERENCES and CLAIMS[name]()


@pytest.mark.parametrize("row", sorted(LAYERS_AND_OPTIMISERS))
def test_every_row_is_of_a_name_that_both_have_and_is_needed(row):
    """A row without arguments is tested above; each argument of another differs in some signature."""
    plain, differ = row.partition("(")[0], set(re.findall(r"(\w+)=", row))
    if not differ or row in REFUSED:
        assert row in CLAIMS or row in REFUSED
        return
    place, name = (plain, "") if plain in OWNERS else plain.rpartition(".")[::2]
    callables = [name] if name else [n for p, n in SHARED if p == place]
    pairs = [tuple(arguments(getattr(owner, n)) for owner in OWNERS[place]) for n in callables]
    for argument in differ:
        assert any(
            mine.get(argument, inspect.Parameter.empty) != right.get(argument, inspect.Parameter.empty)
            for mine, right in pairs
        ), f"{argument} is the same in both"


@pytest.mark.parametrize("row, call", [(row, call) for row, calls in REFUSED.items() for call in calls])
def test_what_is_refused(row, call):
    assert row in habits.DIFFERENCES
    with pytest.raises((TypeError, ValueError), match="expected"):
        call()
