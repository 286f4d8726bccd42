"""Mistakes that are made where ops become a model: each op is right, and what is made of them is not. They have no
pair; the probes of whole models name them (check/probes).
"""

from tinygrad_gpt.check.mistakes.entry import of_no_op

MISTAKES = (
    of_no_op(
        "A11",
        "scores are not divided by the root of D, the channels of one head",
        why="a sum of D products of numbers of size 1 has size √D; undivided, the softmax begins near 0 and 1, where "
        "it has no slope",
        look="is the attention's scale 1/√D, neither 1 nor 1/√C with C = H · D?",
        source="seen in ng-video-lecture #6, vit-pytorch #65, dfdx #171",
    ),
    of_no_op(
        "A12",
        "heads were cut out by a reshape alone, which mixes places",
        why="reshape keeps the order in memory: (B, T, C) read as (B, H, T, D) gives a head channels of other places",
        look="is it (B, T, C) -> (B, T, H, D) by reshape, then -> (B, H, T, D) by transpose, and the same way back?",
        source="https://github.com/harvardnlp/annotated-transformer/issues/17",
    ),
    of_no_op(
        "A13",
        "the mask lets each place see the next token",
        why="the next token is what this place is asked for: the loss is too good, and writing fails",
        look="may place t see s <= t alone: np.tri(t, dtype=bool), with k=0?",
        source="seen in keras #23038, nanoGPT #331",
    ),
    of_no_op(
        "A14",
        "the mask is not used",
        why="without it each place reads the answers that it is asked for",
        look="does the mask reach the scores before the softmax (causal=True)?",
        source="seen in xformers #103",
    ),
    of_no_op(
        "A15",
        "places see nothing of what they may see",
        why="a place whose keys are all hidden has no weights to sum values with: it says the same, whatever it reads",
        look="are the mask's rows queries and its columns keys, and is True where a query may look?",
    ),
    of_no_op(
        "A17",
        "a row of the batch gets another row's mask",
        why="masks repeated in another order than the heads belong to other texts: padding is seen, and text is not",
        look="is the mask (B, 1, 1, T), which broadcasts over heads in the right order?",
    ),
    of_no_op(
        "A18",
        "padding is attended to",
        why="padding is no text: the same sentence means the same, however long its neighbours in the batch are",
        look="does the padding's mask reach the attention of every block?",
        source="https://github.com/huggingface/transformers/issues/2759",
    ),
    of_no_op(
        "A19",
        "cross-attention takes its keys and values from the decoder",
        why="then nobody reads what the encoder has made of the source",
        look="do queries come from the decoder, and keys and values from what the encoder returned?",
    ),
    of_no_op(
        "A20",
        "behind the cache, positions start over, or are off by one",
        why="a token stands where it stands, whether what comes before was read now or earlier",
        look="is the first new position the number of those in the cache, and do new queries see all of these?",
        source="seen in tiny-llm #46, onnxruntime-genai #2354",
    ),
    of_no_op(
        "D05",
        "dropout stays on in evaluation",
        why="it is noise for training; in evaluation the mean of all its masks is wanted, which is: none",
        look="does F.dropout take training=self.training? (nn.Dropout sees to it)",
    ),
    of_no_op(
        "G12",
        "a gradient replaces the one before it, where it should be added",
        why="a loss that reaches a parameter along two ways, or in two parts, moves by the sum of both",
        look="is it p.grad += ..., until zero_grad at the beginning of a step?",
        source="seen in nn-zero-to-hero #52",
    ),
    of_no_op(
        "G20",
        "the graph is cut on the way to the parameter",
        why="a Tensor that is made of another one's numbers does not know where they come from",
        look="does .data, .numpy(), .detach() or a new Tensor stand between the parameter and the loss?",
        source="seen in TinyTorch #1399",
    ),
    of_no_op(
        "M04",
        "positions were added along another axis than the places'",
        why="then a vector says which row of the batch a token is in, and not where it stands",
        look="is the table cut to (T, C), which broadcasts over (B, T, C)?",
        source="seen in influenza_transformer #9, open_lm #4",
    ),
    of_no_op(
        "M05",
        "there are no positions",
        why="attention sums over places, and a sum knows no order",
        look="are positions added to the tokens, or asked for in the attention?",
    ),
    of_no_op(
        "M06",
        "of the gradient of a tied table one share is lost",
        why="the table is used twice, as the embedding and as the head, and its gradient is the sum of both",
        look="is it one Parameter, used twice, or a copy? Do both uses add to its grad?",
        source="seen in torch7 #156",
    ),
    of_no_op(
        "M07",
        "a tied parameter is updated twice",
        why="two entries in the optimiser are two steps, and two decays, of one table",
        look="is it in the optimiser once?",
        source="seen in torch7 #156",
    ),
    of_no_op(
        "M08",
        "a table that the head shares starts with a standard deviation of about 1",
        why="the scores are products with its rows: of size √C, where those of a blind guess are near 0",
        look="is the embedding's std about 0.02, or 1/√C?",
        source="seen in build-nanogpt #18, #89",
    ),
    of_no_op(
        "N13",
        "evaluation uses statistics of the batch",
        why="then what a text is given depends on the texts beside it",
        look="do running statistics, updated in training, serve in evaluation?",
        source="seen in mlx #1960",
    ),
    of_no_op(
        "N14",
        "norms stand before each half of a block where they should stand after it, or the other way round",
        why="a norm after the sum divides what comes back along the residual stream, block by block; one before it "
        "does not, and leaves the stream to grow. Weights of the one mean nothing in the other",
        look="is it x + f(norm(x)), as in GPT-2, or norm(x + f(x)), as in GPT-1 and BERT?",
        source="seen in jadore #150",
    ),
    of_no_op(
        "N15",
        "one layer is called in place of another one, which is never used",
        why="the one is trained for two tasks, and the other is not trained at all",
        look="does forward call each layer of __init__ once (ln_1, then ln_2)?",
        source="seen in mlx #1636",
    ),
)
