"""Mistakes of what trains a model: labels, parts of a batch, the optimiser, the schedule, the evaluation. They have no
pair; the probes name them (check/probes).
"""

from tinygrad_gpt.check.mistakes.entry import of_no_op

MISTAKES = (
    of_no_op(
        "T01",
        "labels are shifted twice: each place is asked for the token after the next",
        why="one shift makes the target of place t token t+1. Where the batch is shifted and the loss shifts again, "
        "the model learns to skip a token, and the loss still falls",
        look="who shifts: the batch, or the loss? Is it one of them alone?",
        source="https://github.com/huggingface/transformers/issues/44642",
    ),
    of_no_op(
        "T02",
        "labels are not shifted: the model is asked for what it reads",
        why="the answer stands in the input: the loss goes to 0 quickly, and writing repeats the last token",
        look="is the target of place t token t+1?",
        source="https://github.com/huggingface/transformers/issues/35066",
    ),
    of_no_op(
        "T03",
        "a row of the batch reads another row",
        why="rows are texts of their own, put side by side for speed alone",
        look="does every reshape and transpose leave the batch's axis where it is?",
        source="https://github.com/huggingface/transformers/issues/46898",
    ),
    of_no_op(
        "T05",
        "accumulation takes the mean of the parts' means",
        why="a token in a part with few of them counts more than one in a part with many",
        look="is each part weighed by its share of what the loss counts: rows, or tokens?",
        source="https://github.com/huggingface/transformers/issues/34191",
    ),
    of_no_op(
        "T06",
        "gradients of the step before are still there",
        why="gradients add up until they are cleared, so that each step goes the way of all before it",
        look="is there a zero_grad at the beginning of each step?",
    ),
    of_no_op(
        "T07",
        "Adam's means are not corrected for their beginning at 0",
        why="after one step m is a tenth of the gradient and √v a thirtieth: the step is 3.16 times lr",
        look="are m / (1 - β1^t) and v / (1 - β2^t) used?",
        source="seen in EurekaLabs #2, mlx #1640",
    ),
    of_no_op(
        "T08",
        "Adam counts its steps from 0",
        why="1 - β^0 is 0, and the first step divides by it",
        look="is t 1 in the first step?",
        source="seen in convnetjs #107",
    ),
    of_no_op(
        "T09",
        "eps stands inside the root",
        why="the root of an eps of 1e-8 is 1e-4, which stops every element whose gradients are smaller",
        look="is it √v + eps, not √(v + eps)?",
        source="seen in caffe #4224",
    ),
    of_no_op(
        "T10",
        "weight decay is added to the gradient (L2), which Adam rescales",
        why="divided by √v, the decay of a parameter no longer depends on how large the parameter is",
        look="does AdamW shrink the parameter itself, θ -= lr · λ · θ, beside the step?",
        source="https://github.com/pytorch/pytorch/issues/22628",
    ),
    of_no_op(
        "T11",
        "weight decay acts on biases and norms too",
        why="it keeps matrices small, which multiply; a bias only adds, and a norm's weight belongs near 1, not 0",
        look="are parameters with one axis in a group without decay (optim.decay_matrices)?",
    ),
    of_no_op(
        "T12",
        "parameters get each other's running means, or share a count of steps",
        why="a parameter then moves by the sizes of another one's gradients",
        look="does state belong to a parameter, not to its place in a list?",
        source="seen in mlx-rs #301",
    ),
    of_no_op(
        "T13",
        "the warm-up is late, starts with a rate of 0, or never ends",
        why="a step with a rate of 0 reads a batch and learns nothing from it",
        look="has the first step a rate above 0, and the step after the warm-up the highest?",
        source="seen in gpt-neox #1379, DeepSpeed #5731",
    ),
    of_no_op(
        "T14",
        "the schedule ends before or after the training",
        why="the last steps, with their small rates, are where the loss falls most",
        look="is there one call for each update, not for each part of it?",
        source="seen in ParlAI #4384",
    ),
    of_no_op(
        "T15",
        "gradients are clipped one by one",
        why="the long ones are made shorter and the short ones not, so that the step goes another way",
        look="is there one norm of all, and one factor for all?",
        source="seen in OpenSeq2Seq #192",
    ),
    of_no_op(
        "T16",
        "gradients stay longer than they may",
        why="one bad batch can move the weights farther than a hundred good ones bring them back",
        look="is it clipped after backward, and before the optimiser's step?",
        source="https://github.com/huggingface/transformers/issues/581",
    ),
    of_no_op(
        "T17",
        "the model stays in training mode",
        why="dropout is drawn anew at each call, so that no two evaluations are the same",
        look="does model.eval() reach every Module that asks self.training?",
    ),
    of_no_op(
        "T18",
        "the model is evaluated on what it is trained on",
        why="a model that knows its texts by heart is best there, and nobody sees that it has learned nothing else",
        look="which part of the data does each of the two read, and when were they cut?",
    ),
    of_no_op(
        "T19",
        "a part of the model is not trained",
        why="what has no gradient, or is not in the optimiser, stays as it was drawn",
        look="is it in an attribute, list or dictionary of the Module, used by forward, and in the optimiser?",
        source="seen in AiDotNet #1210",
    ),
)
