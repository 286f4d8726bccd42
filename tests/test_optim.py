"""Optimisers against their equations, clipping, states and schedules."""

import math

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.nn import Parameter
from tinygrad_gpt.optim import (
    SGD,
    Adam,
    AdamW,
    clip_grad_norm,
    clip_scale,
    decay_matrices,
    grad_norm,
    inverse_sqrt,
    noam,
    warmup_cosine,
    warmup_linear,
)


def parameter(*shape, seed=0, dtype=np.float64) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True)


def give_gradients(params, seed) -> None:
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = rng.standard_normal(p.shape).astype(p.dtype)


# --- updates -----------------------------------------------------------------------------------------------------


def test_sgd_moves_against_the_gradient():
    p = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    p.grad = np.array([10.0, -20.0])
    SGD([p], lr=0.1).step()
    assert p.data.tolist() == [0.0, 4.0]


def test_sgd_with_momentum_remembers_and_decay_pulls_to_zero():
    p = Tensor(np.array([1.0]), requires_grad=True)
    optimizer = SGD([p], lr=0.5, momentum=0.5, weight_decay=0.25)
    p.grad = np.array([2.0])
    optimizer.step()  # g = 2 + 0.25 * 1 = 2.25, u = 2.25, p = 1 - 1.125
    assert p.data.tolist() == [-0.125]
    optimizer.step()  # g = 2 - 0.03125 = 1.96875, u = 1.125 + 1.96875 = 3.09375, p = -0.125 - 1.546875
    assert p.data.tolist() == [-1.671875]


def test_sgd_does_not_write_to_the_gradient():
    p = parameter(3)
    give_gradients([p], seed=1)
    before = p.grad.copy()
    SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1).step()
    assert (p.grad == before).all()


def test_adamw_follows_its_equations_element_by_element():
    lr, beta1, beta2, eps, decay = 0.01, 0.8, 0.9, 1e-3, 0.5
    p = parameter(2, 3)
    expected = p.data.copy()
    optimizer = AdamW([p], lr, (beta1, beta2), eps, decay)
    m, v = np.zeros((2, 3)), np.zeros((2, 3))
    for step in (1, 2, 3):
        give_gradients([p], seed=step)
        for i in np.ndindex(2, 3):
            g = p.grad[i]
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            step_size = (m[i] / (1 - beta1**step)) / (math.sqrt(v[i] / (1 - beta2**step)) + eps)
            expected[i] = expected[i] * (1 - lr * decay) - lr * step_size
        optimizer.step()
    np.testing.assert_allclose(p.data, expected, rtol=1e-12)


def without_gradient(*shapes) -> dict[str, Tensor]:
    """Parameters with gradients of zero: only decay moves them."""
    params = {f"p{i}": parameter(*shape, seed=i) for i, shape in enumerate(shapes)}
    for p in params.values():
        p.grad = np.zeros_like(p.data)
    return params


def test_adamw_decays_all_parameters():
    params = without_gradient((2, 3), (3,), ())
    before = {name: p.data.copy() for name, p in params.items()}
    AdamW(params.items(), lr=0.1, weight_decay=0.5).step()
    for name, p in params.items():
        np.testing.assert_allclose(p.data, before[name] * 0.95, rtol=1e-14)


def test_decay_matrices_spares_vectors_and_scalars():
    params = without_gradient((2, 3), (3,), (), (2, 2, 2))
    before = {name: p.data.copy() for name, p in params.items()}
    groups = decay_matrices(params.items(), weight_decay=0.5)
    assert [[name for name, _ in group["params"]] for group in groups] == [["p0", "p3"], ["p1", "p2"]]
    AdamW(groups, lr=0.1).step()
    for name, kept in {"p0": 0.95, "p1": 1.0, "p2": 1.0, "p3": 0.95}.items():
        np.testing.assert_allclose(params[name].data, before[name] * kept, rtol=1e-14)
    with pytest.raises(TypeError, match="decay_matrices: expected Tensors, got 3"):
        decay_matrices([3], 0.1)


def test_adam_has_no_decay_unless_asked_and_then_in_the_gradient():
    p = without_gradient((2, 2))["p0"]
    before = p.data.copy()
    Adam([p], lr=0.1).step()
    assert (p.data == before).all()
    Adam([p], lr=0.1, weight_decay=0.5).step()  # g = 0.5 θ: the first step is lr long, whatever its size
    np.testing.assert_allclose(p.data, before - 0.1 * np.sign(before), atol=1e-6)


# --- groups --------------------------------------------------------------------------------------------------------


def test_groups_have_settings_of_their_own_and_what_is_set_there_acts():
    a, b = parameter(3), parameter(3, seed=1)
    optimizer = SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.1, momentum=0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    assert all(group["momentum"] == 0.9 for group in optimizer.param_groups)
    assert optimizer.param_groups[0]["params"] == [a] and optimizer.param_groups[1]["param_names"] == ["1"]
    before = a.data.copy(), b.data.copy()
    a.grad, b.grad = np.ones(3), np.ones(3)
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    np.testing.assert_allclose(a.data, before[0] - 0.5, rtol=1e-12)
    assert (b.data == before[1]).all()


@pytest.mark.parametrize("decoupled", [Adam, AdamW])
def test_adam_s_groups_are_as_optimisers_of_their_own(decoupled):
    settings = [dict(lr=0.1, betas=(0.5, 0.7)), dict(weight_decay=0.3), dict(eps=0.1, weight_decay=0.2), {}]
    together, alone = ([parameter(2, 3, seed=i) for i in range(4)] for _ in range(2))
    groups = [{"params": [p], **given} for p, given in zip(together, settings, strict=True)]
    optimizer = decoupled(groups, lr=0.01)
    others = [decoupled([p], **{"lr": 0.01, **given}) for p, given in zip(alone, settings, strict=True)]
    for seed in range(3):
        give_gradients(together, seed)
        give_gradients(alone, seed)
        for one in (optimizer, *others):
            one.step(0.5)
    assert all((a.data == b.data).all() for a, b in zip(together, alone, strict=True))


def test_a_group_can_be_added():
    a, b = parameter(3), parameter(3, seed=1)
    optimizer = SGD([("a", a)], lr=0.1)
    optimizer.add_param_group({"params": b, "lr": 1.0})
    a.grad, b.grad = np.ones(3), np.ones(3)
    before = b.data.copy()
    optimizer.step()
    np.testing.assert_allclose(b.data, before - 1.0)
    assert list(optimizer.params) == ["a", "1"]
    assert names_in(optimizer) == ["momentum.a", "momentum.1", "steps.a", "steps.1"]
    with pytest.raises(ValueError, match="SGD: the parameter 2 was given twice"):
        optimizer.add_param_group({"params": [a]})
    optimizer.param_groups[0]["params"].append(parameter(3))
    with pytest.raises(ValueError, match="use add_param_group for more"):
        optimizer.step()
    optimizer.param_groups[0]["params"][:] = [parameter(3)]  # in a's place
    with pytest.raises(ValueError, match="use add_param_group for more"):
        optimizer.step()
    with pytest.raises(TypeError, match="SGD: expected a group, a dictionary with params"):
        optimizer.add_param_group([b])


def test_a_group_that_is_taken_out_is_left_alone():
    a, b = parameter(3), parameter(3, seed=1)
    optimizer = SGD([{"params": [a]}, {"params": [b]}], lr=0.1)
    optimizer.param_groups.pop()
    before = b.data.copy()
    for forget in (True, False):
        give_gradients([a, b], 0)
        optimizer.step()
        optimizer.zero_grad(forget)
        assert (b.data == before).all() and b.grad.any() and (a.grad is None or not a.grad.any())


def test_lr_is_that_of_all_groups_or_refused():
    optimizer = SGD([{"params": [parameter(3)]}, {"params": [parameter(3, seed=1)]}], lr=0.1)
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2] and optimizer.lr == 0.2
    optimizer.param_groups[1]["lr"] = 0.4
    with pytest.raises(ValueError, match=r"one learning rate as lr, the groups have 0.2, 0.4"):
        optimizer.lr  # noqa: B018
    with pytest.raises(ValueError, match="the groups have"):
        optimizer.lr = 0.3


def test_what_is_set_in_a_group_is_checked_at_the_next_step():
    p = parameter(3)
    optimizer = AdamW([p])
    give_gradients([p], 0)
    before = p.data.copy()
    optimizer.param_groups[0]["betas"] = (0.9, 1.0)
    with pytest.raises(ValueError, match=r"AdamW: expected 0 <= beta2 < 1, got 1.0"):
        optimizer.step()
    assert (p.data == before).all() and optimizer.steps == {"0": 0}


def test_a_printed_optimiser_shows_its_groups():
    params = {"w": parameter(2, 3), "b": parameter(3)}
    assert str(SGD(params.items(), 0.1)) == (
        "SGD\n  group 0: 9 parameters, lr 0.1, momentum 0.0, dampening 0.0, weight_decay 0.0, nesterov False"
    )
    assert str(AdamW(decay_matrices(params.items(), 0.1))).count("\n") == 2


# --- frozen parameters -----------------------------------------------------------------------------------------------


def test_a_frozen_parameter_is_accepted_skipped_and_takes_no_memory():
    trained, frozen = Parameter(np.ones(3)), Parameter(np.ones(4), requires_grad=False)
    optimizer = AdamW([("trained", trained), ("frozen", frozen)], lr=0.1)
    trained.grad = np.ones(3)
    optimizer.step()
    assert (frozen.data == 1).all() and names_in(optimizer) == ["m.trained", "v.trained", "steps.trained"]


def test_a_parameter_that_thaws_starts_then_and_its_state_goes_on():
    def thaw():
        params = {"a": Parameter(np.ones(3), requires_grad=False), "b": Parameter(np.ones(2))}
        return params, AdamW(params.items(), lr=0.1)

    params, optimizer = thaw()
    params["b"].grad = np.ones(2)
    optimizer.step()
    params["a"].requires_grad, params["a"].grad = True, np.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    assert optimizer.steps == {"b": 2, "a": 1} == {"b": state["steps.b"], "a": state["steps.a"]}
    _, again = thaw()
    again.load_state_dict(state)
    assert again.steps == {"b": 2, "a": 1} and (again.slots["m"]["a"] == optimizer.slots["m"]["a"]).all()


# --- updates, again --------------------------------------------------------------------------------------------------


def test_a_parameter_without_gradient_is_left_alone_and_its_steps_are_not_counted():
    used, unused = parameter(2, 2), parameter(2, 2, seed=1)
    late = unused.data.copy()
    optimizer = AdamW([("used", used), ("unused", unused)], lr=0.1, weight_decay=0.5)
    for seed in (1, 2):
        give_gradients([used], seed)
        optimizer.step()
    assert (unused.data == late).all()
    give_gradients([unused], seed=3)
    optimizer.step()
    assert optimizer.steps == {"used": 3, "unused": 1}
    # Its first update is what it would have been in an optimiser of its own.
    alone = Tensor(late, requires_grad=True)
    give_gradients([alone], seed=3)
    AdamW([alone], lr=0.1, weight_decay=0.5).step()
    assert (unused.data == alone.data).all()


@pytest.mark.parametrize("optimizer", [lambda p: SGD(p, 1.0, 0.5), lambda p: AdamW(p, 1.0)])
def test_the_learning_rate_may_change_at_any_step(optimizer):
    p = parameter(4)
    optimizer = optimizer([p])
    give_gradients([p], seed=1)
    optimizer.lr = 0.0
    before = p.data.copy()
    optimizer.step()
    assert (p.data == before).all()
    optimizer.lr = 0.1
    optimizer.step()
    assert (p.data != before).all()


def test_an_update_that_is_refused_is_not_counted():
    p = Tensor(np.zeros(3), requires_grad=True)
    optimizer = AdamW([("p", p)], lr=0.1)
    p.grad = np.ones(4)
    with pytest.raises(ValueError, match=r"a gradient of float64\(3,\) like the parameter p, got .*shape \(4,\)"):
        optimizer.step()
    p.grad = np.ones(3)
    optimizer.step()
    assert optimizer.steps == {"p": 1}
    np.testing.assert_allclose(p.data, -0.1)  # the first update of Adam moves by lr


def test_an_update_that_fails_is_not_counted():
    class Failing(SGD):
        def update(self, names, settings, grad_scale):
            raise FloatingPointError("this one")

    p = parameter(3)
    p.grad, optimizer = np.ones(3), Failing([p])
    with pytest.raises(FloatingPointError, match="this one"):
        optimizer.step()
    assert optimizer.steps == {"0": 0}


def test_updates_are_in_place_and_keep_float32():
    p = parameter(3, 4, dtype=np.float32)
    array = p.data
    for optimizer in (SGD([p], 0.1, 0.9, weight_decay=0.1), AdamW([p], 0.1)):
        give_gradients([p], seed=1)
        optimizer.step()
        assert p.data is array and p.dtype == np.float32
        state = without_settings(optimizer.state_dict())
        assert all(a.dtype == np.float32 for name, a in state.items() if not name.startswith("steps."))


def test_zero_grad_forgets_gradients():
    p = parameter(3)
    give_gradients([p], seed=1)
    SGD([p], 0.1).zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0]
    SGD([p], 0.1).zero_grad()
    assert p.grad is None


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9, weight_decay=0.1), lambda p: AdamW(p, 0.1)])
def test_updates_run_on_another_kind_of_array(make):
    results = []
    for kind in (np.asarray, StrictArray):
        p = Tensor(kind(np.linspace(-1, 1, 6).reshape(2, 3)), requires_grad=True)
        optimizer = make([p])
        for _ in range(2):
            p.grad = kind(np.linspace(3, -2, 6).reshape(2, 3))
            clip_grad_norm([p], 1.0)
            optimizer.step()
        optimizer.load_state_dict({name: a.copy() for name, a in optimizer.state_dict().items()})
        results.append(to_numpy(p.data))
    np.testing.assert_allclose(*results, rtol=1e-14)


# --- states ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9), lambda p: AdamW(p, 0.1)])
def test_training_goes_on_exactly_from_a_saved_state(make):
    def train(params, optimizer, seeds):
        for seed in seeds:
            give_gradients(params, seed)
            optimizer.step()

    params = [parameter(3, 2, dtype=np.float32), parameter(4, dtype=np.float32)]
    optimizer = make(params)
    train(params, optimizer, range(3))
    state = {name: np.copy(a) for name, a in optimizer.state_dict().items()}
    resumed = [Tensor(p.data.copy(), requires_grad=True) for p in params]
    train(params, optimizer, range(3, 6))

    optimizer = make(resumed)
    optimizer.load_state_dict(state)
    loaded = {name: a.copy() for name, a in state.items()}
    train(resumed, optimizer, range(3, 6))
    assert all((a.data == b.data).all() for a, b in zip(params, resumed, strict=True))
    assert all((state[name] == loaded[name]).all() for name in state), "loading must copy"


def test_a_state_is_named_after_its_parameters():
    optimizer = AdamW([("w", parameter(2, 3)), ("b", parameter(3))])
    settings = [f"param_groups.0.{name}" for name in ("lr", "betas", "eps", "weight_decay")]
    assert list(optimizer.state_dict()) == ["m.w", "m.b", "v.w", "v.b", "steps.w", "steps.b", *settings]
    assert names_in(SGD([parameter(2)], 0.1)) == ["momentum.0", "steps.0"]


def names_in(optimizer):
    return [name for name in optimizer.state_dict() if not name.startswith("param_groups.")]


def without_settings(state):
    return {name: a for name, a in state.items() if not name.startswith("param_groups.")}


def test_a_state_restores_the_settings_of_every_group():
    def made(**settings):
        params = {"w": parameter(2, 3), "b": parameter(3)}
        return AdamW(decay_matrices(params.items(), 0.5), **settings)

    first, second = made(lr=0.3, betas=(0.8, 0.9), eps=1e-3), made()
    first.param_groups[1]["lr"] = 0.125
    second.load_state_dict(first.state_dict())
    for group, wanted in zip(second.param_groups, first.param_groups, strict=True):
        assert all(group[name] == wanted[name] for name in first.defaults)
    assert second.param_groups[1]["lr"] == 0.125 and second.param_groups[0]["betas"] == (0.8, 0.9)
    before = made()
    before.load_state_dict(without_settings(first.state_dict()))  # as states were once
    assert before.lr == 1e-3
    nesterov = SGD([parameter(2)], 0.5, momentum=0.9, nesterov=True)
    plain = SGD([parameter(2)], 0.1)
    plain.load_state_dict(nesterov.state_dict())
    assert plain.param_groups[0]["nesterov"] is True and plain.param_groups[0]["momentum"] == 0.9


def test_a_state_can_be_saved(tmp_path):
    optimizer = AdamW([parameter(2)], lr=0.25)
    tg.save(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
    again = AdamW([parameter(2)])
    again.load_state_dict(tg.load(tmp_path / "optimizer.safetensors"))
    assert again.lr == 0.25 and type(again.lr) is float


def test_settings_that_do_not_fit_are_refused_whole():
    optimizer = AdamW([parameter(2)])
    state = optimizer.state_dict() | {"m.0": np.ones(2)}
    for change, said in [
        ({"param_groups.0.momentum": np.array(0.5)}, r"does not fit this AdamW: unexpected: param_groups\.0\.momentum"),
        ({"param_groups.1.lr": np.array(0.5)}, r"the settings of 2 groups, this AdamW has 1: leave out"),
        ({"param_groups.0.lr": np.array(-1.0)}, r"expected lr >= 0, got -1"),
        ({"state": {}, "param_groups": []}, r"the state of one of PyTorch's optimisers"),
    ]:
        with pytest.raises(ValueError, match=said):
            optimizer.load_state_dict(state | change)
    assert not optimizer.slots["m"]["0"].any() and optimizer.lr == 1e-3


def test_a_state_of_other_groups_gives_each_parameter_its_own_count():
    """As checkpoints do that were written when all parameters were one group, in the model's order."""
    params = {"bias": parameter(3), "matrix": parameter(2, 3), "late": parameter(2, 2)}
    before = AdamW(params.items())
    for names in (["bias", "matrix"], ["matrix"], [*params]):
        for name, p in params.items():
            p.grad = np.ones_like(p.data) if name in names else None
        before.step()
    after = AdamW(decay_matrices(params.items(), 0.1))
    assert list(after.params) == ["matrix", "late", "bias"]
    after.load_state_dict(without_settings(before.state_dict()))
    assert after.steps == {"matrix": 3, "late": 1, "bias": 2}
    again = AdamW(params.items())
    again.load_state_dict(without_settings(after.state_dict()))
    assert again.steps == before.steps


def test_the_order_of_a_state_does_not_matter():
    params = {"b": parameter(3), "a": parameter(3)}
    optimizer = AdamW(params.items())
    for name in ("b", "a", "b"):
        optimizer.zero_grad()
        params[name].grad = np.ones(3)
        optimizer.step()
    again = AdamW(params.items())
    again.load_state_dict(dict(sorted(optimizer.state_dict().items())))
    assert again.steps == optimizer.steps == {"b": 2, "a": 1}


def test_counts_without_names_are_those_of_the_other_names_in_their_order():
    """As in checkpoints that were written when `steps` was one array."""
    params = {"b": parameter(3), "a": Parameter(np.ones(3), requires_grad=False)}
    optimizer = AdamW(params.items())
    state = {f"{slot}.{name}": np.ones(3) for slot in "mv" for name in ("a", "b")}
    optimizer.load_state_dict(state | {"steps": np.array([5, 7])})
    assert optimizer.steps == {"b": 7, "a": 5} and (optimizer.slots["m"]["a"] == 1).all()
    with pytest.raises(ValueError, match="expected a count for each of the 2 parameters in steps, got 1"):
        optimizer.load_state_dict(state | {"steps": np.array([5])})


def test_a_state_that_does_not_fit_is_refused_whole_and_everything_wrong_is_listed():
    optimizer = AdamW([("w", parameter(2, 3)), ("b", parameter(3))])
    state = {"m.w": np.ones((2, 3)), "m.b": np.ones(4), "v.w": np.ones((2, 3)), "extra": np.ones(1)}
    with pytest.raises(ValueError) as error:
        optimizer.load_state_dict(state)
    message = str(error.value)
    assert "AdamW" in message and "missing: v.b, steps.w, steps.b" in message and "unexpected: extra" in message
    assert "wrong shape: m.b (expected (3,), got (4,))" in message
    assert not optimizer.state_dict()["m.w"].any()


# --- what is refused ---------------------------------------------------------------------------------------------


def test_parameters_that_cannot_be_updated_are_refused():
    p = parameter(3)
    for bad in (Tensor(np.ones(3)), apply("exp", p), np.ones(3)):
        with pytest.raises(TypeError, match="leaves that require gradients"):
            SGD([bad], 0.1)
    with pytest.raises(ValueError, match="twice"):
        SGD([p, p], 0.1)
    with pytest.raises(ValueError, match="twice"):
        SGD([("a", p), ("a", parameter(3))], 0.1)
    with pytest.raises(ValueError, match="at least one"):
        SGD([], 0.1)


def test_settings_that_cannot_be_are_refused():
    p = parameter(3)
    with pytest.raises(ValueError, match="lr"):
        SGD([p], -0.1)
    with pytest.raises(ValueError, match="momentum"):
        SGD([p], 0.1, momentum=1.0)
    with pytest.raises(ValueError, match="beta2"):
        AdamW([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="weight_decay"):
        AdamW([p], weight_decay=math.nan)


# --- clipping ----------------------------------------------------------------------------------------------------


def test_clipping_scales_all_gradients_to_the_common_norm():
    a, b, unused = parameter(2), parameter(1), parameter(1)
    a.grad, b.grad = np.array([3.0, 0.0]), np.array([4.0])
    assert clip_grad_norm([a, b, unused], 1.0) == 5.0
    np.testing.assert_allclose([*a.grad, *b.grad], [0.6, 0.0, 0.8], rtol=1e-6)
    assert unused.grad is None


def test_small_gradients_are_left_as_they_are():
    a = parameter(2)
    a.grad = np.array([0.3, 0.4])
    assert clip_grad_norm([a], 1.0) == 0.5 and a.grad.tolist() == [0.3, 0.4]


def test_gradients_that_are_not_finite_are_left_to_be_looked_at():
    a, b = parameter(2), parameter(2)
    a.grad, b.grad = np.array([3.0, 4.0]), np.array([np.nan, 1.0])
    assert math.isnan(clip_grad_norm([a, b], 1.0)) and a.grad.tolist() == [3.0, 4.0]
    b.grad = np.array([np.inf, 1.0])
    assert clip_grad_norm([a, b], 1.0) == math.inf and a.grad.tolist() == [3.0, 4.0] and b.grad[1] == 1.0


def test_huge_float32_gradients_are_clipped_without_overflow():
    a = parameter(2, dtype=np.float32)
    a.grad = np.array([3e30, 4e30], np.float32)
    assert clip_grad_norm([a], 1.0) == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(a.grad, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, 0.9, weight_decay=0.1), lambda p: AdamW(p, 0.1)])
def test_a_scaled_step_is_the_step_of_scaled_gradients(make):
    clipped, scaled = ([parameter(3, 2), parameter(4, seed=1), parameter(2)] for _ in range(2))
    optimizers = make(clipped), make(scaled)
    for seed in (1, 2):
        for params in (clipped, scaled):
            give_gradients(params[:2], seed)
        before = [p.grad.copy() for p in scaled[:2]]
        assert clip_grad_norm(clipped, 0.5) == grad_norm(scaled) > 0.5
        optimizers[0].step()
        optimizers[1].step(clip_scale(grad_norm(scaled), 0.5))
        assert all((p.grad == g).all() for p, g in zip(scaled[:2], before, strict=True))
    for a, b in zip(clipped, scaled, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


def test_a_parameter_whose_array_was_replaced_is_updated_where_it_is_now():
    p = parameter(3)
    optimizer = AdamW([p], lr=0.1, weight_decay=0.0)
    give_gradients([p], seed=1)
    optimizer.step()
    before, p.data = p.data, np.ones(3)
    kept = before.copy()
    optimizer.step()
    assert (before == kept).all() and (p.data != 1).all()


def test_a_greatest_norm_of_zero_is_refused():
    with pytest.raises(ValueError, match="max_norm > 0"):
        clip_grad_norm([parameter(2)], 0.0)


# --- schedules ---------------------------------------------------------------------------------------------------


def test_warmup_cosine_passes_through_its_landmarks():
    schedule = [warmup_cosine(s, lr=1.0, min_lr=0.2, warmup=9, total=109) for s in range(150)]
    assert schedule[0] == pytest.approx(0.1) and schedule[8] == pytest.approx(0.9)
    assert schedule[9] == 1.0 and max(schedule) == 1.0
    assert schedule[59] == pytest.approx(0.6)  # halfway down
    assert schedule[34] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2)
    assert all(lr == pytest.approx(0.2, rel=1e-12) for lr in schedule[109:])
    assert (np.diff(schedule[9:110]) < 0).all()


def test_warmup_linear_passes_through_its_landmarks():
    schedule = [warmup_linear(s, lr=1.0, warmup=4, total=14) for s in range(20)]
    np.testing.assert_allclose(schedule[:5], [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(schedule[4:15], np.linspace(1, 0, 11), atol=1e-15)
    assert schedule[14:] == [0.0] * 6
    assert warmup_linear(99, lr=1.0, min_lr=0.5, total=10) == 0.5


def test_noam_peaks_where_the_warmup_ends():
    schedule = [noam(s, d_model=64, warmup=10) for s in range(100)]
    assert schedule[9] == max(schedule) == pytest.approx(64**-0.5 * 10**-0.5)
    assert schedule[0] == pytest.approx(schedule[9] / 10) and schedule[39] == pytest.approx(schedule[9] / 2)
    assert noam(5, d_model=64, warmup=10, scale=3.0) == pytest.approx(3 * schedule[5])


def test_inverse_sqrt_peaks_at_lr_where_the_warmup_ends():
    schedule = [inverse_sqrt(s, lr=0.3, warmup=10) for s in range(100)]
    assert schedule[9] == max(schedule) == pytest.approx(0.3)
    np.testing.assert_allclose(schedule[:10], 0.03 * np.arange(1, 11))
    np.testing.assert_allclose(schedule[9:], 0.3 * np.sqrt(10 / np.arange(10, 101)))


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_inverse_sqrt_is_noam_with_its_highest_rate_given(warmup):
    """No step has an infinite rate, as the inverse root of 0 would be."""
    peak = (64 * max(warmup, 1)) ** -0.5
    for step in range(20):
        assert inverse_sqrt(step, lr=peak, warmup=warmup) == pytest.approx(noam(step, d_model=64, warmup=warmup))
        assert 0 < noam(step, d_model=64, warmup=warmup) <= peak * (1 + 1e-12)


@pytest.mark.parametrize("schedule", [warmup_cosine, warmup_linear])
def test_schedules_work_without_warmup_and_with_nothing_but_warmup(schedule):
    assert schedule(0, lr=1.0, warmup=0, total=10) == 1.0
    assert schedule(4, lr=1.0, min_lr=0.5, warmup=9, total=5) == pytest.approx(0.5)
    assert schedule(9, lr=1.0, min_lr=0.5, warmup=9, total=9) == 1.0
    assert schedule(10, lr=1.0, min_lr=0.5, warmup=9, total=9) == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: AdamW(p, amsgrad=True), "AdamW: it has no argument amsgrad: use Adam without it"),
        (lambda p: AdamW(p, decays=lambda name, p: True), "AdamW: .* decays: use two groups: optim.decay_matrices"),
        (lambda p: SGD(p, maximize=True), "SGD: it has no argument maximize: use the negative of what is to be large"),
        (lambda p: Adam(p, learning_rate=0.1), "Adam: it has no argument learning_rate$"),
        (lambda p: Adam(p).step(lambda: 1.0), r"it takes no closure, call loss.backward\(\) first, then step"),
        (lambda p: Adam(p).step(closure=lambda: 1.0), "it takes no closure"),
        (lambda p: Adam([{"params": p}, *p]), "Adam: expected groups only, .* got Tensor of"),
        (lambda p: Adam([{"param": p}]), "Adam: expected groups only, .* got {'param'"),
        (lambda p: Adam({"params": p}), "Adam: expected .*, got one group: put it in a list"),
    ],
)
def test_what_is_not_here_is_refused_with_the_right_word(make, message):
    with pytest.raises(TypeError, match=message):
        make([parameter(2)])


def test_arguments_about_pytorch_s_speed_change_nothing():
    p = parameter(2)
    assert AdamW([p], fused=True, foreach=None, amsgrad=False).defaults == AdamW([p]).defaults


def test_settings_that_contradict_are_refused():
    p = parameter(2)
    with pytest.raises(ValueError, match="momentum > 0 and dampening 0 with nesterov, got momentum 0 and dampening 0"):
        SGD([p], nesterov=True)
    with pytest.raises(ValueError, match="SGD: a group has no setting 'weigth_decay': did you mean weight_decay"):
        SGD([{"params": [p], "weigth_decay": 0.1}])


@pytest.mark.parametrize("norm", [0.0, 1e-30, 0.3, math.nan, math.inf])
def test_clipping_never_makes_a_gradient_larger(norm):
    assert clip_scale(norm, max_norm=1.0) == 1.0
