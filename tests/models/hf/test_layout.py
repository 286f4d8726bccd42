"""Settings in transformers' words: each that changes the maths is honoured, or refused by its name."""

import dataclasses

import pytest

from tests.checkpoints import GPT1_CONFIG, GPT2_CONFIG
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT1, GPT2, GPTConfig

GPT2_DEFAULTS = dict(
    vocab_size=11,
    block_size=7,
    n_layer=2,
    n_head=2,
    n_embd=6,
    n_inner=10,
    dropout=0.1,
    embd_pdrop=0.0,
    attn_pdrop=0.2,
    norm="pre",
)


def gpt2(**settings) -> GPTConfig:
    return GPT2.layout.config_from(GPT2_CONFIG | settings, "config.json")


def gpt1(**settings) -> GPTConfig:
    return GPT1.layout.config_from(GPT1_CONFIG | settings, "config.json")


def refusal(read, *arguments, **settings) -> str:
    with pytest.raises(UserError) as error:
        read(*arguments, **settings)
    message = str(error.value)
    assert "\n" not in message
    return message


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "ours"),
    [
        ({}, {}),
        (dict(n_inner=None), dict(n_inner=None)),
        (dict(activation_function="gelu_pytorch_tanh"), {}),
        (dict(activation_function="gelu_fast"), {}),
        (dict(activation_function="gelu"), dict(activation="gelu")),
        (dict(activation_function="relu"), dict(activation="relu")),
        (dict(activation_function="silu"), dict(activation="silu")),
        (dict(activation_function="swish"), dict(activation="silu")),
        (dict(activation_function="tanh"), dict(activation="tanh")),
        (dict(layer_norm_epsilon=0.5), dict(layer_norm_epsilon=0.5)),
        (dict(scale_attn_weights=False), dict(scale_attn_weights=False)),
        (dict(scale_attn_by_inverse_layer_idx=True), dict(scale_attn_by_inverse_layer_idx=True)),
        (dict(tie_word_embeddings=False), dict(tied=False)),
        (dict(resid_pdrop=0, embd_pdrop=0.3), dict(dropout=0, embd_pdrop=0.3)),
    ],
    ids=str,
)
def test_gpt2_settings_are_honoured(settings, ours):
    assert gpt2(**settings) == GPTConfig(**(GPT2_DEFAULTS | ours))


@pytest.mark.parametrize(
    ("settings", "ours"),
    [
        ({}, {}),
        (dict(afn="relu"), dict(activation="relu")),
        (dict(afn="silu"), dict(activation="silu")),
        (dict(afn="swish"), dict(activation="silu")),
        (dict(tie_word_embeddings=False), dict(tied=False)),
    ],
    ids=str,
)
def test_gpt1_settings_are_honoured(settings, ours):
    expected = GPT2_DEFAULTS | dict(n_inner=None, norm="post", embd_pdrop=0.1, attn_pdrop=0.1)
    assert gpt1(**settings) == GPTConfig(**(expected | ours))


def test_what_older_files_lack_has_the_value_it_had_then():
    """openai-community/gpt2's own config.json says no more than this of what is computed."""
    needed = ("model_type", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    config = GPT2.layout.config_from({name: GPT2_CONFIG[name] for name in needed}, "config.json")
    pdrops = dict(dropout=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
    assert config == GPTConfig(**(GPT2_DEFAULTS | pdrops | dict(n_inner=None)))


def test_other_names_for_the_same():
    renamed = {k: v for k, v in GPT2_CONFIG.items() if k not in ("n_embd", "n_layer", "n_head", "n_positions")}
    renamed |= dict(hidden_size=6, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=7)
    assert GPT2.layout.config_from(renamed, "config.json") == gpt2()
    del renamed["max_position_embeddings"]
    assert GPT2.layout.config_from(renamed | dict(n_ctx=7), "config.json") == gpt2()


def test_settings_that_do_not_touch_the_maths_are_passed_over():
    settings = dict(summary_type="cls_index", use_cache=False, reorder_and_upcast_attn=True, torch_dtype="float16")
    settings |= dict(add_cross_attention=False, pruned_heads={}, quantization_config=None, id2label={"0": "x"})
    assert gpt2(**settings) == gpt2()


@pytest.mark.parametrize("name", ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"])
def test_a_config_without_a_field(name):
    for layout, config in ((GPT2.layout, GPT2_CONFIG), (GPT1.layout, GPT1_CONFIG)):
        lacking = {k: v for k, v in config.items() if k != name}
        assert refusal(layout.config_from, lacking, "x/config.json") == f"x/config.json lacks {name}"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(add_cross_attention=True), "add_cross_attention is True, which is not supported"),
        (dict(pruned_heads={"0": [1]}), "pruned_heads is {'0': [1]}"),
        (dict(quantization_config={"bits": 4}), "quantization_config is"),
        (dict(is_encoder_decoder=True), "is_encoder_decoder is True"),
        (dict(activation_function="mish"), "activation_function should be one of gelu_new, "),
        (dict(activation_function=["gelu"]), "activation_function should be one of gelu_new, "),
        (dict(rotary_dim=4, alibi=True), "may change what the model computes: alibi, rotary_dim"),
        (dict(n_positions="7"), "config.json: n_positions should be int, not '7'"),
        (dict(n_layer=None), "config.json: n_layer should be int, not None"),
        (dict(n_layer=2.5), "config.json: n_layer should be int, not 2.5"),
        (dict(vocab_size=0), "config.json: vocab_size should be at least 1, not 0"),
        (dict(n_head=4), "config.json: n_embd should be a multiple of n_head (4), not 6"),
        (dict(layer_norm_epsilon="small"), "config.json: layer_norm_epsilon should be float"),
        (dict(resid_pdrop=1.5), "config.json: resid_pdrop should be less than 1, not 1.5"),
        (dict(tie_word_embeddings="yes"), "config.json: tie_word_embeddings should be bool"),
        (dict(scale_attn_weights=None), "config.json: scale_attn_weights should be bool"),
    ],
    ids=str,
)
def test_settings_that_are_refused_by_their_name(settings, says):
    assert says in refusal(gpt2, **settings)


def test_gpt1_has_fewer_activations():
    assert "afn should be one of gelu, relu, silu, swish, not 'gelu_new'" in refusal(gpt1, afn="gelu_new")
    assert "n_inner" in refusal(gpt1, n_inner=7)


def test_a_setting_that_is_known_not_to_matter_can_be_ignored():
    config = GPT2.layout.config_from(GPT2_CONFIG | {"author": "me"}, "config.json", ignore=("author",))
    assert config == gpt2()


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_fast", "swish", "tanh"])
def test_what_was_read_is_written(activation):
    original = GPT2_CONFIG | dict(activation_function=activation, tie_word_embeddings=False, n_inner=None)
    written = GPT2.layout.written_from(GPT2.layout.config_from(original, "config.json"), original)
    assert {name: written[name] for name in original} == original
    assert GPT2.layout.config_from(written, "config.json") == GPT2.layout.config_from(original, "config.json")


def test_what_changed_since_is_written():
    changed = dataclasses.replace(gpt2(), vocab_size=13, activation="relu")
    written = GPT2.layout.written_from(changed, GPT2_CONFIG)
    assert written["vocab_size"] == 13 and written["activation_function"] == "relu" and written["eos_token_id"] == 5


def test_dropouts_that_follow_the_general_one_are_written_out():
    written = GPT2.layout.written_from(GPTConfig(11, dropout=0.3, attn_pdrop=0.0), {})
    assert (written["resid_pdrop"], written["embd_pdrop"], written["attn_pdrop"]) == (0.3, 0.3, 0.0)
    assert written["model_type"] == "gpt2"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(n_inner=7), "openai-gpt, which has n_inner = None, not 7"),
        (dict(scale_attn_weights=False), "openai-gpt, which has scale_attn_weights = True, not False"),
        (dict(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx"),
        (dict(activation="tanh"), "openai-gpt, which has no activation tanh"),
        (dict(activation="gelu"), "openai-gpt, which has no activation gelu"),
    ],
    ids=str,
)
def test_gpt1s_that_transformers_has_no_words_for(settings, says):
    assert says in refusal(GPT1.layout.written_from, GPTConfig(11, norm="post", **settings), {})


def test_a_feed_forward_of_4_c_needs_no_words():
    config = GPTConfig(11, norm="post", n_embd=8, n_inner=32)
    assert GPT1.layout.written_from(config, {})["n_embd"] == 8
