"""What runs that pre-train a BERT on documents do in their own way."""

import math

from tinygrad_gpt.data.documents import NAMES, open_documents
from tinygrad_gpt.data.tokenizer_files import load_tokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import WORDPIECE_FILE, WordPieceTokenizer
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.bert import BertForPreTraining, count_parameters
from tinygrad_gpt.nn.positions import sinusoids
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.train.kind_of_run import LONG_TEXT, KindOfRun
from tinygrad_gpt.train.places import absolute
from tinygrad_gpt.train.saved_runs import PretrainedBert

# Sinusoids to start from have _LOUDER times the standard deviation of the word vectors, so that attention hears places
# before words, and waves of up to 2π _LONGEST places, about what a small model reads.
_LOUDER, _LONGEST = 2, 200.0


class Pretraining(KindOfRun):
    """Runs of a BertForPreTraining on documents."""

    run = PretrainedBert

    def open_data(self, settings, progress):
        task = settings.task
        return open_documents(task.corpus, task.held_out, progress=progress, hold_none="--no-held-out")

    def make_tokenizer(self, settings, data, say):
        kind = settings.task.tokenizer
        if kind == "wordpiece":
            characters = sum(len(sentence) for document in data.train for sentence in document)
            if characters >= LONG_TEXT:
                say(f"learning a wordpiece tokenizer from {characters:,} characters: this may take a minute ...")
            return WordPieceTokenizer.train(data.text(), settings.task.vocab)
        if not user_path(kind).exists() and kind in ("char", "bpe", "gpt1"):
            raise UserError(f"a BERT reads WordPiece, and {kind} is a GPT's: give --tokenizer wordpiece")
        if not user_path(kind).exists():
            raise UserError(
                f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, ('wordpiece', 'own'))}: expected "
                f"wordpiece, own, or the path of a saved one or of a {WORDPIECE_FILE}"
            )
        tokenizer = load_tokenizer(kind)
        if not isinstance(tokenizer, WordPieceTokenizer):
            raise UserError(
                f"a BERT reads WordPiece, and {kind} holds a {type(tokenizer).__name__}: give --tokenizer wordpiece"
            )
        return tokenizer

    def make_task(self, settings, data, tokenizer):
        train = settings.train
        return MaskedLM(settings.task, data, tokenizer, settings.window, train.batch_size, train.accumulate, train.seed)

    def record(self, data, task):
        return {
            "path": None if data.name in NAMES else absolute(data.name),
            "sha256": data.sha256,
            "train_documents": task.train.document_count,
            "held_out_documents": task.held_out.document_count,
            "train_sentences": len(task.train),
            "held_out_pairs": len(task.pairs),
        }

    def make_model(self, settings, config):
        model = BertForPreTraining(config)
        if settings.task.first_positions == "sinusoids":
            positions = model.bert.position_embedding.weight.data  # (T, C)
            std = _LOUDER * config.initializer_range  # that of sinusoids is 1/√2
            positions[...] = math.sqrt(2) * std * sinusoids(len(positions), config.hidden_size, _LONGEST)
        return model

    def count_parameters(self, config):
        return count_parameters(config)

    def load(self, source):
        return source.for_pretraining()
