"""What runs that train a translator do in their own way."""

import dataclasses

from tinygrad_gpt.data import load_tokenizer
from tinygrad_gpt.data.parallel import open_parallel
from tinygrad_gpt.data.translation_vocabulary import VOCABULARIES, check_vocabulary, train_vocabulary
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.transformer import Transformer, count_parameters
from tinygrad_gpt.tasks.translation import Translation
from tinygrad_gpt.train.kind_of_run import LONG_TEXT, KindOfRun
from tinygrad_gpt.train.saved_runs import PretrainedTranslator


class TranslationRuns(KindOfRun):
    """Runs of a Transformer on pairs of sentences."""

    run = PretrainedTranslator

    def open_data(self, settings, progress):
        task = settings.task
        return open_parallel(task.corpus, task.source, task.target, lowercase=task.lowercase, progress=progress)

    def make_tokenizer(self, settings, data, say):
        kind = settings.task.tokenizer
        if kind in VOCABULARIES:
            characters = sum(map(len, data.text()))
            if characters >= LONG_TEXT:
                say(f"learning a {kind} tokenizer from {characters:,} characters: this may take a minute ...")
            return train_vocabulary(data, kind, settings.task.vocab)
        if not user_path(kind).exists():
            raise UserError(
                f"there is no tokenizer {in_short(kind)!r}{did_you_mean(kind, (*VOCABULARIES, 'own'))}: expected "
                f"{', '.join(VOCABULARIES)}, own, or the path of a saved one"
            )
        tokenizer = load_tokenizer(kind)
        check_vocabulary(tokenizer, kind)
        return tokenizer

    def make_task(self, settings, data, tokenizer):
        train, positions = settings.train, settings.model["max_position_embeddings"]
        return Translation(settings.task, data, tokenizer, positions, train.accumulate, train.seed)

    def record(self, data, task):
        held_out = [data.valid.target[place] for place in task.held_out.places]
        return {
            "path": data.path,
            "sha256": data.sha256,
            "source": data.source,
            "target": data.target,
            "train_pairs": len(task.train),
            "held_out_pairs": len(task.held_out),
            "val_tokens": int(task.held_out.lengths[:, 1].sum()),  # of the targets, the end a line end
            "val_bytes": sum(len(f"{sentence}\n".encode()) for sentence in held_out),
        }

    def model_config(self, settings, tokenizer, source):
        if source is not None:
            if source.config.decoder_start_token_id != source.config.pad_token_id:
                raise UserError(
                    f"{source.name} starts its decoder with token {source.config.decoder_start_token_id}, and training "
                    f"with padding, {source.config.pad_token_id}: give --from a model whose decoder_start_token_id is "
                    "its pad_token_id"
                )
            return dataclasses.replace(source.config, **settings.model)
        ids = {"pad_token_id": tokenizer.pad_id, "eos_token_id": tokenizer.end_id, "decoder_start_token_id": None}
        return settings.model_config(tokenizer.vocab_size, **ids)

    def make_model(self, settings, config):
        return Transformer(config)

    def count_parameters(self, config):
        return count_parameters(config)

    def load(self, source):
        return source.load()
