"""With np.pad, on both sides at once, and with other tokens as padding."""

import numpy as np


def padding_counts(model, texts):
    width = 3 + max(map(len, texts))
    alone = [model(text[None, :], np.full((1, len(text)), True))[0] for text in texts]
    for left in (0, 1, 3):
        sides = [(left, width - left - len(text)) if left < 3 else (width - len(text), 0) for text in texts]
        ids = np.stack([np.pad(text, side, constant_values=7) for text, side in zip(texts, sides, strict=True)])
        real = np.stack([np.pad(np.ones(len(t), bool), side) for t, side in zip(texts, sides, strict=True)])
        logits = model(ids, real)
        if any(np.abs(logits[b][real[b]] - alone[b]).max() > 1e-8 for b in range(len(texts))):
            return True
    return False
