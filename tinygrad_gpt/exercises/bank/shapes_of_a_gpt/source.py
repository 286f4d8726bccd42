"""The shapes in a GPT.

A batch of 8 texts of 50 tokens goes into a GPT with a vocabulary of 65, 128 channels and 4 heads. Write the shape of
each array in place of the dots, as a tuple: (8, 50).

    embedded        the tokens' vectors
    queries         the queries, by head: batch, heads, tokens, and the channels of one head
    scores          what the softmax of the attention takes
    attended        what the attention's output layer takes: the heads side by side
    hidden          between the two layers of the feed-forward, which is four times as wide
    logits          what the model returns
    loss            its loss
    d_embedded      the gradient of the loss by `embedded`
    d_table         the gradient of the loss by the token table
    next_queries    the queries, by head, when the 51st token is written with a cache
    next_scores     and the scores
"""

# BEGIN SOLUTION
# STUB: ANSWERS = {
# STUB:     "embedded": ...,
# STUB:     "queries": ...,
# STUB:     "scores": ...,
# STUB:     "attended": ...,
# STUB:     "hidden": ...,
# STUB:     "logits": ...,
# STUB:     "loss": ...,
# STUB:     "d_embedded": ...,
# STUB:     "d_table": ...,
# STUB:     "next_queries": ...,
# STUB:     "next_scores": ...,
# STUB: }
B, T, V, C, H = 8, 50, 65, 128, 4
ANSWERS = {
    "embedded": (B, T, C),
    "queries": (B, H, T, C // H),
    "scores": (B, H, T, T),
    "attended": (B, T, C),
    "hidden": (B, T, 4 * C),
    "logits": (B, T, V),
    "loss": (),
    "d_embedded": (B, T, C),  # a gradient has the shape of what it belongs to
    "d_table": (V, C),
    "next_queries": (B, H, 1, C // H),
    "next_scores": (B, H, 1, T + 1),
}
# END SOLUTION
