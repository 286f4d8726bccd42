"""no_grad and debug: around blocks, functions and generators, entered again, and of one thread only."""

import asyncio
import threading

import numpy as np
import pytest

import tinygrad_gpt as tg


def is_on() -> bool:
    """Whether the tape is on."""
    x = tg.Tensor(np.ones(2, np.float32), requires_grad=True)
    return (x * 2).requires_grad


def test_one_object_may_be_entered_again_and_inside_itself():
    mode = tg.no_grad()
    for _ in range(2):
        with mode:
            with mode:
                assert not is_on()
            assert not is_on()
        assert is_on()


@pytest.mark.parametrize("decorate", [tg.no_grad, tg.no_grad()])
def test_a_function_is_decorated_with_and_without_parentheses(decorate):
    @decorate
    def evaluate(x, *, times=1):
        """What it does."""
        return [is_on()] * x * times

    assert evaluate(2, times=2) == [False] * 4 and evaluate(1) == [False] and is_on()
    assert evaluate.__name__ == "evaluate" and evaluate.__doc__ == "What it does."


def test_the_mode_ends_when_the_function_fails():
    @tg.no_grad()
    def fail():
        raise KeyError("whatever")

    with pytest.raises(KeyError):
        fail()
    assert is_on()


def test_a_generator_runs_in_the_mode_and_who_iterates_does_not():
    ended = []

    @tg.no_grad()
    def steps():
        try:
            got = yield is_on()
            yield got, is_on()
            return "the end"
        finally:
            ended.append(is_on())

    walk = steps()
    assert next(walk) is False and is_on()
    assert walk.send(7) == (7, False) and is_on()
    with pytest.raises(StopIteration) as end:
        next(walk)
    assert end.value.value == "the end" and ended == [False]
    left = steps()
    next(left)
    left.close()
    assert ended == [False, False] and is_on()


def test_what_is_thrown_into_a_generator_reaches_it():
    @tg.no_grad()
    def steps():
        while True:
            try:
                yield is_on()
            except KeyError as error:
                yield str(error), is_on()

    walk = steps()
    next(walk)
    assert walk.throw(KeyError("this")) == ("'this'", False) and is_on()
    assert next(walk) is False
    with pytest.raises(OSError, match="that"):
        walk.throw(OSError("that"))
    assert is_on()


@pytest.mark.parametrize("mode", [False, True])
def test_set_grad_enabled_decorates_and_leaves_the_thread_as_it_was(mode):
    with tg.set_grad_enabled(not mode):

        @tg.set_grad_enabled(mode)
        def inside():
            return is_on()

        @tg.set_grad_enabled(mode)
        def steps():
            yield is_on()

        assert (is_on(), inside(), inside(), is_on()) == (not mode, mode, mode, not mode)
        assert [*steps()] == [mode]
    with pytest.raises(TypeError, match="set_grad_enabled: expected a function to decorate, got 3"):
        tg.set_grad_enabled(mode)(3)
    assert is_on()


def test_a_coroutine_runs_in_the_mode_and_others_do_not():
    @tg.no_grad()
    async def evaluate(entered, left):
        before = is_on()
        entered.set()
        await left.wait()
        return before, is_on()

    async def both():
        entered, left = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(evaluate(entered, left))
        await entered.wait()
        outside = is_on()
        left.set()
        return outside, await task

    assert asyncio.run(both()) == (True, (False, False))


def test_a_decorated_function_is_in_the_mode_in_its_own_thread_only():
    inside, outside, seen = threading.Event(), threading.Event(), []

    @tg.no_grad()
    def wait():
        inside.set()
        outside.wait(10)
        seen.append(is_on())

    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait(10)
    assert is_on()
    outside.set()
    thread.join(10)
    assert seen == [False]


def test_what_is_missing_is_said():
    with pytest.raises(TypeError, match=r"no_grad: call it, `with no_grad\(\):`"), tg.no_grad:
        pass
    with pytest.raises(TypeError, match="no_grad: expected a function to decorate, got 3"):
        tg.no_grad(3)
    with pytest.raises(TypeError, match="debug: expected a function to decorate, got None"):
        tg.debug()(None)


def test_debug_decorates_too():
    @tg.debug
    def product(x):
        return x * x

    x = tg.Tensor(np.ones(2), requires_grad=True)
    y = product(x)
    with pytest.raises(ValueError, match="read-only"):
        x.data *= 2
    y.sum().backward()
    x.data *= 2
