"""Counts that are often given, and wrong."""

from tinygrad_gpt.exercises.writing import wrong

C, ALL = 768, 124_439_808


@wrong(
    "PG01",
    "the head is counted as a table of its own",
    why="its weight is the token table: one parameter, used at both ends",
    look="how many tables of V rows are there?",
)
def untied():
    return {"all": ALL + 50257 * C, "with_24_heads": ALL + 50257 * C, "training_bytes": 16 * (ALL + 50257 * C)}


@wrong(
    "PG02",
    "the linear layers of the attention without their biases",
    why="GPT-2's linear layers have a bias each, of as many numbers as they have outputs",
    look="how many biases has a layer from C to 3C?",
)
def without_biases():
    return {"attention": 4 * C * C}


@wrong(
    "PG03",
    "twice the heads, twice the attention",
    why="heads cut the C channels into pieces of C / heads; q, k and v are as wide as before",
    look="how wide is a head if there are 12, and how wide if there are 24?",
)
def more_heads():
    return {"with_24_heads": ALL + 12 * (4 * C * C + 4 * C)}


@wrong(
    "PG04",
    "the last norm is forgotten",
    why="behind the last block there is one more norm, of 2C numbers",
    look="what stands between the last block and the head?",
)
def no_last_norm():
    return {"all": ALL - 2 * C, "with_24_heads": ALL - 2 * C, "training_bytes": 16 * (ALL - 2 * C)}


@wrong(
    "PG05",
    "weights and gradients alone",
    why="AdamW keeps two running means for each parameter, as large as the weights",
    look="what does AdamW remember from one step to the next?",
)
def no_means():
    return {"training_bytes": 8 * ALL}


@wrong(
    "PG06",
    "the norms of a block are forgotten",
    why="there is one before the attention and one before the feed-forward, each with a weight and a bias",
    look="which layers of a block are not linear ones, and have parameters?",
)
def no_norms():
    return {"block": 12 * C * C + 9 * C}
