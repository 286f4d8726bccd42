"""The task that BERT is pre-trained on: fill gaps in two passages, and judge whether the second one follows the first.

input_ids, attention_mask, token_type_ids, labels  (B, T)   see data/sentence_pairs.py
next_sentence_label                                (B,)
masked_per_row                                     (B,)     masked places in a row, the mean over the whole step
loss        mean cross-entropy over the masked places, plus that over the pairs, in nats

The loss looks at masked places alone: at all others the model sees what it is asked for, and learns nothing.

(Devlin et al., "BERT", 2019, sections 3.1 and A.2.)
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.documents import NAMES, Documents
from tinygrad_gpt.data.sentence_pairs import (
    FOLLOWS,
    FROM_ELSEWHERE,
    Batch,
    Pair,
    all_pairs,
    draw_pair,
    encode_documents,
    make_batch,
)
from tinygrad_gpt.data.wordpiece_tokenizer import PAIR_SPECIALS
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.scores import cross_entropy
from tinygrad_gpt.tasks.task import Loss, Task

_HELD_OUT_SEED = 2**31 - 1  # of the held-out pairs, which are the same in all runs, so that their scores compare
_PROBE_ROWS, _PROBE_PLACES = 32, 8  # of the health check
_RESAMPLED = 1000  # times, for an interval
_FEWEST_FOR_AN_INTERVAL = 10  # documents
_TRIES = 100  # to draw a pair with a token that can be masked
_OF_PAIRS = ("val_next_sentence_loss", "next_sentence_accuracy", "next_sentence_low")
_UNKNOWN = (
    "{name}: its texts are unknown tokens almost everywhere, which cannot be masked: take a tokenizer that was trained "
    "on such texts"
)


@dataclass(frozen=True)
class MaskedLMConfig:
    """The documents, their tokens, and what is masked. Raises UserError for a value that is not allowed."""

    corpus: str = setting(
        "python-docs", "Data", f"{', '.join(NAMES)}, or the path of texts with a blank line between documents"
    )
    tokenizer: str = setting(
        "wordpiece",
        "Data",
        "wordpiece (trained on the corpus), own (that of the --from model), or the path of a saved one or of BERT's "
        "vocab.txt",
    )
    vocab: int = advanced(6000, "Data", "tokens that a wordpiece tokenizer learns", low=100)
    from_: str = setting(
        "", "Data", "BERT to start from, keeping its shape: a run folder, a Hugging Face folder, or a name on their hub"
    )
    window: int | None = advanced(
        None, "Data", "tokens of a pair; by default block_size, with --from at most the preset's", low=1
    )
    mask_share: float = advanced(0.15, "BERT", "share of the tokens that are masked", above=0, below=1)
    next_sentence_weight: float = advanced(
        1.0, "BERT", "of the next sentence's loss beside the masked LM's; 0: B always follows A, as in RoBERTa", low=0
    )
    first_positions: str = advanced(
        "drawn",
        "BERT",
        "what the learned position vectors are at first: drawn, as the paper's, or sinusoids, by which a small model "
        "finds the words beside a gap much sooner",
        choices=("drawn", "sinusoids"),
    )
    held_out: bool = advanced(
        True, "BERT", "hold documents out to evaluate on; if not, evaluate on those that train, to see it overfit"
    )
    eval_tokens: int = advanced(
        50_000,
        "Run",
        "held-out tokens per evaluation (the last evaluation uses all)",
        low=1,
        free=True,
        free_unless="patience",
    )

    def __post_init__(self):
        check_settings(self)


class MaskedLM(Task):
    """Masked tokens and next sentences, for a BertForPreTraining.

    documents   the texts
    tokenizer   a WordPieceTokenizer
    length      T, tokens of a pair with its specials
    batch_size  pairs that go through the model at once; a step has `accumulate` times as many
    seed        decides the pairs and masks of each step

    metrics, on pairs of held-out documents that are drawn once, in a random order: the first of them, as many as
    eval_tokens says, and the last time all:
        val_loss                the loss as in training; and its two parts, val_masked_loss, val_next_sentence_loss
        masked_accuracy         share of the places with a [MASK] where the likeliest token is the right one. At a
                                tenth of the masked places the token stays: to copy what one sees is right there,
                                and says nothing about the text. (The loss counts all masked places, as in training)
        next_sentence_accuracy  share of the pairs that are judged rightly
        next_sentence_low       the lower end of the latter's 95 % interval (see `lower_end`), the last time. Left out
                                with fewer than ten documents, which tell nothing about others

    With next_sentence_weight=0 all pairs follow, as in training, and the metrics about them are left out.

    Raises UserError for a part with fewer than two documents of two sentences, and for one of unknown words alone.
    """

    name = "masked-lm"
    metrics = {  # noqa: RUF012 - read only
        "val_loss": False,
        "val_masked_loss": False,
        "val_next_sentence_loss": False,
        "masked_accuracy": True,
        "next_sentence_accuracy": True,
        "next_sentence_low": True,
    }
    fixed_shapes = False  # batches differ in the number of masked places

    def __init__(
        self,
        config: MaskedLMConfig,
        documents: Documents,
        tokenizer,
        length: int,
        batch_size: int = 32,
        accumulate: int = 1,
        seed: int = 1,
    ):
        self.config, self.documents, self.tokenizer, self.length = config, documents, tokenizer, length
        self.batch_size, self.rows, self.seed = batch_size, accumulate * batch_size, seed
        self.train = encode_documents(documents.train, tokenizer, documents.name)
        self.held_out = self.train
        if config.held_out:
            self.held_out = encode_documents(
                documents.held_out, tokenizer, f"{documents.name}, the part that is held out"
            )
        self.follows_only = not config.next_sentence_weight
        self.ordinary = np.ones(tokenizer.vocab_size, dtype=bool)  # tokens that can be masked
        self.ordinary[list(tokenizer.special_ids)] = False
        left_out = () if config.next_sentence_weight else _OF_PAIRS
        left_out = left_out if self.held_out.document_count >= _FEWEST_FOR_AN_INTERVAL else (*left_out, _OF_PAIRS[-1])
        self.metrics = {name: better for name, better in MaskedLM.metrics.items() if name not in left_out}

    def batch(self, step):
        rng = np.random.default_rng([self.seed, step])
        pairs = [self._draw(rng) for _ in range(self.rows)]
        batch = make_batch(pairs, self.tokenizer, self.length, rng, self.config.mask_share)
        return *batch, np.full(self.rows, _masked(batch.labels).mean())

    def _draw(self, rng: np.random.Generator) -> Pair:
        """A pair with a token that can be masked."""
        for _ in range(_TRIES):
            pair = draw_pair(self.train, self.length - PAIR_SPECIALS, rng, self.follows_only)
            if self._can_be_masked(pair):
                return pair
        raise UserError(_UNKNOWN.format(name=self.documents.name))

    def _can_be_masked(self, pair: Pair) -> bool:
        return bool(self.ordinary[pair.a].any() or self.ordinary[pair.b].any())

    def count(self, input_ids, attention_mask, *_):
        return int(attention_mask.sum())

    def loss(self, model, input_ids, attention_mask, token_type_ids, labels, next_sentence_label, masked_per_row):
        _, masked, next_sentence = model.loss(input_ids, attention_mask, token_type_ids, labels, next_sentence_label)
        if len(labels) != self.rows:  # a part of a step: the parts' means, by their rows, are to be the mean of all
            masked = masked * float(_masked(labels).mean() / masked_per_row[0])
        weight = self.config.next_sentence_weight
        if not weight:
            return Loss(masked, {"masked": masked})
        total = masked + (next_sentence if weight == 1 else next_sentence * weight)
        return Loss(total, {"masked": masked, "next_sentence": next_sentence})

    @cached_property
    def pairs(self) -> list[Pair]:
        """The held-out pairs, in a random order."""
        rng = np.random.default_rng(_HELD_OUT_SEED)
        pairs = all_pairs(self.held_out, self.length - PAIR_SPECIALS, rng, self.follows_only)
        pairs = [pairs[i] for i in rng.permutation(len(pairs)) if self._can_be_masked(pairs[i])]
        if not pairs:
            raise UserError(_UNKNOWN.format(name=self.documents.name))
        return pairs

    def _held_out_batch(self, first: int, end: int) -> Batch:
        """The held-out pairs number first .. end - 1, each masked as always, whatever the batches."""
        rows = [
            make_batch(
                [self.pairs[number]],
                self.tokenizer,
                self.length,
                np.random.default_rng([_HELD_OUT_SEED, number]),
                self.config.mask_share,
            )
            for number in range(first, min(end, len(self.pairs)))
        ]
        return Batch(*map(np.concatenate, zip(*rows, strict=True)))

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        limit = len(self.pairs) if last else max(1, self.config.eval_tokens // self.length)
        pairs = self.pairs[:limit]
        masked_loss, right, gaps, places, scores = 0.0, 0, 0, 0, []
        with model.evaluating(), no_grad():
            for first in range(0, len(pairs), self.batch_size):
                batch = self._held_out_batch(first, min(first + self.batch_size, len(pairs)))
                logits, pair_scores, targets = _judge(model, batch)
                masked_loss += F.cross_entropy(logits, targets, reduction="sum").item()
                hidden = self._hidden(batch)
                right += int(np.sum(to_numpy(logits.data).argmax(axis=-1)[hidden] == targets[hidden]))
                gaps += int(hidden.sum())
                places += len(targets)
                scores.append(to_numpy(pair_scores.data))
                progress(min(first + self.batch_size, len(pairs)), len(pairs))
        labels, judged = np.array([pair.label for pair in pairs]), np.concatenate(scores)
        masked_loss /= places
        next_loss, is_right = cross_entropy(labels, judged), judged.argmax(axis=1) == labels
        measured = {
            "val_loss": masked_loss + self.config.next_sentence_weight * next_loss,
            "val_masked_loss": masked_loss,
            "val_next_sentence_loss": next_loss,
            "masked_accuracy": right / max(gaps, 1),  # a very short evaluation may have no gap
            "next_sentence_accuracy": float(is_right.mean()),
            "next_sentence_low": lower_end(is_right, np.array([pair.document for pair in pairs])),
        }
        return {name: measured[name] for name in self.metrics if last or name != "next_sentence_low"}

    def guesses(self):
        batch = self._held_out_batch(0, len(self.pairs))
        gaps = batch.labels[batch.labels != IGNORE_INDEX][self._hidden(batch)]
        guesses = {"masked_accuracy": text_facts(gaps)["commonest_share"] if len(gaps) else 0.0}
        if not self.follows_only:
            follow = float(np.mean(batch.next_sentence_label == FOLLOWS))
            guesses["next_sentence_accuracy"] = max(follow, 1 - follow)
        return guesses

    def _hidden(self, batch: Batch) -> np.ndarray:
        """Which of the masked places (P,) of a batch, in its order, have a [MASK]."""
        return batch.input_ids[batch.labels != IGNORE_INDEX] == self.tokenizer.mask_id

    def sample(self, model) -> Iterator[str]:
        """Two held-out pairs: their texts with gaps, what the model puts there, and whether it says that B follows."""
        for label in (FOLLOWS, FROM_ELSEWHERE):
            pair = next((pair for pair in self.pairs if pair.label == label), None)
            if pair is not None:
                yield self._shown(model, pair)

    def _shown(self, model, pair: Pair) -> str:
        rng = np.random.default_rng(_HELD_OUT_SEED)
        batch = make_batch([pair], self.tokenizer, self.length, rng, self.config.mask_share)
        gaps = batch._replace(input_ids=np.where(batch.labels != IGNORE_INDEX, self.tokenizer.mask_id, batch.input_ids))
        with model.evaluating(), no_grad():
            logits, scores, targets = _judge(model, gaps)
            p = to_numpy(F.softmax(scores).data)[0]
        predicted = to_numpy(logits.data).argmax(axis=-1)
        text = self.tokenizer.decode(gaps.input_ids[0][gaps.attention_mask[0] == 1])
        said = [
            guess if guess == right else f"{guess} (was: {right})"
            for guess, right in (
                (self.tokenizer.decode([a]), self.tokenizer.decode([b]))
                for a, b in zip(predicted, targets, strict=True)
            )
        ]
        said_of_b = "" if self.follows_only else self._said_of_b(p, pair)
        return f"{text}\n  gaps: {', '.join(said)}\n{said_of_b}\n"

    @staticmethod
    def _said_of_b(p: np.ndarray, pair: Pair) -> str:
        """A line of what the probabilities p (2,) of the labels say of a pair."""
        label = int(p.argmax())
        verdict = "right" if label == pair.label else "wrong"
        what = "follows A" if label == FOLLOWS else "is from elsewhere"
        return f"  B {what} ({100 * p[label]:.0f} % sure): {verdict}\n"

    def probe(self):
        """A batch of held-out pairs with as many labels in each row."""
        pairs = self.pairs[: 4 * _PROBE_ROWS]
        batch = make_batch(
            pairs, self.tokenizer, self.length, np.random.default_rng(_HELD_OUT_SEED), self.config.mask_share
        )
        most = np.argsort(-_masked(batch.labels), kind="stable")[:_PROBE_ROWS]
        batch = Batch(*(a[most] for a in batch))
        places = min(int(_masked(batch.labels).min()), _PROBE_PLACES)
        number = np.cumsum(batch.labels != IGNORE_INDEX, axis=1)  # of each label in its row
        labels = np.where(number <= places, batch.labels, IGNORE_INDEX)
        return *batch._replace(labels=labels), np.full(len(labels), float(places))

    def answers(self, model, *arrays):
        logits, _, targets = _judge(model, Batch(*arrays[:5]))  # (P, V), (P,)
        rows = len(arrays[0])
        return logits.reshape(rows, -1, logits.shape[-1]), targets.reshape(rows, -1)  # (B, P / B, V), (B, P / B)

    def data(self):
        train, held_out = (f"{part.document_count:,}" for part in (self.train, self.held_out))
        one = self.train.left_out + (self.held_out.left_out if self.config.held_out else 0)
        left_out = f"; left out: {one:,} of a single sentence, which nothing follows" if one else ""
        others = f"{held_out} others" if self.config.held_out else "the same"
        return (
            f"{len(self.train):,} sentences of {train} documents of {self.config.corpus}, in pairs "
            f"({len(self.pairs):,} of {others} to evaluate){left_out}"
        )

    def settings(self):
        return dataclasses.asdict(self.config)

    def facts(self, model):
        tokens = self.train.tokens  # any of them is masked as often as any other
        masked = text_facts(tokens[~np.isin(tokens, self.tokenizer.special_ids)])
        return {"part": "masked", "choices": model.config.vocab_size} | masked


def _masked(labels: np.ndarray) -> np.ndarray:
    """labels (B, T) -> how many places of each row are masked (B,)."""
    return (labels != IGNORE_INDEX).sum(axis=1)


def _judge(model, batch: Batch):
    """(scores (P, V) of the tokens for each masked place, scores (B, 2) of the pairs, the right tokens (P,))."""
    x = model.bert.features(batch.input_ids, batch.attention_mask, batch.token_type_ids)  # (B, T, C)
    scores, targets = model.scores_at(x, batch.labels)
    return scores, model.next_sentence(model.bert.pooled(x)), targets


def lower_end(right: np.ndarray, documents: np.ndarray) -> float:
    """The lower end of the 95 % interval of the share of right judgements.

    right      (N,) booleans, of pairs
    documents  (N,) integers: the document of each pair

    Pairs of one document are alike, so N pairs tell less than N independent ones would. Documents, with all their
    pairs, are drawn with replacement, as many as there are; 2.5 % of the shares so drawn are below this one. (Efron,
    "Bootstrap methods: another look at the jackknife", 1979.) A pair's second passage may come from another document
    too, which is left out of account.
    """
    _, place = np.unique(documents, return_inverse=True)
    pairs, hits = np.bincount(place), np.bincount(place, weights=right)  # of each document (D,)
    drawn = np.random.default_rng(_HELD_OUT_SEED).integers(len(pairs), size=(_RESAMPLED, len(pairs)))
    return float(np.percentile(hits[drawn].sum(axis=1) / pairs[drawn].sum(axis=1), 2.5))
