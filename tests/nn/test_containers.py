"""Sequential, ModuleList, ModuleDict: what they hold, their paths, and how they change."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.nn import Dropout, Linear, Module, ModuleDict, ModuleList, ReLU, Sequential, Tanh

X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)


def test_a_sequential_runs_its_modules_in_order():
    up, down = Linear(4, 6), Linear(6, 2)
    net = Sequential(up, ReLU(), down)
    expected = down(tg.functional.relu(up(X)))
    assert (net(X).data == expected.data).all()
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [name for name, _ in net.named_parameters()] == names and list(net.state_dict()) == names
    assert list(dict(net.named_modules())) == ["", "0", "1", "2"]
    assert len(net) == 3 and net[0] is up and net[-1] is down and list(net)[2] is down


def test_a_sequential_with_names():
    net = Sequential({"up": Linear(4, 6), "act": ReLU()})
    assert [name for name, _ in net.named_parameters()] == ["up.weight", "up.bias"]
    assert net.up is net[0] and net(X).shape == (5, 6)


def test_a_part_of_a_sequential_shares_its_modules():
    net = Sequential(Linear(4, 6), ReLU(), Linear(6, 2))
    part = net[:2]
    assert type(part) is Sequential and len(part) == 2 and part[0] is net[0] and part(X).shape == (5, 6)


@pytest.mark.parametrize("kind", [Sequential, lambda *modules: ModuleList(modules)])
def test_a_list_of_modules_changes_like_a_list(kind):
    a, b, c, d = Linear(1, 1), Linear(2, 2), Linear(3, 3), ReLU()
    held = kind(a, b)
    held.append(c).append(d)
    assert list(held) == [a, b, c, d]
    held[1] = d
    del held[0]
    held.insert(1, b)
    assert list(held) == [d, b, c, d]
    held.extend([a])
    assert list(held)[-1] is a and [path for path, _ in held.named_children()] == ["0", "1", "2", "4"]
    with pytest.raises(IndexError):
        held[9]
    with pytest.raises(TypeError, match="expected Modules, got 3 as number 5"):
        held.append(3)
    with pytest.raises(TypeError, match="expected Modules, got None"):
        held.append(None)
    assert list(held) == [d, b, c, d, a], "what is refused changes nothing"


def test_a_module_list_gives_the_paths_of_a_list():
    class Net(Module):
        def __init__(self, blocks):
            self.blocks = blocks

    ours, plain = Net(ModuleList([Linear(2, 2), Linear(2, 2)])), Net([Linear(2, 2), Linear(2, 2)])
    assert list(ours.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in ours.named_children()] == ["blocks"]
    plain.load_state_dict(ours.state_dict())
    assert len(ModuleList()) == 0 and bool(ModuleList())
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        ours.blocks(X)
    with pytest.raises(TypeError, match=r"ModuleList: expected a list of Modules, got .*: put it in a list"):
        ModuleList(Linear(1, 1))


def test_modules_by_name():
    up, act = Linear(4, 6), Tanh()
    held = ModuleDict({"up": up, "act": act})
    assert held["up"] is up and held.act is act and list(held) == list(held.keys()) == ["up", "act"]
    assert "up" in held and "down" not in held and len(held) == 2 and list(held.values()) == [up, act]
    held["down"] = Linear(6, 4)
    assert list(held.state_dict()) == ["up.weight", "up.bias", "down.weight", "down.bias"]
    assert held.pop("up") is up and list(dict(held.items())) == ["act", "down"]
    held.update([("again", up)])
    del held["act"]
    assert list(held) == ["down", "again"]
    with pytest.raises(KeyError):
        held["act"]
    for name in ("train", "keys", "a.b"):
        with pytest.raises(KeyError, match="ModuleDict: expected a free name without dots"):
            held[name] = act
    assert list(ModuleDict([("one", act)])) == ["one"] and len(ModuleDict()) == 0


def test_modes_reach_what_they_hold():
    net = Sequential(Dropout(0.5), ModuleList([Dropout(0.5)]), ModuleDict({"a": Dropout(0.5)}))
    net.eval()
    assert not any(module.training for module in net.modules()) and len(list(net.modules())) == 6


def names(module):
    return [name for name, _ in module.named_children()]


def test_names_stay_where_nothing_is_taken_out():
    net = Sequential({"up": Linear(4, 6), "act": ReLU(), "down": Linear(6, 2)})
    net.append(Tanh()).extend([ReLU()])
    assert names(net) == ["up", "act", "down", "3", "4"]
    net[1] = Tanh()
    net[-1] = Dropout(0.5)
    assert names(net) == ["up", "act", "down", "3", "4"] and type(net.act) is Tanh and type(net[4]) is Dropout
    assert names(net[1:3]) == ["act", "down"] and net[2:].down is net.down
    assert names(net + Sequential(ReLU())) == ["0", "1", "2", "3", "4", "5"] and len(net) == 5
    with pytest.raises(KeyError, match="the name 1 is taken"):
        Sequential({"1": ReLU()}).append(ReLU())


@pytest.mark.parametrize("kind", [Sequential, lambda *modules: ModuleList(modules)])
def test_what_is_refused_changes_nothing(kind):
    held = kind(ReLU(), Tanh())
    before = list(held)
    for change in (
        lambda: held.extend([ReLU(), 3]),
        lambda: held.append(None),
        lambda: held.insert(0, 3),
        lambda: held.__setitem__(0, 3),
        lambda: held + [3],  # noqa: RUF005
    ):
        with pytest.raises(TypeError, match="expected Modules, got"):
            change()
        assert list(held) == before and names(held) == ["0", "1"]
    with pytest.raises(IndexError):
        held[5] = ReLU()


def test_modules_are_popped_and_added():
    a, b, c = ReLU(), Tanh(), Linear(1, 1)
    held = ModuleList([a, b])
    assert held.pop(0) is a and list(held) == [b] and names(held) == ["0"]
    both = held + [c]  # noqa: RUF005
    assert type(both) is ModuleList and list(both) == [b, c] and names(both) == ["0", "1"] and list(held) == [b]
    assert both.pop() is c


def test_a_list_with_attributes_of_its_own_keeps_them():
    class Layers(ModuleList):
        def __init__(self, modules=()):
            super().__init__(modules)
            self.scale = 2.0

    held = Layers([ReLU()]).append(Tanh())
    held.extra = Linear(1, 1)
    held.append(ReLU())
    assert held.scale == 2.0 and type(held.extra) is Linear and names(held) == ["0", "1", "extra", "3"]
