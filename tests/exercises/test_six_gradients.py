"""The numbers that the exercise six_gradients shows are those of the bank's mistakes."""

import math

import numpy as np
import pytest

from tinygrad_gpt.check import mistakes
from tinygrad_gpt.exercises.exercise import find
from tinygrad_gpt.kernels import registry

ROW = np.array([[1.0, 2, 3, 6]])
NORM = (ROW, np.ones(4), np.zeros(4))
LOGITS = np.log([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
SHOWN = {
    "softmax": ((np.log([0.5, 0.3, 0.2]),), np.array([2.0, -1, 1]), "0.55  -0.57   0.02", "0.50  -0.21   0.16"),
    "layer_norm": (NORM, np.eye(4)[:1], "0.25  -0.21  -0.13   0.10", "0.40  -0.13  -0.13  -0.13"),
    "cross_entropy": (
        (LOGITS, np.array([0, -100, 2])),
        np.array(1.0),
        "-0.25   0.13   0.13  |  0   0   0  |  0.05   0.40  -0.45",
        "-0.17   0.08   0.08  |  0   0   0  |  0.03   0.27  -0.30",
    ),
}


@pytest.mark.parametrize("op", SHOWN)
def test_the_numbers_are_those_of_the_mistake(op):
    exercise, (arrays, dy, right, wrong) = find("six_gradients"), SHOWN[op]
    mistake = mistakes.by_id(exercise.solution.ANSWERS[op])
    assert mistake.op == op
    for backward, shown in ((registry.reference(op).backward, right), (mistake.backward, wrong)):
        assert shown in exercise.cut.stub
        numbers = [float(x) for x in shown.replace("|", " ").split()]
        gradient = backward(dy, registry.reference(op).forward(*arrays)[1])[0]
        np.testing.assert_allclose(np.ravel(gradient), numbers, atol=0.0051)


def test_the_factor_of_attention_is_that_of_the_mistake():
    op, mistake = registry.reference("attention"), mistakes.by_id(find("six_gradients").solution.ANSWERS["attention"])
    for size in (4, 9):
        q, k, v, dy = np.random.default_rng(0).normal(size=(4, 1, 1, 3, size))
        _, saved = op.forward(q, k, v)
        right, wrong = op.backward(dy, saved), mistake.backward(dy, saved)
        for i, factor in enumerate((math.sqrt(size), math.sqrt(size), 1)):
            np.testing.assert_allclose(wrong[i], factor * right[i])
