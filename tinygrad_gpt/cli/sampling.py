"""`tinygrad-gpt sample`."""

import json
import math
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.cli.options import DeviceName, ModelPath, TokenizerPath
from tinygrad_gpt.cli.shared import read_lines, report_own_code
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate.text import encode_prompt, stream_text
from tinygrad_gpt.random_stream import next_seed
from tinygrad_gpt.train.trained_model import open_model


def sample(
    model: ModelPath,
    prompt: Annotated[str | None, typer.Option(help="text to start from", show_default="a line end, not shown")] = None,
    prompt_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="a text to start from on each line; -: read from standard input", show_default=False
        ),
    ] = None,
    num_samples: Annotated[int, typer.Option(help="how many texts to write after each prompt", min=1)] = 1,
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
        int | None,
        typer.Option(
            help="seed of the random choices; the next texts after the same prompt take seed + 1, seed + 2, ...",
            min=0,
            show_default="a new one each time",
        ),
    ] = None,
    stop: Annotated[str | None, typer.Option(help="stop after this token, given as text", show_default="never")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print a JSON object for each text: prompt, text, tokens, seed")
    ] = False,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Let a trained model write text.

    Any text can be made again alone, by its prompt and its seed. In JSON,
    `text` is what the model wrote, without the prompt, and `tokens` how many
    tokens that are.
    """
    if not math.isfinite(temperature):
        raise UserError(f"--temperature should be a finite number, not {temperature}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"--top-p should be greater than 0 and at most 1, not {top_p}")
    if prompt is not None and prompt_file is not None:
        raise UserError("give --prompt or --prompt-file, not both")
    likeliest = temperature == 0 or top_k == 1
    if likeliest and num_samples > 1:
        how = "--temperature 0" if temperature == 0 else "--top-k 1"
        raise UserError(f"{how} writes the same text each time: leave out --num-samples")
    prompts = [prompt or ""] if prompt_file is None else read_lines(prompt_file, "prompts")
    source, own, trained = open_model(model, tokenizer, device)
    report_own_code(source)
    starts = [encode_prompt(own, text) for text in prompts]  # all, before the first text is written
    first = next_seed() >> 31 if seed is None else seed  # few enough digits to type
    how = dict(temperature=temperature, top_k=top_k, top_p=top_p, stop_token=_stop_token(own, stop))
    todo = [(text, ids, first + i) for text, ids in zip(prompts, starts, strict=True) for i in range(num_samples)]
    for number, (text, ids, this_seed) in enumerate(todo, start=1):
        pieces = stream_text(trained, own, ids, tokens, seed=this_seed, **how)
        if as_json:
            *written, rest = pieces  # one for each token, and what is left of the last character
            answer = {"prompt": text, "text": "".join([*written, rest]), "tokens": len(written), "seed": this_seed}
            print(json.dumps(answer), flush=True)
            blank = not answer["text"].strip()
        else:
            if len(todo) > 1:
                print(f"--- {number} of {len(todo)}, seed {this_seed}")
            blank = _print(text, pieces)
        if blank and likeliest:
            _explain_blanks(temperature)


def _print(prompt: str, pieces: Iterator[str]) -> bool:
    """Print a text as it is written. Returns whether nothing of it can be seen."""
    blank = True
    print(prompt, end="")
    for piece in pieces:
        print(piece, end="", flush=True)
        blank = blank and not piece.strip()
    print()
    return blank


def _explain_blanks(temperature: float) -> None:
    how = "--temperature 0" if temperature == 0 else "--top-k 1"
    print(
        f"note: the text is blank: {how} takes the likeliest token each time, and here that is a space or a line end, "
        "again and again. Try --temperature 0.8, or another --prompt",
        file=sys.stderr,
    )


def _stop_token(tokenizer, stop: str | None) -> int | None:
    """The id of the token with this text, in which \\n means a line end. Raises UserError if it is not one token."""
    if stop is None:
        return None
    ids = tokenizer.encode(stop.replace("\\n", "\n"))
    if len(ids) != 1:
        raise UserError(f"--stop should be the text of one token; {shown(stop)} is {len(ids)} tokens of this model")
    return int(ids[0])
