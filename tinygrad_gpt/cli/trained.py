"""`tinygrad-gpt eval` and `tinygrad-gpt export`."""

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_gpt.cli.measuring import SEGMENT, Reading, evaluate_orders, evaluate_translator
from tinygrad_gpt.cli.measuring_bert import evaluate_bert
from tinygrad_gpt.cli.options import DeviceName, ModelPath, TokenizerPath
from tinygrad_gpt.cli.shared import download_progress, report_own_code
from tinygrad_gpt.cli.translating import TRANSLATOR, Beams, LengthPenalty, Penalty, Search
from tinygrad_gpt.data import CharTokenizer, open_corpus, prepare_tokens
from tinygrad_gpt.data.text_files import count_words
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.hf.pretrained import save_pretrained
from tinygrad_gpt.tasks.perplexity import evaluate, evaluate_sliding
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned
from tinygrad_gpt.train.fine_tuning.folder import is_fine_tuning
from tinygrad_gpt.train.loadable import WRITERS, called
from tinygrad_gpt.train.reporter import make_reporter, reading_bar
from tinygrad_gpt.train.run_folder import is_new
from tinygrad_gpt.train.trained_model import open_model

XL = "Transformer-XL"
BATCH_SIZE = 4  # where the model's own batch size is unknown


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
        int | None,
        typer.Option(help="windows or streams per batch", min=1, show_default=f"as in training, or {BATCH_SIZE}"),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            help="tokens of a segment", min=1, show_default=f"as in training, or {SEGMENT}", rich_help_panel=XL
        ),
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            help="positions before it that each block remembers",
            min=0,
            show_default="as in training",
            rich_help_panel=XL,
        ),
    ] = None,
    clamp: Annotated[
        int | None,
        typer.Option(
            help="distances beyond this one count as this one; -1: each as itself",
            min=-1,
            show_default="the model's",
            rich_help_panel=XL,
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="language of the sentences, in your own files",
            show_default=False,
            rich_help_panel=TRANSLATOR,
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--target", help="language to translate them into", show_default=False, rich_help_panel=TRANSLATOR
        ),
    ] = None,
    beams: Beams = None,
    penalty: Penalty = None,
    length_penalty: LengthPenalty = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as a JSON object")] = False,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Measure a trained model on a validation text: loss, perplexity, bits per byte (and per character).

    A Transformer-XL reads it in segments, with a memory of those before. An
    XLNet tells tokens of it in orders that are drawn, as in its training.

    A translator is measured on the test part of its corpus: loss, perplexity,
    and BLEU of what it writes, greedily and with --beams. A BERT that `train`
    pre-trained is measured as in its training, on all held-out documents.
    """
    source, own, trained = open_model(model, tokenizer, device, kinds=(*WRITERS, "transformer", "bert"))
    report_own_code(source)
    translators = {"--source": language, "--target": into, "--beams": beams, "--penalty": penalty}
    options = {
        "gpt": {"--stride": stride},
        "transformer-xl": {"--window": window, "--memory": memory, "--clamp": clamp},
        "transformer": translators | {"--length-penalty": length_penalty},
    }
    if source.kind not in ("gpt", "xlnet"):
        options["windows"] = {"--block-size": block_size}
    if source.kind not in WRITERS:
        options["text"] = {"--batch-size": batch_size}
    for kind, given in options.items():
        if kind != source.kind:
            _refuse(given, f"{model} holds {called(source.kind)}")
    if source.kind == "transformer":
        search = Search.of(beams, penalty, length_penalty)
        evaluate_translator(source, own, trained, corpus, (language or "", into or ""), search, as_json)
        return
    if source.kind == "bert":
        evaluate_bert(source, own, trained, corpus, as_json)
        return
    settings = source.settings
    if corpus is None and settings is None:
        raise UserError(f"{model} does not say which text it was trained on: name one, {_with_a_text(model)}")
    batch_size = batch_size or (settings.train.batch_size if settings else BATCH_SIZE)
    if source.kind == "xlnet":
        block_size = block_size or (settings.window if settings else SEGMENT)
    elif source.kind == "gpt":
        positions = trained.config.block_size
        if block_size is not None and block_size > positions:
            raise UserError(f"--block-size should be at most the {positions} positions of the model, not {block_size}")
        block_size = block_size or (settings.window if settings else positions)
    progress = download_progress(make_reporter(sys.stderr))
    try:
        opened = source.corpus(progress) if corpus is None else open_corpus(corpus, progress=progress)
    except UserError as error:
        if corpus is not None:
            raise
        raise UserError(f"{error}: put it back, or name another text, {_with_a_text(model)}") from None
    if source.kind == "xlnet":
        evaluate_orders(source, own, trained, opened, block_size, batch_size, as_json)
        return
    tokens, reading = prepare_tokens(opened, own), None
    if source.kind == "transformer-xl":
        reading = Reading.of(source, tokens.val, window, memory, clamp, batch_size)
    began = time.perf_counter()
    with reading_bar() as progress:
        if reading is not None:
            score = reading.score(trained, tokens.val, progress)
        elif stride is None:
            score = evaluate(trained, tokens.val, batch_size, block_size=block_size, progress=progress)
        else:
            score = evaluate_sliding(trained, tokens.val, block_size, stride, batch_size, progress)
    seconds = time.perf_counter() - began
    count, words = len(tokens.val), count_words(opened.val())
    figures = {
        "loss": score.loss,
        "perplexity": score.perplexity,
        "per_word": score.perplexity_per_word(count, words) if words else None,  # 0 if the text is all white space
        "bits_per_byte": score.bits_per_byte(count, tokens.val_bytes),
    }
    if isinstance(own, CharTokenizer):
        figures["bits_per_character"] = score.bits
    if as_json:
        what = {"model": model, "corpus": opened.name, "tokens": score.tokens, "of": count, "words": words}
        figures |= {"seconds": round(seconds, 3)}
        numbers = {name: x if x is not None and math.isfinite(x) else None for name, x in figures.items()}
        how = dataclasses.asdict(reading) if reading else {"block_size": block_size, "stride": stride}
        print(json.dumps(what | how | numbers))
        return
    windows = f"blocks of {block_size}" if stride is None else f"windows of {block_size}, stride {stride}"
    print(f"{opened.name}, validation part: {score.tokens:,} of {count:,} tokens in {reading or windows}")
    print(f"loss           {figures['loss']:.4f} nats per token")
    print(f"perplexity     {figures['perplexity']:.3f}")
    if words:
        print(f"per word       {figures['per_word']:.3f} ({words:,} words)")
    print(f"bits per byte  {figures['bits_per_byte']:.4f}")
    if "bits_per_character" in figures:
        print(f"bits per char  {figures['bits_per_character']:.4f}")
    print(f"speed          {score.tokens / seconds:,.0f} tokens/s")


def _refuse(options: dict[str, Any], why: str) -> None:
    """Raise UserError for the first of these options that was given."""
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{why}: leave out {name}")


def export(
    model: ModelPath,
    folder: Annotated[Path, typer.Argument(help="the folder to make", show_default=False)],
):
    """Write a trained model as a Hugging Face folder, which transformers can load."""
    if not is_new(folder):
        raise UserError(f"the folder {folder} exists and is not empty: choose another one")
    if is_fine_tuning(user_path(model)):
        fine_tuned = FineTuned(user_path(model))
        fine_tuned.save_pretrained(folder)
        _say_how_to_load(folder, type(fine_tuned.model).__name__)
        return
    source, tokenizer, trained = open_model(model, kinds=(*WRITERS, "bert", "transformer"))
    report_own_code(source)
    if source.hf_config:
        trained.hf_config = source.hf_config
    save_pretrained(trained, folder, tokenizer)
    classes = {"gpt": "AutoModelForCausalLM", "transformer-xl": "TransfoXLLMHeadModel", "transformer": "MarianMTModel"}
    _say_how_to_load(folder, classes.get(source.kind, type(trained).__name__))
    if source.kind == "transformer-xl":
        print(f"{folder}: transformers (up to 4.35) begins a text with a memory of zeros, this model with none")
    if isinstance(tokenizer, CharTokenizer):
        known = f"the {tokenizer.vocab_size} characters of its training text"
        print(f"{folder}: it reads {known}; any other is an error, since the model has no token for it")


def _say_how_to_load(folder: Path, model: str) -> None:
    for kind in "AutoTokenizer", model:
        print(f"{folder}: try  transformers.{kind}.from_pretrained({str(folder)!r})")


def _with_a_text(model: str) -> str:
    return f"{command('tinygrad-gpt', 'eval', Path(model))} CORPUS"
