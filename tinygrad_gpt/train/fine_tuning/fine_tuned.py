"""A fine-tuned model, in use: texts in, what it was taught out.

model = FineTuned("runs/stsb-1")       # its best run
model.numbers([("A man eats.", "A man is eating.")])
next(model.predict(["A man eats.", "A man is eating."]))      # {"texts": ..., "number": 4.2}
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.data.alignment import cut_off
from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SIMILARITY, SPANS, TOKENS
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import read_json
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.bert import BertWithHead
from tinygrad_gpt.models.bert_heads import BertForQuestionAnswering
from tinygrad_gpt.models.gpt import count_parameters
from tinygrad_gpt.models.hf.pretrained import CONFIG, save_pretrained
from tinygrad_gpt.models.xlnet_heads import XLNetWithHead
from tinygrad_gpt.tasks import similarity, spans, text_classes, token_labels
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.families import FAMILIES
from tinygrad_gpt.tasks.fine_tuning import remark_on_cut
from tinygrad_gpt.tasks.kinds import TASK_OF_KIND
from tinygrad_gpt.tasks.xlnet_family import XLNetFamily
from tinygrad_gpt.train.fine_tuning.folder import best_run, family_of, outputs_of, read_fine_tuned
from tinygrad_gpt.train.saved_runs import load_weights
from tinygrad_gpt.train.trained_model import find_model

_KIND_OF = {  # the class of a Hugging Face folder -> the kind of its task
    "BertForSequenceClassification": CLASSES,
    "BertForTokenClassification": TOKENS,
    "BertForQuestionAnswering": SPANS,
    "XLNetForSequenceClassification": CLASSES,
}
_WITH_HEADS = (BertFamily.name, XLNetFamily.name)  # families whose heads transformers has too


def head_in(path: Path) -> str:
    """The class of a Hugging Face folder with a BERT or an XLNet that was taught something; "" for other folders."""
    try:
        written = read_json(path / CONFIG) if (path / CONFIG).exists() else {}
    except UserError:
        return ""
    named = written.get("architectures") if written.get("model_type", BertFamily.name) in _WITH_HEADS else None
    return next((name for name in named if name in _KIND_OF), "") if isinstance(named, list) else ""


class FineTuned:
    """A model that `finetune` trained.

    kind     of its task: classes, pair-classes, similarity, tokens or spans
    classes  the classes, or the labels of words, as they were written in the data; () for the other kinds
    """

    kind: str
    classes: tuple[str, ...]

    def __init__(self, folder: str | Path, device: str = "cpu"):
        """folder  made by `finetune`, for its best run, or the folder of a single run; or a Hugging Face folder with a
                BERT for sequence classification, token classification or question answering, or with an XLNet for
                sequence classification
        device  where to compute

        Raises UserError for other folders, for files that are missing or damaged, and for a missing device.
        """
        self.path = user_path(str(folder))
        if head_in(self.path):
            self._open_hugging_face()
        else:
            self._open_run()
        self.tokenizer = self.family.tokenizer
        self.model.to(device)

    def _open_run(self) -> None:
        run = best_run(self.path)
        self.path, written = run.path, read_fine_tuned(run)
        self.kind, self.classes = written["task"]["kind"], tuple(written["task"]["classes"])
        self.family = family_of(run, written)
        outputs, parameters = outputs_of(written), written.get("parameters") or count_parameters(self.family.shape)
        self.model = load_weights(run, parameters, lambda: self.family.model_for(self.kind, outputs))

    def _open_hugging_face(self) -> None:
        source = find_model(str(self.path), kinds=_WITH_HEADS)
        self.family = FAMILIES[source.kind](source.tokenizer(), source.config)
        self.model = source.load()
        if isinstance(self.model, BertForQuestionAnswering):
            self.kind, self.classes = SPANS, ()
            return
        self.kind, self.classes = _KIND_OF[type(self.model).__name__], tuple(self.model.id2label.values())
        if self.kind == CLASSES and len(self.classes) == 1:  # a number
            self.kind, self.classes = SIMILARITY, ()

    def probabilities(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> np.ndarray:
        """(N, classes) float64: the probability of each class for each text, or each pair of texts."""
        self.check_kind(CLASSES, PAIR_CLASSES)
        return text_classes.probabilities(self.family, self.model, [(t,) if isinstance(t, str) else t for t in texts])

    def numbers(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """(N,) float64: how alike the two texts of each pair are, on the scale of the training examples."""
        self.check_kind(SIMILARITY)
        return similarity.numbers(self.family, self.model, pairs)

    def labels(self, sentences: Sequence[Sequence[str]]) -> list[list[tuple[str, float]]]:
        """For each sentence, given as its words: the label of each word, and its probability; nan for a word that was
        cut off, which counts as O."""
        self.check_kind(TOKENS)
        found = token_labels.labels_of(self.family, self.model, sentences)
        return [[(self.classes[i], float(p)) for i, p in zip(*one, strict=True)] for one in found]

    def answers(self, asked: Sequence[tuple[str, str]]) -> list[spans.PredictedAnswer]:
        """The likeliest answer to each (question, text)."""
        self.check_kind(SPANS)
        return spans.answers(self.family, self.model, asked)

    def save_pretrained(self, folder: Path) -> None:
        """Write a BERT or an XLNet as a Hugging Face folder with its tokenizer, which transformers' class of the same
        name reads: id2label names the classes. Raises UserError for a GPT: transformers has no such head."""
        if not isinstance(self.model, BertWithHead | XLNetWithHead):
            raise UserError(
                f"{self.path} holds a GPT with the head of GPT-1's paper, which transformers does not have: only a "
                "fine-tuned BERT can be exported, or an XLNet"
            )
        if self.classes:
            self.model.id2label = dict(enumerate(self.classes))
        save_pretrained(self.model, folder, self.tokenizer)

    def predict(self, texts: Sequence[str], passage: str | None = None) -> Iterator[dict[str, Any]]:
        """What the model says of some texts, as JSON values:

        classes       a text each             text, class, probability
        pair-classes  two texts each          texts, class, probability
        similarity    two texts each          texts, number
        tokens        a sentence each         text, words: word, label and probability (None if it was cut off) of each
        spans         a question each         question, answer, begin and end of its characters, probability

        passage  the text that answers the questions; for spans only

        Raises UserError for an odd number of texts where they are read in pairs, a sentence without words, and a
        passage that is missing or for another kind.
        """
        if self.kind == SPANS and passage is None:
            raise UserError(f"{self.path} answers questions about a text: give `passage` (--text)")
        if self.kind != SPANS and passage is not None:
            raise UserError(f"{self.path} answers no questions about a text: leave out `passage` (--text)")
        if self.kind in (CLASSES, PAIR_CLASSES):
            given: Any = texts if self.kind == CLASSES else self._pairs(texts)
            for one, p in zip(given, self.probabilities(given), strict=True):
                asked = {"text": one} if self.kind == CLASSES else {"texts": one}
                yield asked | {"class": self.classes[p.argmax()], "probability": float(p.max())}
        elif self.kind == SIMILARITY:
            pairs = self._pairs(texts)
            for pair, number in zip(pairs, self.numbers(pairs), strict=True):
                yield {"texts": pair, "number": float(number)}
        elif self.kind == TOKENS:
            sentences = [text.split() for text in texts]
            if not all(sentences):
                raise UserError("expected sentences with at least one word, got an empty one")
            for text, words, labels in zip(texts, sentences, self.labels(sentences), strict=True):
                rows = zip(words, labels, strict=True)
                found = [{"word": w, "label": y, "probability": None if math.isnan(p) else p} for w, (y, p) in rows]
                yield {"text": text, "words": found}
        else:
            assert passage is not None
            for question, found in zip(texts, self.answers([(text, passage) for text in texts]), strict=True):
                where = {"begin": found.begin, "end": found.end, "probability": found.probability}
                yield {"question": question, "answer": found.text} | where

    def remark(self, texts: Sequence[str]) -> str:
        """What the model does not read of the texts that `predict` takes, in a line; "" if it reads all. (Long texts
        that answer questions are read in windows.)"""
        if self.kind == SPANS:
            return ""
        if self.kind == TOKENS:
            lost = cut_off(self.family.words(text.split()).places for text in texts if text.split())
            beyond = f"lie beyond the {self.family.longest} tokens that are read, and count as {self.classes[0]}"
            return f"{lost.words:,} of {lost.of_words:,} words {beyond}" if lost.words else ""
        each = [(text,) for text in texts] if self.kind == CLASSES else self._pairs(texts)
        read = self.family.symmetric if self.kind == SIMILARITY else self.family.text
        return remark_on_cut(self.family, [read(*one) for one in each], each)

    def _pairs(self, texts: Sequence[str]) -> list[tuple[str, str]]:
        if len(texts) % 2:
            raise UserError(f"{self.path} reads texts in pairs, A B A B ...: expected an even number, got {len(texts)}")
        return list(zip(texts[::2], texts[1::2], strict=True))

    def check_kind(self, *kinds: str) -> None:
        """Raise UserError for a model of another kind."""
        if self.kind not in kinds:
            raise UserError(
                f"{self.path} learned the task {TASK_OF_KIND[self.kind].name}, not {' or '.join(kinds)}: "
                "`tinygrad-gpt predict` uses it"
            )
