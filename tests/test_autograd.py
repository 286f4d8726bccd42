"""The engine: which gradients arrive, what is freed when, and what is refused."""

import gc
import re
import threading
import weakref

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.kernels import registry


def leaf(*values, dtype=np.float64) -> Tensor:
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


def total(x: Tensor) -> Tensor:
    return apply("sum", x)


@pytest.fixture
def pair():
    """`pair("exp", forward, backward)` runs that pair in place of the op, until the test ends."""
    registered = []

    def register(op, forward, backward):
        registered.append(registry.register(op, forward, backward))

    yield register
    for version in registered:
        registry.unregister(version)


@pytest.fixture
def no_gc():
    """Only reference counting frees anything inside this test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- sums over paths ---------------------------------------------------------------------------------------------


def test_a_tensor_used_twice_gets_both_gradients():
    x = leaf(1.0, 2.0)
    total(x + x).backward()
    assert x.grad.tolist() == [2, 2]


def test_a_scalar_used_twice_keeps_an_array_as_its_gradient():
    x = leaf(3.0)
    s = total(x).retain_grad()
    (s + s).backward()
    assert isinstance(s.grad, np.ndarray) and s.grad == 2 and x.grad == 2


def test_second_backward_adds_to_a_leaf():
    x = leaf(1.0, 2.0)
    total(x * x).backward()
    total(x * x).backward()
    assert x.grad.tolist() == [4, 8]


def test_diamond_sums_both_paths_before_going_on():
    x = leaf(0.5)
    y = apply("exp", x)
    steps = list(total(y * y + y).backward_steps())
    assert [s.op for s in steps].count("exp") == 1
    assert x.grad == pytest.approx(2 * np.exp(1.0) + np.exp(0.5))


def test_diamond_with_paths_of_unequal_length():
    x = leaf(0.3)
    y = apply("exp", x)
    long = y
    for _ in range(5):
        long = apply("tanh", long)
    total(long + y).backward()
    slope, v = 1.0, np.exp(0.3)
    for _ in range(5):
        v = np.tanh(v)
        slope *= 1 - v * v
    assert x.grad == pytest.approx((slope + 1) * np.exp(0.3))


def test_only_what_requires_a_gradient_gets_one():
    x, c = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    total(x * c).backward()
    assert x.grad.tolist() == [3, 4] and c.grad is None
    assert not (c * c).requires_grad and (c * c).node is None


def test_upstream_gradient_is_multiplied_in():
    x = leaf(1.0, 2.0)
    (x * x).backward(np.array([10.0, 100.0]))
    assert x.grad.tolist() == [20, 400]


def test_backward_of_a_leaf_adds_the_upstream_gradient():
    x, g = leaf(1.0), np.array([5.0])
    x.backward(g)
    g[0] = 7
    assert x.grad.tolist() == [5]


def test_the_upstream_gradient_may_be_the_gradient_of_a_leaf():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    a.grad = np.array([5.0, 6.0])
    (a + b).backward(a.grad)
    assert a.grad.tolist() == [10, 12] and b.grad.tolist() == [5, 6]
    table = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    table.grad = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    apply("embedding", np.array([1, 0]), table).backward(table.grad)
    assert table.grad.tolist() == [[5, 7, 9], [5, 7, 9]]


def test_gradients_of_leaves_never_share_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dy = np.array([1.0, 1.0])
    (a + b).backward(dy)
    assert not np.shares_memory(a.grad, b.grad) and not np.shares_memory(a.grad, dy)
    a.grad *= 10
    assert a.grad.tolist() == [10, 10] and b.grad.tolist() == [1, 1] and dy.tolist() == [1, 1]


def test_adding_up_never_writes_into_a_gradient_that_another_tensor_got():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    s = (x + y).retain_grad()
    t = (s + s).retain_grad()
    total(t + s).backward()
    assert t.grad.tolist() == [1, 1] and s.grad.tolist() == [3, 3]
    assert x.grad.tolist() == y.grad.tolist() == [3, 3]


def fresh_rows(x):
    """A pair's forward and backward: y = x, and a gradient that is a view of rows made anew, as linear's is."""
    return x.copy(), x.shape


def as_rows(dy, shape):
    return (dy.reshape(-1).copy().reshape(shape),)


def test_a_view_of_all_of_a_new_array_is_kept_and_added_to_in_place(pair):
    made = []

    def backward(dy, shape):
        made.append(dy.reshape(-1).copy())
        return (made[-1].reshape(shape),)

    pair("exp", fresh_rows, backward)
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = x * 2.0
    total(y + apply("exp", y)).backward()  # y's gradients: dy from the sum, and a view of made[0]
    assert made[0].tolist() == [2.0] * 6 and x.grad.tolist() == [[4.0] * 3] * 2
    made.clear()
    z = Tensor(np.ones((2, 3)), requires_grad=True)
    total(apply("exp", z)).backward()
    assert z.grad.base is made[0]


@pytest.mark.parametrize(
    "backward",
    [
        lambda dy, shape: (dy.reshape(-1).reshape(shape),),  # dy in another shape
        lambda dy, shape: (np.broadcast_to(dy.sum(), shape),),  # one number many times over
        lambda dy, shape: (np.concatenate([dy, dy])[: len(dy)],),  # part of something larger
        lambda dy, shape: (np.frombuffer(bytearray(dy.tobytes())).reshape(shape),),  # memory of another kind
    ],
)
def test_other_views_are_never_added_to_in_place(pair, backward):
    pair("exp", fresh_rows, backward)
    dy = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    expected, before = backward(dy, dy.shape)[0] + dy, dy.copy()
    for order in (lambda x: x + apply("exp", x), lambda x: apply("exp", x) + x):
        x = Tensor(np.ones((2, 3)), requires_grad=True)
        y = x * 1.0
        order(y).backward(dy)
        assert (x.grad == expected).all() and (dy == before).all()
        x.grad += 1
        assert (dy == before).all()


def test_a_part_of_something_larger_does_not_keep_the_rest_alive(pair):
    pair("exp", fresh_rows, lambda dy, shape: (np.concatenate([dy, dy])[: len(dy)],))
    x = leaf(1.0, 2.0)
    total(apply("exp", x)).backward()
    assert x.grad.base is None


def test_one_number_broadcast_to_one_element_is_not_written_to(pair):
    pair("exp", fresh_rows, lambda dy, shape: (np.broadcast_to(dy.sum(), shape),))
    x = leaf(1.0)
    y = x * 1.0
    total(y + apply("exp", y)).backward()
    assert x.grad.tolist() == [2]


def test_views_of_one_new_array_for_two_inputs_stay_apart(pair):
    def backward(dy, saved):
        both = np.stack([dy, dy])
        return both[0], both.reshape(2, -1)[1]

    pair("mul", lambda a, b: (a * b, None), backward)
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    s = a * 1.0
    total(apply("mul", s, b) + s).backward()
    a.grad += 10
    assert b.grad.tolist() == [1, 1]

    def all_of_it(dy, saved):
        both = dy.copy()
        return both.reshape(2, 1)[:, 0], both.reshape(1, 2)[0]

    pair("mul", lambda a, b: (a * b, None), all_of_it)
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    s, t = a * 1.0, b + 0.0
    total(apply("mul", s, t) + s + t).backward()
    assert a.grad.tolist() == [2, 2] and b.grad.tolist() == [2, 2]


# --- several outputs, None gradients -----------------------------------------------------------------------------


def test_unused_outputs_count_as_zero():
    x = Tensor(np.arange(6.0), requires_grad=True)
    _, middle, _ = apply("split", x, sizes=(2, 2, 2))
    total(middle * middle).backward()
    assert x.grad.tolist() == [0, 0, 4, 6, 0, 0]


def test_every_output_of_a_node_brings_its_gradient():
    x = Tensor(np.arange(4.0), requires_grad=True)
    left, right = apply("split", x, sizes=(2, 2))
    total(left * right + left).backward()
    assert x.grad.tolist() == [3, 4, 0, 1]


def test_a_none_gradient_blocks_its_branch_and_no_other(pair):
    pair("exp", lambda x: (np.exp(x), None), lambda dy, saved: (None,))
    x, z = leaf(1.0), leaf(2.0)
    y = x * x  # reached through the blocked branch and through the open one
    steps = list(total(apply("exp", y * z) + y).backward_steps())
    assert x.grad.tolist() == [2] and z.grad is None
    blocked = [s for s in steps if s.dy is None]
    assert [s.op for s in blocked] == ["mul"] and blocked[0].grads == (None, None)


def test_integers_carry_no_gradient():
    table = Tensor(np.ones((5, 2)), requires_grad=True)
    total(apply("embedding", np.array([1, 1, 3]), table)).backward()
    assert table.grad[:, 0].tolist() == [0, 2, 0, 1, 0]
    with pytest.raises(TypeError, match="float32 and float64 Tensors can require"):
        Tensor(np.array([1, 2]), requires_grad=True)


# --- the walk ----------------------------------------------------------------------------------------------------


def test_steps_name_the_op_its_gradients_and_where_they_go():
    x, w = leaf(2.0, 3.0), leaf(5.0, 7.0)
    steps = total(x * w).backward_steps()
    first = next(steps)
    assert (first.op, first.inputs) == ("sum", ("mul",)) and first.dy == 1 and first.grads[0].tolist() == [1, 1]
    assert x.grad is None  # mul has not run yet
    second = next(steps)
    assert (second.op, second.version) == ("mul", "reference")
    assert second.inputs == (x, w) and second.grads[0].tolist() == [5, 7] and second.grads[1].tolist() == [2, 3]
    assert list(steps) == []
    assert x.grad.tolist() == [5, 7]


def test_steps_keep_their_gradients_while_the_walk_goes_on():
    x = leaf(1.0, 2.0)
    y = apply("exp", x)
    steps, then = [], []
    for step in total(y * x + (y * y + x * x)).backward_steps():
        steps.append(step)
        then.append([None if g is None else g.tolist() for g in step.grads])
    assert [[None if g is None else g.tolist() for g in step.grads] for step in steps] == then


def test_steps_of_a_node_with_several_outputs_get_a_tuple():
    x = Tensor(np.arange(4.0), requires_grad=True)
    parts = apply("split", x, sizes=(2, 2))
    *_, last = total(parts[1]).backward_steps()
    assert [d.tolist() for d in last.dy] == [[0, 0], [1, 1]]


def test_saved_is_dropped_as_soon_as_its_backward_has_run(no_gc):
    x = leaf(*range(1000))
    made = []
    y = x
    for _ in range(4):
        y = apply("tanh", y * 0.5)
        made.append(weakref.ref(y.data))
    loss = total(y)
    del y
    alive = [sum(m() is not None for m in made) for _ in loss.backward_steps()]
    assert alive[0] == 4 and alive[-1] == 0
    assert sorted(alive, reverse=True) == alive and set(alive) == {4, 3, 2, 1, 0}


def test_the_walk_holds_no_gradient_that_it_has_passed_on(no_gc):
    x = leaf(*range(1000))
    y = x
    for _ in range(6):
        y = apply("exp", y * 0.0)
    seen = []
    for step in total(y).backward_steps():
        seen.append(weakref.ref(step.grads[0]))
        assert sum(s() is not None for s in seen) <= 2  # the dy and the gradient of the Step at hand


def test_backward_gives_a_leaf_a_new_gradient_without_a_copy(pair):
    new = np.array([3.0, 4.0])
    pair("exp", lambda x: (np.exp(x), None), lambda dy, saved: new)
    x = leaf(1.0, 2.0)
    total(apply("exp", x)).backward()
    assert x.grad is new


def test_intermediate_gradients_are_kept_only_where_asked():
    x = leaf(2.0)
    kept, other = (x * x).retain_grad(), x * x
    total(kept * other).backward()
    assert kept.grad.tolist() == [4] and other.grad is None
    assert x.retain_grad() is x
    with pytest.raises(RuntimeError, match="no gradient to retain"):
        Tensor([1.0]).retain_grad()


def test_retain_grad_on_one_of_several_outputs():
    x = Tensor(np.arange(4.0), requires_grad=True)
    left, right = apply("split", x, sizes=(2, 2))
    right.retain_grad()
    total(left * right).backward()
    assert right.grad.tolist() == [0, 1] and left.grad is None


# --- what is refused ---------------------------------------------------------------------------------------------


def test_second_backward_through_a_freed_graph():
    x = leaf(2.0)
    y = apply("exp", x)
    total(y).backward()
    before = x.grad.copy()
    with pytest.raises(RuntimeError, match=r"graph through exp has been freed by an earlier backward"):
        total(y).backward()
    assert x.grad == before


def test_a_walk_left_halfway_cannot_be_taken_up_again():
    loss = total(apply("exp", leaf(1.0)))
    next(loss.backward_steps())
    with pytest.raises(RuntimeError, match="has been freed"):
        loss.backward()


def test_a_backward_that_failed_cannot_be_taken_up_again(pair):
    """Else a gradient that was kept would be counted twice, and arrays that it had begun to write over be trusted."""

    def backward(dy, saved):
        saved *= dy
        raise ArithmeticError("no")

    pair("tanh", lambda x: (np.tanh(x), 1 - np.tanh(x) ** 2), backward)
    x = leaf(1.0)
    y = apply("tanh", x).retain_grad()
    with pytest.raises(ArithmeticError):
        y.backward(np.array([2.0]))
    with pytest.raises(RuntimeError, match="has been freed by an earlier backward"):
        y.backward(np.array([2.0]))
    assert y.grad.tolist() == [2] and x.grad is None


def test_backward_without_a_graph_or_a_starting_gradient():
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor([1.0]).backward()
    y = leaf(1.0, 2.0) * 2.0
    with pytest.raises(RuntimeError, match=re.escape("shape (2,): reduce it")):
        y.backward()
    with pytest.raises(ValueError, match=re.escape("expected a gradient of shape (2,), got (3,)")):
        y.backward(np.ones(3))


def test_dtypes_that_do_not_mix():
    with pytest.raises(TypeError, match=re.escape("mul: float32 and float64 don't mix, got float64(1,), float32(1,)")):
        leaf(1.0) * leaf(1.0, dtype=np.float32)
    with pytest.raises(TypeError, match="expected float32, float64, integers or booleans, got float16"):
        Tensor(np.zeros(2, np.float16))
    with pytest.raises(TypeError, match="add: expected float32 or float64, got complex128"):
        apply("add", leaf(1.0), np.zeros(1, complex))


def test_float32_stays_float32():
    x = leaf(1.0, 2.0, dtype=np.float32)
    loss = total(apply("exp", x * 2.0) + 1.0)
    loss.backward()
    assert loss.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize(
    "grads, error, message",
    [
        (lambda dy: (dy, dy), ValueError, "forward took 1, backward returned 2"),
        (lambda dy: (dy.sum(),), ValueError, r"should be float64\(2,\) like input 0, backward returned float64\(\)"),
        (
            lambda dy: (dy.astype(np.float32),),
            ValueError,
            r"float64\(2,\) like input 0, backward returned float32\(2,\)",
        ),
        (lambda dy: (Tensor(dy),), TypeError, "returned a Tensor"),
        (lambda dy: ([1.0, 2.0],), TypeError, "should be an array, backward returned list"),
    ],
)
def test_a_pair_that_breaks_the_contract_is_named(pair, grads, error, message):
    pair("exp", lambda x: (np.exp(x), None), lambda dy, saved: grads(dy))
    x = leaf(1.0, 2.0)
    with pytest.raises(error, match=r"exp\[yours\]: .*" + message):
        total(apply("exp", x)).backward()
    assert x.grad is None


def test_a_lone_array_is_taken_for_a_lone_gradient(pair):
    pair("exp", lambda x: (np.exp(x), None), lambda dy, saved: 3 * dy)
    x = leaf(1.0, 2.0)
    total(apply("exp", x)).backward()
    assert x.grad.tolist() == [3, 3]


# --- modes -------------------------------------------------------------------------------------------------------


def test_no_grad_puts_nothing_on_the_tape_and_nests():
    x = leaf(1.0)
    with tg.no_grad():
        with tg.no_grad():
            pass
        assert (x * x).node is None and not (x * x).requires_grad
    assert (x * x).node is not None
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert (x * x).node is not None


def test_no_grad_in_one_thread_leaves_the_tape_of_another():
    x, inside, done = leaf(1.0), threading.Event(), threading.Event()

    def generating():
        with tg.no_grad():
            inside.set()
            done.wait(10)

    other = threading.Thread(target=generating)
    other.start()
    try:
        assert inside.wait(10)
        with tg.no_grad():  # opened while the other is open, closed before it
            pass
        assert (x * x).node is not None
    finally:
        done.set()
        other.join()
    assert (x * x).node is not None


def test_detach_cuts_the_graph():
    x = leaf(3.0)
    total(x * (x * x).detach()).backward()
    assert x.grad.tolist() == [9]


def test_debug_refuses_writing_to_what_backward_needs():
    x = leaf(1.0, 2.0)
    with tg.debug():
        loss = total(x * x)
        with pytest.raises(ValueError, match="read-only"):
            x.data *= 2
        loss.backward()
        x.data *= 2
    assert x.grad.tolist() == [2, 4] and x.data.tolist() == [2, 4]


def test_debug_finds_arrays_inside_what_is_saved():
    """A pair of the user's may save what it likes."""
    nested = tg.register("exp", lambda x: (np.exp(x), {"inside": [(None, x)]}), lambda dy, saved: (dy,))
    try:
        x = leaf(1.0, 2.0)
        with tg.debug():
            y = apply("exp", x)
            with pytest.raises(ValueError, match="read-only"):
                x.data[0] = 1
        del y
        x.data[0] = 1
    finally:
        tg.unregister(nested)


def test_debug_lets_go_of_a_graph_that_is_thrown_away():
    x = leaf(1.0)
    with tg.debug():
        y = x * x
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 5
    del y
    x.data[0] = 5


def test_debug_locks_a_view_through_its_base_and_the_base_through_its_view():
    base = np.arange(4.0)
    left, right = Tensor(base[:2], requires_grad=True), Tensor(base[2:], requires_grad=True)
    with tg.debug():
        one, two = total(left * left), total(right * right)
    with pytest.raises(ValueError, match="read-only"):
        base[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        left.data += 1
    one.backward()
    with pytest.raises(ValueError, match="read-only"):
        right.data += 1  # the other half still needs the common base
    two.backward()
    left.data += 1
    right.data += 1
    base += 1
    assert base.tolist() == [2, 3, 4, 5]


def test_debug_leaves_an_array_read_only_that_was_so_before():
    fixed = np.arange(2.0)
    fixed.flags.writeable = False
    x = Tensor(fixed, requires_grad=True)
    with tg.debug():
        total(x * x).backward()
    assert not fixed.flags.writeable and x.grad.tolist() == [0, 2]


def test_without_debug_nothing_takes():
    x = leaf(1.0)
    y = x * x
    x.data[0] = 3
    assert y.data[0] == 1


# --- memory ------------------------------------------------------------------------------------------------------


def graph():
    """A small net's loss, with weak references to its Nodes and their arrays."""
    x = leaf(0.5, -1.0, 2.0)
    h = apply("tanh", x * x)
    left, right = apply("split", apply("concatenate", h, x), sizes=(3, 3))
    s = apply("softmax", left * right)
    loss = total(s * s)
    watched = [weakref.ref(o) for o in (h.node, h.data, left.node, s.node, s.data, loss.node, loss.data)]
    return x, loss, watched


def assert_gone(watched):
    assert [w() for w in watched] == [None] * len(watched)
    assert gc.collect() == 0


def test_a_graph_is_gone_at_once_without_backward(no_gc):
    _x, loss, watched = graph()
    del loss
    assert_gone(watched)


def test_a_graph_is_gone_at_once_after_backward(no_gc):
    x, loss, watched = graph()
    loss.backward()
    del loss
    assert_gone(watched)
    assert x.grad is not None


def test_a_graph_is_gone_at_once_after_a_walk_left_halfway(no_gc):
    _x, loss, watched = graph()
    walk = loss.backward_steps()
    next(walk)
    next(walk)
    del walk, loss
    assert_gone(watched)


def test_a_graph_is_gone_at_once_after_an_error_in_backward(no_gc, pair):
    def backward(dy, saved):
        raise ArithmeticError("no")

    pair("tanh", lambda x: (np.tanh(x), None), backward)
    _x, loss, watched = graph()
    try:
        loss.backward()
    except ArithmeticError as error:
        assert str(error) == "no"
    else:
        raise AssertionError("backward should have raised")
    del loss
    assert_gone(watched)


def test_retain_grad_and_debug_make_no_cycles(no_gc):
    with tg.debug():
        x = leaf(0.5, -1.0)
        h = apply("exp", x).retain_grad()
        loss = total(h * h)
        watched = [weakref.ref(h.node), weakref.ref(h), weakref.ref(loss.node)]
        loss.backward()
        assert h.grad is not None
        del h, loss
    assert_gone(watched)


DEEP = 100_000


def deep():
    x = leaf(1.0)
    y = x
    for _ in range(DEEP):
        y = y + 0.0
    return x, y


def test_a_graph_100_000_nodes_deep():
    x, y = deep()
    y.backward()
    assert x.grad.tolist() == [1]


def test_a_deep_graph_is_deleted_without_backward(no_gc):
    _x, y = deep()
    node = weakref.ref(y.node)
    del y
    assert node() is None
    assert gc.collect() == 0


# --- Tensors -----------------------------------------------------------------------------------------------------


def test_tensors_from_python_values():
    assert Tensor([1.0, 2.0]).dtype == np.float32 and Tensor(3).dtype == np.int64
    assert Tensor(np.array([1.0])).dtype == np.float64 and Tensor([True]).dtype == np.bool_
    assert Tensor([1.5], dtype=np.float64).dtype == np.float64
    assert Tensor(Tensor([1.0])).is_leaf and len(Tensor([1.0, 2.0])) == 2
    assert Tensor(2.5).item() == 2.5
    with pytest.raises(ValueError, match="item: expected a Tensor with one element"):
        Tensor([1.0, 2.0]).item()


def test_repr_tells_where_a_tensor_comes_from():
    x = leaf(1.0)
    assert repr(x) == "Tensor([1.], float64, requires_grad=True)"
    assert repr(x * x) == "Tensor([1.], float64, by=mul)"


def test_an_array_on_the_left_asks_the_tensor():
    x = leaf(1.0, 2.0)
    y = np.array([3.0, 4.0]) * x
    assert isinstance(y, Tensor) and y.data.tolist() == [3, 8]
