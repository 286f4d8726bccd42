"""Dropout's mistakes. Right is dx = dy / (1 - p) where the element was kept, and 0 where it was dropped."""

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward, wrong_forward
from tinygrad_gpt.ops.dropout import Saved
from tinygrad_gpt.random_stream import keep_mask


@wrong_backward(
    "D01",
    "the scale 1 / (1 - p) is left out",
    why="forward makes what it keeps larger by that factor, and so is the slope larger",
    look="by how much does y grow where x was kept and grows by 1?",
)
def scale_lost(dy, saved):
    keep = keep_mask(saved.seed, dy.shape, saved.p, like=dy)
    return (np.where(keep, dy, 0.0),)


@wrong_backward(
    "D02",
    "scaled by 1 / (1 - p) twice",
    why="forward scales once. Where the mask holds the scale already, it must not be scaled again",
    look="how many times does 1 / (1 - p) stand in forward?",
)
def scaled_twice(dy, saved):
    keep = keep_mask(saved.seed, dy.shape, saved.p, like=dy)
    return (np.where(keep, dy * (1 / (1 - saved.p)) ** 2, 0.0),)


@wrong_backward(
    "D03",
    "a new mask is drawn in backward",
    why="an element that forward dropped is not in y, and gets nothing, whatever another mask says of it",
    look="does an element that is 0 in y get a gradient?",
    source="seen in kaldi #3890",
)
def drawn_anew(dy, saved):
    keep = keep_mask(saved.seed + 1, dy.shape, saved.p, like=dy)
    return (np.where(keep, dy * (1 / (1 - saved.p)), 0.0),)


@wrong_backward(
    "D04",
    "the mask is turned round: dropped elements get the gradient, kept ones get 0",
    why="a dropped element is not in y and moves nothing. A kept one does",
    look="is the mask True where an element is kept or where it is dropped?",
)
def turned_round(dy, saved):
    keep = keep_mask(saved.seed, dy.shape, saved.p, like=dy)
    return (np.where(keep, 0.0, dy * (1 / (1 - saved.p))),)


@wrong_backward(
    "D06",
    "the scale alone, without the mask: dy / (1 - p) everywhere",
    why="an element that was dropped is not in y, so that its gradient is 0",
    look="does y change when an element that was dropped does?",
)
def mask_lost(dy, saved):
    return (dy * (1 / (1 - saved.p)),)


@wrong_forward(
    "D07",
    "what is kept is not scaled up by 1 / (1 - p)",
    why="without it y is smaller in training than in evaluation, where nothing is dropped: by 1 - p in the mean",
    look="what is the mean of y over many masks, and what is x?",
)
def not_scaled_up(x, *, p, seed):
    return np.where(keep_mask(seed, x.shape, p, like=x), x, 0.0), Saved(p, seed)


@wrong_forward(
    "D08",
    "p is taken for the probability to keep an element",
    why="p says how many are dropped: with p = 0 all are kept, and y is x",
    look="what should y be for p = 0?",
)
def p_kept(x, *, p, seed):
    keep = keep_mask(seed, x.shape, 1 - p, like=x)
    return np.where(keep, x / p, 0.0), Saved(p, seed)
