"""`tinygrad-gpt sample` and `tinygrad-gpt eval`."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.errors import UserError

RunPath = Annotated[Path, typer.Argument(metavar="DIR", help="a run folder, as `train` makes it", show_default=False)]


def sample(
    run: RunPath,
    prompt: Annotated[str, typer.Option(help="text to begin with", show_default="a line end, not shown")] = "",
    tokens: Annotated[int, typer.Option(help="how many tokens to write", min=1)] = 500,
    temperature: Annotated[
        float, typer.Option(help="0: always the likeliest token; 1: as the model says", min=0.0)
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="choose among the k likeliest tokens", min=1, show_default="all")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="choose among the likeliest tokens of this total probability", min=0.0, max=1.0, show_default="all"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="for the same text again", min=0, show_default="another each time")
    ] = None,
    stop: Annotated[
        str | None, typer.Option(help="end after this token, given as its text", show_default="never")
    ] = None,
):
    """Let a trained model write."""
    from tinygrad_gpt.array import keep_freed_memory
    from tinygrad_gpt.train.run import open_trained
    from tinygrad_gpt.train.sampling import encode_prompt, stream_text

    if not math.isfinite(temperature):
        raise UserError(f"--temperature should be a finite number, not {temperature}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"--top-p should be greater than 0 and at most 1, not {top_p}")
    keep_freed_memory()
    _, tokenizer, model = open_trained(run)
    ids = encode_prompt(tokenizer, prompt)
    how = dict(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, stop_token=_stop_token(tokenizer, stop))
    sys.stdout.write(prompt)
    for piece in stream_text(model, tokenizer, ids, tokens, **how):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def evaluate_run(
    run: RunPath,
    corpus: Annotated[
        str | None, typer.Argument(help="the text whose validation part to take", show_default="the one trained on")
    ] = None,
):
    """Measure a trained model on a validation text: loss, perplexity, bits per byte."""
    from tinygrad_gpt.cli.training import download_progress
    from tinygrad_gpt.data import open_corpus, prepare_tokens
    from tinygrad_gpt.train.evaluate import evaluate
    from tinygrad_gpt.train.progress import make_reporter
    from tinygrad_gpt.train.run import open_trained

    settings, tokenizer, model = open_trained(run)
    opened = open_corpus(corpus or settings.train.corpus, progress=download_progress(make_reporter(sys.stderr)))
    tokens = prepare_tokens(opened, tokenizer)
    score = evaluate(model, tokens.val, settings.train.batch_size)
    block_size = model.config.block_size
    print(f"{opened.name}, validation part: {score.tokens:,} of {len(tokens.val):,} tokens in blocks of {block_size}")
    print(f"loss           {score.loss:.4f} nats per token")
    print(f"perplexity     {score.perplexity:.3f}")
    print(f"bits per byte  {score.bits_per_byte(len(tokens.val), tokens.val_bytes):.4f}")


def _stop_token(tokenizer, stop: str | None) -> int | None:
    """The id of the token whose text is `stop`; \\n stands for a line end. Raises UserError if it isn't one token."""
    if stop is None:
        return None
    ids = tokenizer.encode(stop.replace("\\n", "\n"))
    if len(ids) != 1:
        raise UserError(f"--stop takes the text of one token; {stop!r} is {len(ids)} tokens of this model")
    return int(ids[0])
