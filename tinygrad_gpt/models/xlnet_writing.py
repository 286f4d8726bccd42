"""How an XLNet writes, which was made to fill in: it asks for the token at the place after the text, again and again.

    place     1 2 3 4
    h_1 h_2 h_3           the text
    g_4       ■ ■ ■       what comes behind it?

A query knows its place by distance alone, and so may ask for a place where no token stands. (transformers puts a dummy
token there, and hides it from all others: in one call, without mems, the same numbers, one token more.)

With attn_type "uni" no token of the text will ever see the next one. So what was read goes into the memory at once, and
each new token costs one. With "bi" the text's tokens see each other, as in training, and the new one too: the text has
to be read again for each token. When it has grown to mem_len tokens, it becomes memory, as the segment before is in the
paper's training (here, training has the first half in its place), and a new window begins behind it. So a text may
become longer than any that the model was trained on. Where a window ends is counted in columns, padding included: what
is written behind a padded prompt depends on how far it is padded, once the text has passed mem_len.
"""

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.models.inputs import as_ids
from tinygrad_gpt.models.xlnet import Memory, XLNet
from tinygrad_gpt.tensor import plain_array


class XLNetCache:
    """What an XLNet has read of R texts that it writes.

    memory  n_layer of (R, M, C); None: there is none yet
    window  (R, T) integers: the tokens behind it, which are read again
    """

    def __init__(self, rows: int):
        self.memory: Memory | None = None
        self.window = np.empty((rows, 0), np.int64)

    def clear(self) -> None:
        """Forget all."""
        self.memory, self.window = None, self.window[:, :0]

    def select(self, rows: np.ndarray) -> None:
        """Keep these of the texts: rows (R,), in this order; one that comes twice is kept twice."""
        self.window = self.window[rows]
        if self.memory is not None:
            index = np.asarray(rows, like=self.memory[0])
            self.memory = tuple([array[index] for array in self.memory])


def ask_for_next(model: XLNet, ids, cache: XLNetCache, attention_mask=None) -> Tensor:
    """ids (R, T), the tokens after those that the cache knows of -> (R, C): what the model makes of the place after
    them. The cache then knows of these tokens too.

    attention_mask  (R, all tokens so far): 1 for a token to look at, 0 for padding
    """
    new = to_numpy(as_ids(ids, "XLNet", "input_ids"))
    if len(new) != len(cache.window):
        raise ValueError(f"XLNet: expected ids of {len(cache.window)} texts, as the cache, got {len(new)}")
    known = None if attention_mask is None else plain_array(attention_mask, "attention_mask")
    window, is_uni = np.concatenate([cache.window, new], axis=1), model.config.attn_type == "uni"
    behind = window.shape[1]  # tokens that no reading has gone past yet

    def padding(length: int):
        """That of the memory and of the first `length` tokens of the window."""
        if known is None:
            return None
        m, end = 0 if cache.memory is None else cache.memory[0].shape[1], known.shape[1] - behind + length
        return known[:, end - length - m : end]

    while not is_uni and model.mem_len is not None and behind > model.mem_len:
        first = window[:, : model.mem_len]
        cache.memory = model.read(first, memory=cache.memory, padding=padding(model.mem_len)).memory
        window, behind = window[:, model.mem_len :], behind - model.mem_len
    streams = model.read(
        window,
        memory=cache.memory,
        padding=padding(behind),
        targets=np.full((len(window), 1), behind),
        content=False,
        remember=is_uni,
    )
    if is_uni:
        cache.memory, window = streams.memory, window[:, :0]
    cache.window = window
    return streams.query[:, 0]  # (R, 1, C) -> (R, C)
