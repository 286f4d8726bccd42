"""What runs that pre-train an XLNet on a text do in their own way."""

from tinygrad_gpt.data.tokenizer_files import load_tokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel
from tinygrad_gpt.tasks.permutation_lm import PermutationLM
from tinygrad_gpt.train.kind_of_run import LONG_TEXT
from tinygrad_gpt.train.saved_runs import PretrainedXLNet
from tinygrad_gpt.train.text_run import TextRuns, origin_of


class PermutationRuns(TextRuns):
    """Runs of an XLNetLMHeadModel on a text, in orders that are drawn."""

    run = PretrainedXLNet

    def make_tokenizer(self, settings, data, say):
        kind = settings.task.tokenizer
        if kind == "unigram":
            if data.train_characters >= LONG_TEXT:
                many = f"{data.train_characters:,} characters"
                say(f"learning a unigram tokenizer from {many}: this may take a minute ...")
            return XLNetTokenizer.train(data, settings.task.vocab)
        if not user_path(kind).exists():
            raise UserError(
                f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, ('unigram', 'own'))}: expected unigram, "
                "own, or the path of a saved one of an XLNet"
            )
        tokenizer = load_tokenizer(kind)
        if not isinstance(tokenizer, XLNetTokenizer):
            raise UserError(
                f"an XLNet reads with a tokenizer of its own kind, and {kind} holds a {type(tokenizer).__name__}: give "
                "--tokenizer unigram"
            )
        return tokenizer

    def make_task(self, settings, data, tokenizer):
        train = settings.train
        return PermutationLM(settings.task, data, tokenizer, train.batch_size, train.accumulate, train.seed)

    def record(self, data, task):
        return origin_of(data) | {"train_tokens": len(task.train.tokens), "val_tokens": len(task.held_out.tokens)}

    def make_model(self, settings, config):
        return XLNetLMHeadModel(config)

    def load(self, source):
        return source.for_pretraining()
