"""The mistakes that a probe points at: no wrong backward, but a wrong model, optimiser or loop.

Ids are stable, and of one list with those of check/mistakes, whose letters they share; T is for the loop. Each was seen
in published code, or in the issues about it.
"""

from typing import NamedTuple


class ModelMistake(NamedTuple):
    """sentence  what was done; look: where to see it"""

    sentence: str
    look: str


MISTAKES = {
    id: ModelMistake(sentence, look)
    for id, sentence, look in (
        ("A10", "the softmax runs over the queries", "its axis is the last one, that of the keys"),
        (
            "A11",
            "scores are not divided by the root of D, the channels of one head",
            "the attention's scale: 1/√D, neither 1 nor 1/√C with C = H · D",
        ),
        (
            "A12",
            "heads were cut out by a reshape alone, which mixes places",
            "(B, T, C) -> (B, T, H, D) by reshape and then -> (B, H, T, D) by transpose; and the same way back",
        ),
        ("A13", "the mask lets each place see the next token", "place t may see s <= t: np.tril(ones), with k=0"),
        ("A14", "the mask is not used", "does it reach the scores before the softmax (causal=True)?"),
        (
            "A15",
            "places see nothing of what they may see",
            "the mask's rows are queries and its columns keys; True where a query may look",
        ),
        (
            "A16",
            "hidden scores are removed after the softmax, in whose sum they still count",
            "-inf before the softmax, in place of 0 after it",
        ),
        (
            "A17",
            "a row of the batch gets another row's mask",
            "masks are repeated for the heads: (B, 1, 1, T) broadcasts them in the right order",
        ),
        ("A18", "padding is attended to", "does the padding's mask reach the attention of every block?"),
        (
            "A19",
            "cross-attention takes its keys and values from the decoder",
            "queries come from the decoder; keys and values from what the encoder returned",
        ),
        (
            "A20",
            "behind the cache, positions start over, or are off by one",
            "the first new position is the number of those in the cache; new queries see all of these and themselves",
        ),
        ("C09", "the loss takes a softmax of probabilities", "give cross_entropy the logits"),
        ("D05", "dropout stays on in evaluation", "F.dropout takes training=self.training; nn.Dropout sees to it"),
        (
            "G12",
            "a gradient replaces the one before it, where it should be added",
            "p.grad += ..., until zero_grad at the beginning of a step",
        ),
        (
            "G20",
            "the graph is cut on the way to the parameter",
            ".data, .numpy(), .detach() or a new Tensor between the parameter and the loss",
        ),
        (
            "M04",
            "positions were added along another axis than the places'",
            "the table is cut to (T, C), which broadcasts over (B, T, C)",
        ),
        ("M05", "there are no positions", "are they added to the tokens, or asked for in the attention?"),
        (
            "M06",
            "of the gradient of a tied table one share is lost",
            "is it one Parameter, used twice, or a copy? Do both uses add to its grad?",
        ),
        ("M07", "a tied parameter is updated twice", "is it in the optimiser once?"),
        (
            "M08",
            "a table that the head shares starts with a standard deviation of about 1",
            "the embedding's std: about 0.02, or 1/√C",
        ),
        (
            "N12",
            "a norm takes its mean and variance over the rows of the batch",
            "over the last axis, the channels, alone",
        ),
        ("N13", "evaluation uses statistics of the batch", "running statistics, updated in training, serve there"),
        (
            "N15",
            "one layer is called in place of another one, which is never used",
            "forward: is each layer of __init__ called once (ln_1, then ln_2)?",
        ),
        ("T02", "labels are not shifted: the model is asked for what it reads", "the target of place t is token t+1"),
        ("T03", "a row of the batch reads another row", "every reshape and transpose around the batch's axis"),
        (
            "T05",
            "accumulation takes the mean of the parts' means",
            "weigh each part by its share of what the loss counts: rows, or tokens",
        ),
        ("T06", "gradients of the step before are still there", "zero_grad at the beginning of each step"),
        ("T07", "Adam's means are not corrected for their beginning at 0", "m / (1 - β1^t), v / (1 - β2^t)"),
        ("T08", "Adam counts its steps from 0", "t is 1 in the first step: 1 - β^0 is 0"),
        ("T09", "eps stands inside the root", "√v + eps, not √(v + eps)"),
        (
            "T10",
            "weight decay is added to the gradient (L2), which Adam rescales",
            "AdamW shrinks the parameter itself: θ -= lr · λ · θ, beside the step",
        ),
        (
            "T12",
            "parameters get each other's running means, or share a count of steps",
            "state belongs to a parameter, not to its place in a list",
        ),
        (
            "T13",
            "the warm-up is late, starts with a rate of 0, or never ends",
            "the first step has a rate above 0; the step after the warm-up the highest",
        ),
        ("T14", "the schedule ends before or after the training", "one call for each update, not for each part of it"),
        ("T15", "gradients are clipped one by one", "one norm of all, and one factor for all"),
        ("T16", "gradients stay longer than they may", "clip after backward, and before the optimiser's step"),
        ("T17", "the model stays in training mode", "model.eval() reaches every Module that asks self.training"),
        (
            "T19",
            "a part of the model is not trained",
            "is it in an attribute, list or dictionary of the Module, used by forward, and in the optimiser?",
        ),
    )
}
