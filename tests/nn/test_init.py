"""Initial values: their spread, their seed, and what is refused."""

import math

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import nn
from tinygrad_gpt.nn import Parameter, init


def empty(*shape) -> Parameter:
    return Parameter(np.full(shape, np.nan, np.float32))


def spread(fill, *shape) -> tuple[float, float, float]:
    """(standard deviation, smallest, largest) of what `fill` writes."""
    x = fill(empty(*shape)).data
    assert abs(x.mean()) < 4 * x.std() / math.sqrt(x.size)
    return x.std(), x.min(), x.max()


def test_values_are_written_in_place_and_the_tensor_returned():
    p = empty(3, 4)
    array = p.data
    for fill in (init.zeros_, init.ones_, init.normal_, init.uniform_, lambda t: init.constant_(t, 2.5), init.eye_):
        assert fill(p) is p and p.data is array and np.isfinite(array).all()
    assert (array == np.eye(3, 4)).all() and p.dtype == np.float32 and p.requires_grad


def test_the_same_seed_gives_the_same_numbers():
    def drawn(seed):
        tg.manual_seed(seed)
        return [init.normal_(empty(3)).data, init.uniform_(empty(3)).data, init.orthogonal_(empty(2, 3)).data]

    assert all((a == b).all() for a, b in zip(drawn(1), drawn(1), strict=True))
    assert not any((a == b).any() for a, b in zip(drawn(1), drawn(2), strict=True))


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda t: init.normal_(t, std=0.02), 0.02, None),
        (lambda t: init.uniform_(t, -3.0, 3.0), 3 / math.sqrt(3), 3.0),
        (init.xavier_normal_, math.sqrt(2 / 700), None),
        (lambda t: init.xavier_uniform_(t, gain=2.0), 2 * math.sqrt(2 / 700), 2 * math.sqrt(6 / 700)),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / 400), None),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="linear"), math.sqrt(1 / 300), None),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), math.sqrt(1 / 1200), math.sqrt(1 / 400)),
        (lambda t: init.trunc_normal_(t, std=0.5, a=-10, b=10), 0.5, 10.0),
        (lambda t: init.trunc_normal_(t, a=-0.5, b=0.5), 0.2841, 0.5),  # nearly flat: 1/√12 is 0.2887
        (lambda t: init.orthogonal_(t, gain=3.0), 3 / math.sqrt(400), None),
    ],
)
def test_spreads(fill, std, bound):
    tg.manual_seed(7)
    got, low, high = spread(fill, 300, 400)
    assert got == pytest.approx(std, rel=0.02)
    assert bound is None or -bound <= low < high <= bound


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (3, 2, 4)])
def test_an_orthogonal_matrix_has_orthonormal_rows_or_columns(shape):
    x = init.orthogonal_(empty(*shape)).data.reshape(shape[0], -1)
    product = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_gains():
    assert [init.calculate_gain(name) for name in ("linear", "tanh", "relu")] == [1, 5 / 3, math.sqrt(2)]
    assert init.calculate_gain("leaky_relu", 2.0) == math.sqrt(2 / 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: init.normal_(np.ones(3)), TypeError, "normal_: expected a Tensor of floats, got array"),
        (lambda: init.zeros_(tg.tensor([1, 2])), TypeError, "zeros_: expected a Tensor of floats"),
        (lambda: init.xavier_normal_(empty(3)), ValueError, "xavier_normal_: expected a Tensor with two axes or more"),
        (lambda: init.kaiming_normal_(empty(3, 3), mode="fan"), ValueError, 'expected mode="fan_in" or "fan_out"'),
        (lambda: init.kaiming_normal_(empty(3, 3), nonlinearity="gelu"), ValueError, "expected nonlinearity linear,"),
        (lambda: init.trunc_normal_(empty(3), a=5, b=6), ValueError, "trunc_normal_: expected a and b around the mean"),
        (lambda: init.eye_(empty(3)), ValueError, "eye_: expected a matrix"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_apply_gives_a_model_its_weights():
    """As nanoGPT does."""

    def start(module):
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                init.ones_(module.bias)

    net = nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 200)).apply(start)
    assert net[0].weight.data.std() == pytest.approx(0.02, rel=0.03) and (net[2].bias.data == 1).all()
