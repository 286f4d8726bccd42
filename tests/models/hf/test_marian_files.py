"""Marian's files: names, what old ones hold besides, settings and tensors that are refused, models with the paper's
order of sinusoids."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.checkpoints import (
    MARIAN_C,
    MARIAN_CONFIG,
    MARIAN_SHAPES,
    MARIAN_T,
    MARIAN_V,
    marian_folder,
    random_tensors,
    write_checkpoint,
)
from tests.models.hf.refusal import refusal
from tests.models.small_transformer import batch, logits, transformer
from tinygrad_gpt.models import (
    GPT,
    GPT2,
    GPTConfig,
    MarianMTModel,
    Transformer,
    TransformerConfig,
    load_pretrained,
    save_pretrained,
)
from tinygrad_gpt.nn import Linear
from tinygrad_gpt.nn.positions import sinusoids

TENSORS = random_tensors(MARIAN_SHAPES)
SHARED, BIAS = "model.shared.weight", "final_logits_bias"
COPIES = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
TABLES = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
QUERY = "model.decoder.layers.0.encoder_attn.q_proj.weight"

pytestmark = pytest.mark.filterwarnings("error")


def without(tensors: dict, *names: str) -> dict:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def same_state(model, other) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def written(folder, file: str = "config.json") -> dict:
    return json.loads((folder / file).read_text(encoding="utf-8"))


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_tensor_reaches_its_parameter(tmp_path):
    state = MarianMTModel.from_pretrained(marian_folder(tmp_path)).state_dict()
    encoder, decoder = "model.encoder.layers.1.", "model.decoder.layers.0."
    for name, tensor in {
        "token_embedding.weight": SHARED,
        "final_logits_bias": BIAS,
        "encoder.1.attention.out.weight": f"{encoder}self_attn.out_proj.weight",
        "encoder.1.attention_norm.bias": f"{encoder}self_attn_layer_norm.bias",
        "encoder.1.feed_forward.up.weight": f"{encoder}fc1.weight",
        "encoder.1.feed_forward.down.bias": f"{encoder}fc2.bias",
        "encoder.1.feed_forward_norm.weight": f"{encoder}final_layer_norm.weight",
        "decoder.0.attention_norm.weight": f"{decoder}self_attn_layer_norm.weight",
        "decoder.0.cross_attention.q.bias": f"{decoder}encoder_attn.q_proj.bias",
        "decoder.0.cross_attention.out.weight": f"{decoder}encoder_attn.out_proj.weight",
        "decoder.0.cross_attention_norm.weight": f"{decoder}encoder_attn_layer_norm.weight",
        "decoder.0.feed_forward_norm.bias": f"{decoder}final_layer_norm.bias",
    }.items():
        np.testing.assert_array_equal(state[name], TENSORS[tensor], err_msg=name)
    for kind in ("weight", "bias"):
        for ours, theirs, parts in (
            ("encoder.1.attention.qkv", f"{encoder}self_attn", "qkv"),
            ("decoder.0.attention.qkv", f"{decoder}self_attn", "qkv"),
            ("decoder.0.cross_attention.kv", f"{decoder}encoder_attn", "kv"),
        ):
            joined = np.concatenate([TENSORS[f"{theirs}.{part}_proj.{kind}"] for part in parts])
            np.testing.assert_array_equal(state[f"{ours}.{kind}"], joined, err_msg=ours)


def test_a_bias_on_the_logits_is_added_and_may_be_missing(tmp_path):
    with_it = MarianMTModel.from_pretrained(marian_folder(tmp_path / "with"))
    lacking = MarianMTModel.from_pretrained(marian_folder(tmp_path / "without", without(TENSORS, BIAS)))
    assert not lacking.final_logits_bias.numpy().any()
    given = dict(input_ids=[[1, 2, 0]], decoder_input_ids=[[12, 3]])
    difference = with_it(**given).logits.numpy() - lacking(**given).logits.numpy()
    np.testing.assert_allclose(difference, np.broadcast_to(TENSORS[BIAS], difference.shape), atol=1e-5)


def test_files_of_the_bare_model_have_names_without_the_prefix(tmp_path):
    bare = {name.removeprefix("model."): tensor for name, tensor in TENSORS.items()}
    same_state(
        MarianMTModel.from_pretrained(marian_folder(tmp_path / "bare", bare)),
        MarianMTModel.from_pretrained(marian_folder(tmp_path / "full")),
    )


# --- what older files have besides ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_copies_of_the_embedding_and_tables_of_sinusoids_are_passed_over_if_they_are_right(tmp_path, dtype):
    table = sinusoids(MARIAN_T, MARIAN_C, order="halves")
    tensors = {name: tensor.astype(dtype) for name, tensor in TENSORS.items()}
    old = tensors | dict.fromkeys(COPIES, tensors[SHARED]) | dict.fromkeys(TABLES, table.astype(dtype))
    expected = MarianMTModel.from_pretrained(marian_folder(tmp_path / "new", tensors))
    found = MarianMTModel.from_pretrained(marian_folder(tmp_path / "old", old))
    same_state(found, expected)
    np.testing.assert_array_equal(found.position_table.numpy(), table)
    for name in COPIES:  # shared tensors may be saved under one of their names alone
        alone = without(tensors, SHARED) | {name: tensors[SHARED]}
        same_state(MarianMTModel.from_pretrained(marian_folder(tmp_path / name, alone)), expected)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_that_differs_is_refused(tmp_path, name):
    folder = marian_folder(tmp_path, TENSORS | {name: TENSORS[SHARED] + 1})
    message = refusal(MarianMTModel.from_pretrained, folder)
    assert f"{name} differs from {SHARED} in model.safetensors: untied ones are not supported" in message


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    "table",
    [
        sinusoids(MARIAN_T, MARIAN_C, order="interleaved"),
        sinusoids(MARIAN_T, MARIAN_C, order="halves") + np.float32(0.01),
        sinusoids(MARIAN_T + 1, MARIAN_C, order="halves"),
        np.full((MARIAN_T, MARIAN_C), np.nan, np.float32),
        np.zeros((MARIAN_T, MARIAN_C), np.int64),
    ],
    ids=["interleaved", "learned", "longer", "nan", "int64"],
)
def test_a_table_of_other_positions_is_refused(tmp_path, name, table):
    message = refusal(MarianMTModel.from_pretrained, marian_folder(tmp_path, TENSORS | {name: table}))
    assert f"{name} is not the table of sinusoids" in message and "model.safetensors" in message


# --- settings ---------------------------------------------------------------------------------------------------------


def config_from(**settings) -> TransformerConfig:
    return MarianMTModel.layout.config_from(MARIAN_CONFIG | settings, "config.json")


def test_settings_are_read_by_their_names():
    assert config_from() == TransformerConfig(
        vocab_size=13,
        d_model=6,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=3,
        encoder_ffn_dim=10,
        decoder_ffn_dim=8,
        activation_function="silu",
        norm="post",
        positions="halves",
        scale_embedding=True,
        max_position_embeddings=9,
        dropout=0.1,
        attention_dropout=0.2,
        activation_dropout=0.3,
        init_std=0.02,
        pad_token_id=12,
        eos_token_id=0,
        decoder_start_token_id=12,
        forced_eos_token_id=0,
    )
    others = dict(hidden_size=12, num_hidden_layers=7, num_attention_heads=4)
    kept = {name: MARIAN_CONFIG[name] for name in ("model_type", "decoder_attention_heads")}
    config = MarianMTModel.layout.config_from(kept | others, "config.json")
    assert (config.d_model, config.encoder_layers, config.encoder_attention_heads) == (12, 7, 4)


def test_settings_that_do_not_touch_the_maths_are_passed_over():
    same = dict(add_bias_logits=False, extra_pos_embeddings=13, force_bos_token_to_be_generated=False, num_beams=6)
    same |= dict(classif_dropout=0.1, classifier_dropout=0.0, bad_words_ids=[[12]], max_length=512, _num_labels=3)
    same |= dict(static_position_embeddings=True, normalize_before=False, normalize_embedding=False)
    same |= dict(add_final_layer_norm=False, is_decoder=False, num_hidden_layers=2, decoder_vocab_size=None)
    assert config_from(**same) == config_from()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(is_encoder_decoder=False), "is_encoder_decoder is False, which is not supported"),
        (dict(is_decoder=True), "is_decoder is True, which is not supported"),
        (dict(encoder_layerdrop=0.1), "encoder_layerdrop is 0.1, which is not supported"),
        (dict(decoder_layerdrop=0.1), "decoder_layerdrop is 0.1, which is not supported"),
        (dict(share_encoder_decoder_embeddings=False), "share_encoder_decoder_embeddings is False, which is not supp"),
        (dict(tie_word_embeddings=False), "tie_word_embeddings is False, which is not supported"),
        (dict(decoder_vocab_size=14), "decoder_vocab_size is 14, and vocab_size 13: vocabularies that differ are not"),
        (dict(decoder_vocab_size="13"), "decoder_vocab_size is '13', and vocab_size 13"),
        (dict(normalize_before=True), "normalize_before is True, which is not supported"),
        (dict(normalize_embedding=True), "normalize_embedding is True, which is not supported"),
        (dict(add_final_layer_norm=True), "add_final_layer_norm is True, which is not supported"),
        (dict(static_position_embeddings=False), "static_position_embeddings is False, which is not supported"),
        (dict(quantization_config={"bits": 8}), "quantization_config is"),
        (dict(activation_function="quick_gelu"), "activation_function should be one of gelu, gelu_new, "),
        (dict(relative_attention=True), "may change what the model computes: relative_attention"),
        (dict(d_model="6"), "config.json: d_model should be int, not '6'"),
        (dict(d_model=8), "config.json: d_model should be a multiple of decoder_attention_heads (3)"),
        (dict(encoder_layers=0), "config.json: encoder_layers should be at least 1, not 0"),
        (dict(pad_token_id=13), "config.json: pad_token_id should be below vocab_size (13)"),
        (dict(pad_token_id=None), "config.json: pad_token_id should be int, not None"),
        (dict(eos_token_id=[0, 1]), "config.json: eos_token_id should be int, not [0, 1]"),
        (dict(dropout=1.0), "config.json: dropout should be less than 1"),
    ],
    ids=str,
)
def test_settings_that_are_refused_by_their_name(settings, says):
    assert says in refusal(config_from, **settings)


def test_a_setting_given_in_place_of_the_files(tmp_path):
    folder = marian_folder(tmp_path)
    model = MarianMTModel.from_pretrained(folder, dropout=0.0, attention_dropout=0.3)
    assert model.config.dropout == 0.0 and model.decoder[0].cross_attention.dropout == 0.3
    with pytest.raises(TypeError, match=r"MarianMTModel\.from_pretrained: .*'dropuot' \(did you mean dropout"):
        MarianMTModel.from_pretrained(folder, dropuot=0.0)


# --- files that do not fit --------------------------------------------------------------------------------------------

DO_NOT_FIT = [
    (without(TENSORS, QUERY), {}, f"missing: {QUERY}"),
    (without(TENSORS, SHARED), {}, f"missing: {SHARED}"),
    (TENSORS | {"model.decoder.layers.1.fc1.bias": np.ones(8)}, {}, "unexpected: model.decoder.layers.1.fc1.bias"),
    (TENSORS | {"shared.weight": TENSORS[SHARED]}, {}, "unexpected: "),  # with and without the prefix
    (TENSORS | {"lm_head.bias": np.ones(13)}, {}, "unexpected: lm_head.bias"),
    (TENSORS | {"model.encoder.layernorm_embedding.weight": np.ones(6)}, {}, "unexpected: model.encoder.layernorm_emb"),
    (TENSORS | {QUERY: np.ones((6, 18))}, {}, f"wrong shape: {QUERY} (6, 18), not (6, 6)"),
    (TENSORS | {QUERY: np.ones((6, 6), np.int8)}, {}, f"wrong dtype: {QUERY} I8"),
    (TENSORS | {BIAS: np.ones(13)}, {}, f"wrong shape: {BIAS} (13,), not (1, 13)"),
    (TENSORS | {"lm_head.weight": np.ones((13, 5))}, {}, "wrong shape: lm_head.weight (13, 5), not (13, 6)"),
    (TENSORS, dict(encoder_layers=3), "missing: model.encoder.layers.2."),
    (TENSORS, dict(decoder_layers=2), "missing: model.decoder.layers.1."),
    (TENSORS, dict(encoder_layers=1), "unexpected: model.encoder.layers.1."),
    (TENSORS, dict(encoder_layers=10**9), "encoder_layers is 1000000000, but the weights are "),
    (TENSORS, dict(decoder_layers=10**9), "decoder_layers is 1000000000, but the weights are "),
    (TENSORS, dict(vocab_size=10**17, decoder_vocab_size=10**17), "too large for the memory"),
    (TENSORS, dict(decoder_ffn_dim=10**18), "too large for the memory"),
    (TENSORS, dict(max_position_embeddings=10**9), "too large for the memory"),
    (TENSORS, dict(vocab_size=14, decoder_vocab_size=14), f"wrong shape: {BIAS} (1, 13), not (1, 14)"),
]


@pytest.mark.parametrize(("tensors", "settings", "says"), DO_NOT_FIT, ids=[says for *_, says in DO_NOT_FIT])
def test_tensors_that_do_not_fit(tmp_path, tensors, settings, says):
    assert says in refusal(MarianMTModel.from_pretrained, marian_folder(tmp_path, tensors, **settings))


def test_a_file_that_is_cut_short(tmp_path):
    file = marian_folder(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    assert f"{file} is damaged, cut short" in refusal(MarianMTModel.from_pretrained, tmp_path)


def test_a_folder_says_what_it_holds(tmp_path):
    assert type(load_pretrained(marian_folder(tmp_path))) is MarianMTModel
    assert "holds a Marian, not a GPT2" in refusal(GPT2.from_pretrained, tmp_path)


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_saved_comes_back_bit_by_bit(tmp_path, dtype):
    model = transformer(MarianMTModel, positions="halves").to(dtype)
    model.final_logits_bias.data += np.random.default_rng(2).normal(size=model.final_logits_bias.shape)
    model.save_pretrained(tmp_path, max_shard_size=1000)
    assert (tmp_path / "model.safetensors.index.json").exists()
    again = MarianMTModel.from_pretrained(tmp_path, dtype=dtype)
    same_state(again, model)
    assert not again.training and vars(again.config) == vars(model.config) | {"forced_eos_token_id": 1}


@pytest.mark.parametrize("init_std", [None, 0.02, 0.3])
def test_the_initial_deviation_comes_back(tmp_path, init_std):
    transformer(MarianMTModel, positions="halves", init_std=init_std).save_pretrained(tmp_path)
    assert MarianMTModel.from_pretrained(tmp_path).config.init_std == init_std


@pytest.mark.parametrize("forced", [None, 3])
def test_the_token_that_is_forced_at_the_end_is_that_of_the_file(tmp_path, forced):
    """None: there is none."""
    config = MARIAN_CONFIG | {"forced_eos_token_id": forced}
    model = MarianMTModel.from_pretrained(write_checkpoint(tmp_path / "theirs", config, random_tensors(MARIAN_SHAPES)))
    assert model.config.forced_eos_token_id == forced
    source, how = np.array([[3, 4, 5, 0]]), dict(max_new_tokens=3, eos_token_id=(), suppress_tokens=())
    free = model.generate(source, forced_eos_token_id=(), **how)
    assert model.generate(source, **how)[0].tolist() == [*free[0, :-1].tolist(), free[0, -1] if forced is None else 3]
    assert free[0, -1] != 3
    model.save_pretrained(tmp_path / "ours")
    assert written(tmp_path / "ours")["forced_eos_token_id"] == forced
    save_pretrained(transformer(forced_eos_token_id=forced), tmp_path / "made here")
    for file in ("config.json", "generation_config.json"):
        assert written(tmp_path / "made here", file)["forced_eos_token_id"] == forced


def test_settings_that_are_not_used_are_written_back(tmp_path):
    folder = marian_folder(tmp_path / "theirs", num_beams=6, normalize_before=False, forced_eos_token_id=3)
    MarianMTModel.from_pretrained(folder).save_pretrained(tmp_path / "ours")
    expected = MARIAN_CONFIG | dict(num_beams=6, normalize_before=False, forced_eos_token_id=3, dtype="float32")
    assert written(tmp_path / "ours") == expected
    assert not (tmp_path / "ours" / "generation_config.json").exists()


def test_what_generation_needs_is_written_beside_a_model_that_was_made_here(tmp_path):
    model = transformer(pad_token_id=3, eos_token_id=5, decoder_start_token_id=2)
    save_pretrained(model, tmp_path)
    tokens = dict(pad_token_id=3, eos_token_id=5, decoder_start_token_id=2, forced_eos_token_id=5)
    expected = tokens | dict(bad_words_ids=[[3]], renormalize_logits=True)
    assert written(tmp_path, "generation_config.json") == expected
    assert {name: written(tmp_path)[name] for name in tokens} == tokens
    assert "init_std" not in written(tmp_path), "transformers has no word for Linear's own"


def test_generation_settings_of_others_are_written_back(tmp_path):
    folder = marian_folder(tmp_path / "theirs")
    theirs = {"num_beams": 4, "max_length": 512, "bad_words_ids": [[12]], "transformers_version": "4.32.0"}
    (folder / "generation_config.json").write_text(json.dumps(theirs), encoding="utf-8")
    model = MarianMTModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "ours")
    assert written(tmp_path / "ours", "generation_config.json") == theirs
    MarianMTModel.from_pretrained(marian_folder(tmp_path / "other")).save_pretrained(tmp_path / "ours")
    assert not (tmp_path / "ours" / "generation_config.json").exists(), "it was the earlier model's"
    (folder / "generation_config.json").write_text("{", encoding="utf-8")
    assert "generation_config.json" in refusal(MarianMTModel.from_pretrained, folder)


# --- which Transformers are Marians -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Transformer, MarianMTModel])
@pytest.mark.parametrize("width", [12, 15])
def test_the_papers_order_of_sinusoids_is_written_in_marians(tmp_path, width, kind):
    """Channels are moved, and no number changes; nor does what the model computes, but for the order of its sums."""
    settings = dict(d_model=width, encoder_attention_heads=3, decoder_attention_heads=3)
    model = transformer(kind, **settings)
    save_pretrained(model, tmp_path)
    again = MarianMTModel.from_pretrained(tmp_path, dtype=np.float64)
    assert again.config.positions == "halves"
    np.testing.assert_allclose(logits(again, **batch()), logits(model, **batch()), atol=1e-12)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved["model.encoder.layers.0.fc1.weight"].shape == (20, width)
    before, after = (np.sort(np.concatenate([p.data.ravel() for p in m.parameters()])) for m in (model, again))
    np.testing.assert_array_equal(after, before)


def test_a_pre_norm_transformer_is_no_marian(tmp_path):
    message = refusal(save_pretrained, transformer(norm="pre"), tmp_path)
    assert "cannot be saved as marian, which has norm = 'post', not 'pre'" in message
    assert "Marian has norm=\"post\", not 'pre'" in refusal(transformer, MarianMTModel, norm="pre")
    assert not list(tmp_path.iterdir())


def test_a_model_with_parts_of_its_own_is_not_written(tmp_path):
    class Mine(MarianMTModel):
        def decode(self, *inputs, **settings):
            return super().decode(*inputs, **settings) * 2

    class Layer(Linear):
        pass

    message = refusal(transformer(Mine).save_pretrained, tmp_path)
    assert "Mine has no Hugging Face layout: it has decode of its own" in message
    model = transformer()
    model.encoder[0].feed_forward.up = Layer(12, 20)
    assert "a part of its own (Layer)" in refusal(save_pretrained, model, tmp_path)
    model = transformer()
    model.extra = Linear(6, 6)
    assert "cannot be saved as marian, which has no extra" in refusal(save_pretrained, model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("norm", "model_type"), [("post", "openai-gpt"), ("pre", "gpt2")])
def test_a_gpt_is_still_written_as_a_gpt(tmp_path, norm, model_type):
    save_pretrained(GPT(GPTConfig(11, 7, 2, 2, 6, norm=norm)), tmp_path)
    assert written(tmp_path)["model_type"] == model_type


def test_a_checkpoint_is_read_in_the_dtype_that_is_asked_for(tmp_path):
    model = MarianMTModel.from_pretrained(marian_folder(tmp_path), dtype=np.float64)
    assert {tensor.dtype for tensor in [*model.parameters(), *model.buffers()]} == {np.dtype(np.float64)}
    assert model.logits(model.features([[1]], [[12]])).shape == (1, 1, MARIAN_V)


def test_parameters_are_counted_without_making_the_model(tmp_path):
    model = MarianMTModel.from_pretrained(marian_folder(tmp_path))
    assert MarianMTModel.layout.count_parameters(model.config) == model.num_parameters()
