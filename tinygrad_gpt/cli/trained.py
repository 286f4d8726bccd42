"""`tinygrad-gpt sample`, `tinygrad-gpt eval` and `tinygrad-gpt export`."""

import math
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.cli.options import DeviceName, ModelPath, TokenizerPath
from tinygrad_gpt.cli.shared import download_progress
from tinygrad_gpt.data import open_corpus, prepare_tokens
from tinygrad_gpt.data.text_files import count_words
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.generate.text import encode_prompt, stream_text
from tinygrad_gpt.models.hf.pretrained import save_pretrained
from tinygrad_gpt.tasks.perplexity import evaluate, evaluate_sliding
from tinygrad_gpt.train.reporter import make_reporter, reading_bar
from tinygrad_gpt.train.run_folder import is_new
from tinygrad_gpt.train.trained_model import open_model

BATCH_SIZE = 4  # where the model's own batch size is unknown


def sample(
    model: ModelPath,
    prompt: Annotated[str, typer.Option(help="text to start from", show_default="a line end, not shown")] = "",
    tokens: Annotated[int, typer.Option(help="how many tokens to write", min=1)] = 500,
    temperature: Annotated[
        float, typer.Option(help="0: always the likeliest token; 1: the model's own probabilities", min=0.0)
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="choose among the k likeliest tokens only", min=1, show_default="all")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="choose among the likeliest tokens up to this total probability", min=0.0, max=1.0, show_default="all"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="seed of the random choices", min=0, show_default="a new one each time")
    ] = None,
    stop: Annotated[str | None, typer.Option(help="stop after this token, given as text", show_default="never")] = None,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Let a trained model write text."""
    if not math.isfinite(temperature):
        raise UserError(f"--temperature should be a finite number, not {temperature}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"--top-p should be greater than 0 and at most 1, not {top_p}")
    _, own, trained = open_model(model, tokenizer, device)
    ids = encode_prompt(own, prompt)
    how = dict(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, stop_token=_stop_token(own, stop))
    print(prompt, end="")
    for piece in stream_text(trained, own, ids, tokens, **how):
        print(piece, end="", flush=True)
    print()


def evaluate_model(
    model: ModelPath,
    corpus: Annotated[
        str | None,
        typer.Argument(
            help="corpus, or path of a text, to take the validation part of", show_default="the one trained on"
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            help="overlapping windows: advance by this many tokens and score each token once",
            show_default="windows side by side",
        ),
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(help="tokens per window", min=1, show_default="as in training, or all positions")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="windows per batch", min=1, show_default=f"as in training, or {BATCH_SIZE}")
    ] = None,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Measure a trained model on a validation text: loss, perplexity, bits per byte."""
    source, own, trained = open_model(model, tokenizer, device)
    settings = source.settings
    if corpus is None and settings is None:
        raise UserError(f"{model} does not say which text it was trained on: name one, {_with_a_text(model)}")
    positions = trained.config.block_size
    if block_size is not None and block_size > positions:
        raise UserError(f"--block-size should be at most the {positions} positions of the model, not {block_size}")
    block_size = block_size or (settings.window if settings else positions)
    batch_size = batch_size or (settings.train.batch_size if settings else BATCH_SIZE)
    progress = download_progress(make_reporter(sys.stderr))
    try:
        opened = source.corpus(progress) if corpus is None else open_corpus(corpus, progress=progress)
    except UserError as error:
        if corpus is not None:
            raise
        raise UserError(f"{error}: put it back, or name another text, {_with_a_text(model)}") from None
    tokens = prepare_tokens(opened, own)
    began = time.perf_counter()
    with reading_bar() as progress:
        if stride is None:
            score = evaluate(trained, tokens.val, batch_size, block_size=block_size, progress=progress)
        else:
            score = evaluate_sliding(trained, tokens.val, block_size, stride, batch_size, progress)
    seconds = time.perf_counter() - began
    count, words = len(tokens.val), count_words(opened.val())
    windows = f"blocks of {block_size}" if stride is None else f"windows of {block_size}, stride {stride}"
    print(f"{opened.name}, validation part: {score.tokens:,} of {count:,} tokens in {windows}")
    print(f"loss           {score.loss:.4f} nats per token")
    print(f"perplexity     {score.perplexity:.3f}")
    if words:  # 0 if the text is all white space
        print(f"per word       {score.perplexity_per_word(count, words):.3f} ({words:,} words)")
    print(f"bits per byte  {score.bits_per_byte(count, tokens.val_bytes):.4f}")
    print(f"speed          {score.tokens / seconds:,.0f} tokens/s")


def export(
    model: ModelPath,
    folder: Annotated[Path, typer.Argument(help="the folder to make", show_default=False)],
):
    """Write a trained model as a Hugging Face folder, which transformers can load."""
    if not is_new(folder):
        raise UserError(f"the folder {folder} exists and is not empty: choose another one")
    source, tokenizer, trained = open_model(model)
    if source.hf_config:
        trained.hf_config = source.hf_config
    save_pretrained(trained, folder, tokenizer)
    print(f"{folder}: try  transformers.AutoModelForCausalLM.from_pretrained({str(folder)!r})")


def _with_a_text(model: str) -> str:
    return f"{command('tinygrad-gpt', 'eval', Path(model))} CORPUS"


def _stop_token(tokenizer, stop: str | None) -> int | None:
    """The id of the token with this text, in which \\n means a line end. Raises UserError if it is not one token."""
    if stop is None:
        return None
    ids = tokenizer.encode(stop.replace("\\n", "\n"))
    if len(ids) != 1:
        raise UserError(f"--stop should be the text of one token; {shown(stop)} is {len(ids)} tokens of this model")
    return int(ids[0])
