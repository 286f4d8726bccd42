"""Count the parameters of GPT-2.

The small GPT-2 has a vocabulary of V = 50257 tokens, T = 1024 positions, C = 768 channels, 12 heads and 12 blocks:

    x = token table + position table
    x = x + attention(norm(x))        in each block: q, k, v by one linear layer C -> 3C, the output by another C -> C
    x = x + feed_forward(norm(x))     in each block: linear C -> 4C, gelu, linear 4C -> C
    logits = norm(x) · token table    the head has no table of its own, and no bias

Each linear layer has a bias. Each norm has a weight and a bias of C numbers. Write whole numbers in place of the dots;
every digit counts. A calculator helps; products such as 768 * 4 may stand as they are.

    tables           the parameters of the two tables
    attention        those of one block's attention, without its norm
    block            those of one block, with its two norms
    all              those of the model
    with_24_heads    those of the same model with 24 heads in place of 12
    training_bytes   the bytes that AdamW needs for it in float32, 4 for each number: weights, gradients, its two means
"""

# BEGIN SOLUTION
# STUB: ANSWERS = {
# STUB:     "tables": ...,
# STUB:     "attention": ...,
# STUB:     "block": ...,
# STUB:     "all": ...,
# STUB:     "with_24_heads": ...,
# STUB:     "training_bytes": ...,
# STUB: }
C = 768
TABLES = (50257 + 1024) * C
ATTENTION = C * 3 * C + 3 * C + C * C + C
BLOCK = ATTENTION + C * 4 * C + 4 * C + 4 * C * C + C + 2 * 2 * C
ALL = TABLES + 12 * BLOCK + 2 * C  # and the last norm
ANSWERS = {
    "tables": TABLES,
    "attention": ATTENTION,
    "block": BLOCK,
    "all": ALL,
    "with_24_heads": ALL,  # the same channels, cut into more pieces
    "training_bytes": 4 * 4 * ALL,
}
# END SOLUTION
