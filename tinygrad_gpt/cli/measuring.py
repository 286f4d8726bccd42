"""`tinygrad-gpt eval` of a translator: how sure it is of the right translations, and BLEU of what it writes. And of a
Transformer-XL: how it reads; of an XLNet: how it tells tokens in the orders of its training."""

import dataclasses
import json
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt.cli.shared import download_progress
from tinygrad_gpt.cli.translating import Search, reads_lowercase
from tinygrad_gpt.data.corpora import Corpus
from tinygrad_gpt.data.parallel import PARALLEL, Parallel, is_parallel, languages_of, open_parallel
from tinygrad_gpt.data.token_batches import encode_pairs
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.translation_vocabulary import check_is_the_models
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.generate.translate import BATCH_TOKENS
from tinygrad_gpt.progress import Progress
from tinygrad_gpt.tasks.permutation_lm import PermutationLM, PermutationLMConfig
from tinygrad_gpt.tasks.perplexity import Score, evaluate_streams, remembering, streams_in
from tinygrad_gpt.tasks.scores import CorpusScores
from tinygrad_gpt.tasks.translation_scores import token_scores, words_of, written_scores
from tinygrad_gpt.train.reporter import make_reporter, reading_bar
from tinygrad_gpt.train.trained_model import TrainedModel

SEGMENT = 64  # tokens of a segment where the window that a Transformer-XL was trained with is unknown


@dataclass(frozen=True)
class Reading:
    """How a Transformer-XL reads the text that it is measured on. A loss means little without it: short segments with
    little memory make it larger.

    window   tokens of a segment
    memory   positions before the segment that each block remembers
    clamp    distances beyond this one count as this one; -1: each as itself
    streams  that the text is cut into
    """

    window: int
    memory: int
    clamp: int
    streams: int

    @staticmethod
    def of(
        source: TrainedModel,
        tokens: np.ndarray,
        window: int | None,
        memory: int | None,
        clamp: int | None,
        streams: int,
    ) -> "Reading":
        """Of these tokens: as given, and otherwise as in the evaluations of the model's training. Raises UserError for
        a memory or a clamp that the model cannot have."""
        task = source.settings.task if source.settings else None
        if window is None:
            window = SEGMENT if task is None else task.eval_window or task.window
        if memory is None:
            memory = source.config.mem_len if task is None or task.eval_memory is None else task.eval_memory
        if not memory and source.config.same_length:
            raise UserError("--memory should be at least 1: with same_length every position sees so many")
        if clamp == 0:
            raise UserError("--clamp should be -1, or at least 1, not 0")
        clamp = source.config.clamp_len if clamp is None else clamp
        return Reading(window, memory, clamp, streams_in(tokens, streams, window))

    def __str__(self) -> str:
        streams = f"{self.streams} streams" if self.streams > 1 else "one stream"
        clamp = f", distances to {self.clamp}" if self.clamp > 0 else ""
        return f"{streams}, segments of {self.window}, a memory of {self.memory}{clamp}"

    def score(self, model: Any, tokens: np.ndarray, progress: Progress) -> Score:
        with remembering(model, self.memory, self.clamp):
            return evaluate_streams(model, tokens, self.streams, self.window, progress=progress)


def evaluate_orders(
    source: TrainedModel, tokenizer: Tokenizer, model: Any, corpus: Corpus, length: int, batch_size: int, as_json: bool
) -> None:
    """Measure an XLNet on the validation part of a text, in sequences of `length` tokens, as in its training."""
    config = source.settings.task if source.settings else PermutationLMConfig()
    task = PermutationLM(dataclasses.replace(config, block_size=length), corpus, tokenizer, batch_size)
    began = time.perf_counter()
    with reading_bar() as progress:
        scores, guesses = task.evaluate(model, last=True, progress=progress), task.guesses()
    seconds, sequences = time.perf_counter() - began, task.held_out_sequences
    targets = sequences * task.targets
    loss, accuracy = scores["val_loss"], scores["accuracy"]
    perplexity = Score(loss, targets).perplexity
    if as_json:
        what = {"model": source.name, "corpus": corpus.name, "targets": targets, "sequences": sequences}
        figures = {"block_size": length, "loss": _finite(loss), "perplexity": _finite(perplexity)}
        figures |= {"accuracy": accuracy, "guesses": guesses}
        print(json.dumps(what | figures | {"seconds": round(seconds, 3)}))
        return
    print(f"{corpus.name}, validation part: {targets:,} tokens in {sequences:,} sequences of {length}, in drawn orders")
    print(f"loss        {loss:.4f} nats per token (by counting tokens: {guesses['val_loss']:.4f})")
    print(f"perplexity  {perplexity:.3f}")
    print(f"accuracy    {accuracy:.4f} (of the commonest token: {guesses['accuracy']:.4f})")
    print(f"speed       {sequences * length / seconds:,.0f} tokens/s")


def evaluate_translator(
    source: TrainedModel,
    tokenizer: Tokenizer,
    model: Any,
    name: str | None,
    languages: tuple[str, str],
    search: Search,
    as_json: bool,
) -> None:
    """Measure a translator on the test part of a parallel corpus, or, where it has none, on the part to validate on.

    name, languages  of the corpus, see open_parallel; None, ("", ""): the one that it was trained on
    search           how it writes, beside greedily; with one beam it does nothing else
    """
    check_is_the_models(tokenizer, model.config, f"the tokenizer of {source.name}")
    corpus = _open(source, name, languages)
    part, sentences = ("test", corpus.test) if len(corpus.test) else ("validation", corpus.valid)
    what = f"{corpus.name}, {part} part"
    pairs = encode_pairs(sentences, tokenizer, model.config.max_position_embeddings, what)
    words = words_of(corpus.name)
    began = time.perf_counter()
    with reading_bar() as progress:
        tokens = token_scores(model, pairs, BATCH_TOKENS, tokenizer.pad_id, progress)
    with reading_bar(unit="sentences") as progress:
        greedy = written_scores(
            model, tokenizer, pairs, sentences, words, corpus.lowercase, progress=progress, beams=1
        )  # fmt: skip
    searched = None
    if search.beams > 1:
        with reading_bar(unit="sentences") as progress:
            searched = written_scores(
                model, tokenizer, pairs, sentences, words, corpus.lowercase, progress=progress, **search._asdict()
            )
    seconds = time.perf_counter() - began
    if as_json:
        answer = {"model": source.name, "corpus": corpus.name, "source": corpus.source, "target": corpus.target}
        answer |= {"part": part, "pairs": len(pairs), "left_out": pairs.too_long, "tokens": tokens.tokens}
        answer |= {"loss": _finite(tokens.loss), "perplexity": _finite(tokens.perplexity), "accuracy": tokens.accuracy}
        answer |= {"greedy": _figures(greedy)}
        if searched is not None:
            answer |= {"search": search._asdict() | _figures(searched)}
        print(json.dumps(answer | {"seconds": round(seconds, 3)}))
        return
    left_out = f"; {note}" if (note := pairs.note()) else ""
    print(f"{what}, {corpus.source} to {corpus.target}: {len(pairs):,} pairs, {tokens.tokens:,} tokens{left_out}")
    print(f"loss        {tokens.loss:.4f} nats per token")
    print(f"perplexity  {tokens.perplexity:.3f}")
    print(f"accuracy    {tokens.accuracy:.4f} of the tokens, each after the right ones")
    print(f"greedy      {greedy.bleu}")
    if searched is not None:
        print(f"{f'{search.beams} beams':<12}{searched.bleu}, {search.penalty} penalty {search.length_penalty:g}")
    print(f"signature   {greedy.signature}")


def _open(source: TrainedModel, name: str | None, languages: tuple[str, str]) -> Parallel:
    """The corpus with this name, or the one that the model was trained on. Raises UserError for one that is translated
    the other way round than the model's."""
    progress = download_progress(make_reporter(sys.stderr))
    if name is not None:
        task = None if source.settings is None else source.settings.task
        own = ("", "") if task is None else languages_of(task.corpus, task.source, task.target)
        if task is not None and not any(languages) and name not in PARALLEL and is_parallel(name, *own):
            languages = own
        asked = languages_of(name, *languages)
        if task is not None and asked == own[::-1]:
            other = f"{name.rsplit('-', 2)[0]}-{own[0]}-{own[1]}"
            give = other if name in PARALLEL else f"--source {own[0]} --target {own[1]}"
            raise UserError(
                f"{source.name} translates from {own[0]} to {own[1]}, not from {own[1]} to {own[0]}: give {give}"
            )
        return open_parallel(name, *languages, lowercase=reads_lowercase(source), progress=progress)
    if source.settings is None:
        example = command("tinygrad-gpt", "eval", source.name, PARALLEL[0])
        raise UserError(f"{source.name} does not say what it was trained on: name a parallel corpus, as in `{example}`")
    if any(languages):
        raise UserError("--source and --target are for a corpus of your own: name it, or leave them out")
    return source.corpus(progress)


def _figures(scores: CorpusScores) -> dict[str, Any]:
    figures = scores.bleu._asdict() | {"signature": scores.signature}
    return {"bleu": figures.pop("score")} | figures


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
