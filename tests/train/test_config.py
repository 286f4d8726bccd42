"""Settings: what they may be, presets, and what a resumed run may change."""

import dataclasses
import math

import pytest

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT, GPTConfig, count_parameters
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.tasks.arrays import Pairs, Windows
from tinygrad_gpt.tasks.masked_lm import MaskedLM
from tinygrad_gpt.tasks.next_token import NextToken, NextTokenConfig
from tinygrad_gpt.tasks.permutation_lm import PermutationLM
from tinygrad_gpt.tasks.similarity import Similarity
from tinygrad_gpt.tasks.source_targets import SourceTargets
from tinygrad_gpt.tasks.spans import Spans
from tinygrad_gpt.tasks.streams import Streams
from tinygrad_gpt.tasks.text_classes import TextClasses
from tinygrad_gpt.tasks.token_labels import TokenLabels
from tinygrad_gpt.tasks.translation import Translation
from tinygrad_gpt.train import any_run
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.permutation_settings import PermutationSettings
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.pretraining_settings import PretrainingSettings
from tinygrad_gpt.train.run_folder import OPENED_BY
from tinygrad_gpt.train.stream_settings import StreamSettings
from tinygrad_gpt.train.sweep import parse
from tinygrad_gpt.train.text_settings import MODEL_FIELDS, SETTINGS, resolve, resumed_settings, settings_of
from tinygrad_gpt.train.trainer import learning_rate
from tinygrad_gpt.train.translation_settings import TranslationSettings

SCHEDULES = "cosine, linear, constant, inverse_sqrt, noam"
OF_KIND = {
    "gpt": SETTINGS,
    "transformer-xl": StreamSettings.options(),
    "bert": PretrainingSettings.options(),
    "xlnet": PermutationSettings.options(),
    "transformer": TranslationSettings.options() | {"batch_size": None},  # which TrainConfig has, and nobody may give
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 0, "steps should be at least 1, not 0"),
        ("steps", 2.5, "steps should be int, not 2.5"),
        ("lr", 0.0, "lr should be greater than 0, not 0.0"),
        ("lr", math.nan, "lr should be a finite number, not nan"),
        ("beta1", 1.0, "beta1 should be less than 1, not 1.0"),
        ("schedule", "step", f"schedule should be one of {SCHEDULES}, not 'step'"),
        ("dtype", "f16", "dtype should be one of float32, tf32, bfloat16, float64, not 'f16'"),
        ("schedule", "cosin", f"schedule should be one of {SCHEDULES}, not 'cosin' (did you mean cosine?)"),
        ("seed", -1, "seed should be at least 0, not -1"),
    ],
)
def test_a_value_that_cannot_be(name, value, message):
    with pytest.raises(UserError) as caught:
        TrainConfig(**{name: value})
    assert str(caught.value) == message


def test_min_lr_above_lr():
    with pytest.raises(UserError, match=r"min_lr should be at most lr, which is 0.001, not 0.01"):
        TrainConfig(min_lr=0.01)
    with pytest.raises(UserError, match="min_lr should be at most lr"):
        TrainConfig(min_lr=0.01, schedule="linear")


@pytest.mark.parametrize("schedule", ["constant", "inverse_sqrt", "noam"])
def test_schedules_that_do_not_read_min_lr_ask_nothing_of_it(schedule):
    config = TrainConfig(lr=1e-5, min_lr=1e-4, warmup=1, schedule=schedule)
    assert 0 < learning_rate(500, config, width=16) <= 1e-5


def test_every_setting_has_a_help_and_a_group():
    fields = (*MODEL_FIELDS, *dataclasses.fields(NextTokenConfig), *dataclasses.fields(TrainConfig))
    for field in fields:
        assert field.metadata["help"] and field.metadata["group"] in ("Model", "Data", "Optimiser", "Run"), field.name
    assert len(SETTINGS) == len(fields), "a name is used for two settings"


def test_nothing_that_changes_the_weights_is_free():
    free = {name for name, field in SETTINGS.items() if field.metadata["free"]}
    assert free == {
        "log_interval",
        "eval_interval",
        "eval_tokens",
        "checkpoint_interval",
        "health",
        "prompt",
        "sample_tokens",
        "recompute",
        "device",
    }


SHAPE = GPTConfig(vocab_size=11, block_size=16, n_layer=1, n_head=2, n_embd=8, dropout=0.1, embd_pdrop=0.2)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_resolve(name):
    settings = any_run.resolve(name) if PRESETS[name].model else any_run.resolve(name, {"from_": "somewhere"}, SHAPE)
    assert settings.preset == name
    assert set(settings.values()) == set(OF_KIND[PRESETS[name].kind])
    assert set(PRESETS[name].train) <= set(settings.values()), "a setting of a preset that nobody reads"


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.kind == "bert"])
def test_a_bert_warms_up(name):
    """Its masked LM stays at the level of counting tokens where the learning rate is high from the first step."""
    train = any_run.resolve(name).train
    assert train.warmup >= 0.04 * train.steps and train.schedule == "linear" and train.min_lr == 0
    assert train.batch_size * train.accumulate >= 8


def test_an_earlier_name_of_a_setting_is_understood(tmp_path):
    """In Python, in the config.json of a run that was made with it, and when that is resumed."""
    settings = resolve("tiny", {"tokenizer": "bpe", "bpe_vocab": 300})
    assert settings.task.vocab == 300
    task = dataclasses.asdict(settings.task)
    task["bpe_vocab"] = task.pop("vocab")
    written = {"preset": "tiny", "model": settings.model, "task": task, "train": dataclasses.asdict(settings.train)}
    assert settings_of(written, tmp_path) == settings
    assert resumed_settings(settings, None, {"bpe_vocab": 300}) == settings
    with pytest.raises(UserError, match="--vocab is 300, not 400"):
        resumed_settings(settings, None, {"bpe_vocab": 400})
    assert parse(["bpe-vocab=300,400"]) == {"vocab": [300, 400]}


def test_every_task_is_in_the_table_of_what_opens_its_run():
    tasks = (
        NextToken,
        MaskedLM,
        TextClasses,
        Similarity,
        TokenLabels,
        Spans,
        Pairs,
        Windows,
        SourceTargets,
        Translation,
        Streams,
        PermutationLM,
    )
    assert {task.name for task in tasks} == OPENED_BY.keys()


def test_the_published_recipe():
    values = resolve("nanogpt-char-cpu").values()
    published = dict(n_layer=4, n_head=4, n_embd=128, block_size=64, batch_size=12, steps=2000, dropout=0.0, bias=False)
    published |= dict(lr=1e-3, min_lr=1e-4, warmup=100, schedule="cosine", beta1=0.9, beta2=0.99, weight_decay=0.1)
    published |= dict(grad_clip=1.0, tied=True, tokenizer="char", norm="pre")
    assert {name: values[name] for name in published} == published


def test_given_settings_go_before_the_presets():
    settings = resolve("tiny", {"n_layer": 3, "lr": 0.01})
    assert settings.model["n_layer"] == 3 and settings.train.lr == 0.01
    assert settings.model["n_head"] == PRESETS["tiny"].model["n_head"]


@pytest.mark.parametrize(
    ("preset", "given", "message"),
    [
        ("nope", {}, "there is no preset 'nope'; the presets are quick, "),
        ("tiny", {"frob": 1}, "there is no setting 'frob'"),
        ("tiny", {"n_head": 5}, "n_embd should be a multiple of n_head"),
        ("tiny", {"activation": "swish"}, "activation should be one of "),
        ("tiny", {"dropout": 1.0}, "dropout should be less than 1"),
    ],
)
def test_what_does_not_resolve(preset, given, message):
    with pytest.raises(UserError) as caught:
        resolve(preset, given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_setting_that_may_be_left_open():
    assert GPTConfig(11, n_inner=None, attn_pdrop=None).attn_pdrop is None
    for wrong in (dict(n_inner=0), dict(n_inner=2.5), dict(attn_pdrop=1.0), dict(vocab_size=None)):
        with pytest.raises(UserError, match=next(iter(wrong))):
            GPTConfig(**({"vocab_size": 11} | wrong))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("inner", [None, 7])
@pytest.mark.parametrize("positions", ["learned", "none"])
def test_parameters_are_counted_without_making_the_model(bias, tied, norm, inner, positions):
    shape = dict(vocab_size=11, block_size=5, n_layer=3, n_head=2, n_embd=6, n_inner=inner, positions=positions)
    config = GPTConfig(**shape, bias=bias, tied=tied, norm=norm)
    assert count_parameters(config) == GPT(config).num_parameters()


def test_gpt2_has_its_published_size():
    assert resolve("gpt2-124m").parameters() == 124_439_808


def test_learning_rate_falls_as_the_schedule_says():
    config = TrainConfig(steps=100, warmup=10, lr=1.0, min_lr=0.1)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11) and max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.55)  # half way down
    assert 0.1 < rates[99] < 0.101
    linear = dataclasses.replace(config, schedule="linear")
    assert learning_rate(32, linear) == pytest.approx(1 - 0.9 * 22 / 90)
    constant = dataclasses.replace(config, schedule="constant")
    assert [learning_rate(step, constant) for step in (10, 55, 99)] == [1.0] * 3


def test_schedules_with_the_inverse_root_of_the_step_do_not_depend_on_the_steps():
    for schedule, width, peak in (("inverse_sqrt", None, 0.5), ("noam", 16, 0.5 * (16 * 10) ** -0.5)):
        configs = [TrainConfig(steps=n, warmup=10, lr=0.5, min_lr=0.4, schedule=schedule) for n in (50, 100)]
        rates = [[learning_rate(step, config, width) for step in range(50)] for config in configs]
        assert rates[0] == rates[1] and max(rates[0]) == rates[0][9] == pytest.approx(peak)
        assert rates[0][39] == pytest.approx(peak / 2)
    with pytest.raises(UserError, match="--schedule noam needs a model whose config says its width: take inverse_sqrt"):
        learning_rate(0, TrainConfig(schedule="noam"))


def test_a_resumed_run_may_change_only_what_is_free():
    saved = resolve("tiny")
    same = resumed_settings(saved, "tiny", {"steps": saved.train.steps, "log_interval": 3})
    assert same == dataclasses.replace(saved, train=dataclasses.replace(saved.train, log_interval=3))
    with pytest.raises(UserError, match=r"--batch-size is 8, not 9, --n-layer is 2, not 5; leave it out"):
        resumed_settings(saved, None, {"batch_size": 9, "n_layer": 5})
    longer = resumed_settings(saved, None, {"steps": 300})
    assert longer == dataclasses.replace(saved, train=dataclasses.replace(saved.train, steps=300))
    with pytest.raises(UserError, match="started with --preset tiny, not quick"):
        resumed_settings(saved, "quick", {})


def test_what_decides_when_a_run_with_patience_ends_stays():
    """How often, and on how much, the evaluations are made that its patience counts."""
    measured = {"eval_interval", "eval_tokens", "eval_pairs", "bleu_pairs"}
    for preset, others in (("tiny", {}), ("bert-tiny", {}), ("transformer-toy", {"decides": "bleu", "bleu_pairs": 7})):
        for patience in (0, 3):
            saved = any_run.resolve(preset, {"patience": patience} | others)
            names = measured & saved.values().keys()
            assert len(names) == (3 if others else 2)
            for name in names:
                if patience:
                    with pytest.raises(UserError, match=rf"{option_name(name)} is \d+, not 3; leave it out"):
                        saved.resumed(preset, {name: 3})
                else:
                    assert saved.resumed(preset, {name: 3}).values()[name] == 3
            assert saved.resumed(preset, {"log_interval": 3}).train.log_interval == 3


def test_settings_of_another_version(tmp_path):
    saved = resolve("tiny")
    config = {"preset": "tiny", "model": dict(saved.model), "train": dataclasses.asdict(saved.train)}
    config["task"] = dataclasses.asdict(saved.task)
    assert settings_of(config, tmp_path) == saved
    for part, name in (("train", "accumulate"), ("task", "from_"), ("model", "n_inner")):
        del config[part][name]  # an older version, which did not have them
    assert settings_of(config, tmp_path) == saved
    config["train"]["frob"] = 1
    with pytest.raises(UserError, match=r"another version of tinygrad-gpt \(settings: frob\)"):
        settings_of(config, tmp_path)


def test_option_names():
    assert option_name("checkpoint_interval") == "--checkpoint-interval"
    assert option_name("from_") == "--from"


# --- going on from a trained model ---------------------------------------------------------------------------------


def test_the_shape_comes_from_the_source_and_the_recipe_from_finetune():
    settings = resolve(None, {"from_": "somewhere"}, SHAPE)
    assert settings.preset == "finetune" and settings.model_config(11) == SHAPE
    assert settings.task.tokenizer == "own" and settings.window == settings.task.window == 16
    recipe = dict(lr=5e-5, min_lr=0.0, schedule="linear", warmup=0, beta1=0.9, beta2=0.999, eps=1e-8, grad_clip=1.0)
    recipe |= dict(weight_decay=0.0, batch_size=8, batches="epochs")  # of transformers' Trainer
    assert {name: settings.values()[name] for name in recipe} == recipe


def test_a_source_with_another_preset_and_tokenizer():
    settings = resolve("tiny", {"from_": "somewhere", "tokenizer": "char"}, SHAPE)
    assert settings.preset == "tiny" and settings.train.batch_size == 8 and settings.task.tokenizer == "char"
    assert resolve("tiny", {"from_": "somewhere"}, SHAPE).task.tokenizer == "own"


def test_block_size_is_the_window_of_a_source():
    settings = resolve(None, {"from_": "somewhere", "block_size": 8}, SHAPE)
    assert settings.window == 8 and settings.model["block_size"] == 16
    long = dataclasses.replace(SHAPE, block_size=4096)
    assert resolve(None, {"from_": "somewhere"}, long).window == 1024
    assert resumed_settings(settings, None, {"block_size": 8}) == settings
    with pytest.raises(UserError, match="--window is 8, not 4"):
        resumed_settings(settings, None, {"block_size": 4})


def test_dropouts_may_be_given():
    def dropouts(**given):
        model = resolve(None, {"from_": "somewhere"} | given, SHAPE).model
        return model["dropout"], model["embd_pdrop"], model["attn_pdrop"]

    assert dropouts() == (0.1, 0.2, None)
    assert dropouts(dropout=0.0) == (0.0, None, None), "all of them"
    assert dropouts(embd_pdrop=0.3) == (0.1, 0.3, None)


@pytest.mark.parametrize(
    ("preset", "given", "message"),
    [
        (None, {"n_layer": 2}, "--n-layer cannot be given with --from: the model that it names has n_layer 1"),
        (None, {"block_size": 17}, "a window of 17 tokens is more than the 16 positions of the model"),
        ("nope", {}, "there is no preset 'nope'"),
    ],
)
def test_what_does_not_go_with_a_source(preset, given, message):
    with pytest.raises(UserError) as caught:
        resolve(preset, {"from_": "somewhere"} | given, SHAPE)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_what_needs_a_source():
    with pytest.raises(UserError, match="the preset finetune starts from a trained model: name one with --from"):
        resolve("finetune")
    with pytest.raises(UserError, match="--tokenizer own is the tokenizer of the model that --from names"):
        resolve("tiny", {"tokenizer": "own"})
