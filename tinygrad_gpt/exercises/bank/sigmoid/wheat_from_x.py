"""It saves x: the slope is σ(x) σ(-x), with σ written by tanh."""

import numpy as np


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def forward(x):
    return sigmoid(x), x


def backward(dy, saved):
    return (dy * sigmoid(saved) * sigmoid(-saved),)
