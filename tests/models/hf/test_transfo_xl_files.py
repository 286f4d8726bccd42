"""Transformer-XL's files: names, settings and tensors, what is refused; and the call of the model."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.checkpoints import random_tensors, write_checkpoint
from tests.models.hf.refusal import refusal
from tests.models.small_transformer_xl import VARIANTS, B, V, some_ids, transformer_xl
from tinygrad_gpt import functional as F
from tinygrad_gpt.models import (
    TransformerXL,
    TransformerXLConfig,
    TransfoXLLMHeadModel,
    load_pretrained,
    save_pretrained,
)
from tinygrad_gpt.nn import Linear

C, H, D, INNER, LAYERS = 6, 2, 4, 10, 2
CONFIG = {
    "model_type": "transfo-xl",
    "architectures": ["TransfoXLLMHeadModel"],
    "vocab_size": 13,
    "cutoffs": [],
    "d_model": C,
    "d_embed": C,
    "n_head": H,
    "d_head": D,
    "d_inner": INNER,
    "div_val": 1,
    "n_layer": LAYERS,
    "mem_len": 5,
    "clamp_len": -1,
    "same_length": False,
    "pre_lnorm": False,
    "dropout": 0.1,
    "dropatt": 0.2,
    "untie_r": True,
    "tie_projs": [False],
    "eos_token_id": 0,
    "attn_type": 0,
    "sample_softmax": -1,
    "adaptive": True,
    "init": "normal",
    "init_range": 0.01,
    "init_std": 0.02,
    "proj_init_std": 0.01,
    "layer_norm_epsilon": 1e-5,
    "transformers_version": "4.35.2",
}
BLOCKS = {
    f"transformer.layers.{i}.{name}": shape
    for i in range(LAYERS)
    for name, shape in {
        "dec_attn.r_r_bias": (H, D),
        "dec_attn.r_w_bias": (H, D),
        "dec_attn.qkv_net.weight": (3 * H * D, C),
        "dec_attn.o_net.weight": (C, H * D),
        "dec_attn.layer_norm.weight": (C,),
        "dec_attn.layer_norm.bias": (C,),
        "dec_attn.r_net.weight": (H * D, C),
        "pos_ff.CoreNet.0.weight": (INNER, C),
        "pos_ff.CoreNet.0.bias": (INNER,),
        "pos_ff.CoreNet.3.weight": (C, INNER),
        "pos_ff.CoreNet.3.bias": (C,),
        "pos_ff.layer_norm.weight": (C,),
        "pos_ff.layer_norm.bias": (C,),
    }.items()
}
FREQUENCIES, QKV = "transformer.pos_emb.inv_freq", "transformer.layers.0.dec_attn.qkv_net.weight"
WORDS, COPY, BIAS = "transformer.word_emb.emb_layers.0.weight", "crit.out_layers.0.weight", "crit.out_layers.0.bias"
TENSORS = random_tensors({WORDS: (13, C), **BLOCKS, BIAS: (13,)}) | {
    FREQUENCIES: (1 / 10_000 ** (np.arange(0, C, 2) / C)).astype(np.float32)
}
CLUSTERS = dict(cutoffs=[4, 9], div_val=2, tie_projs=[False, True, True])
OF_CLUSTERS = random_tensors(
    {f"transformer.word_emb.emb_layers.{i}.weight": shape for i, shape in enumerate([(4, 6), (5, 3), (4, 1)])}
    | {f"transformer.word_emb.emb_projs.{i}": (C, d) for i, d in enumerate([6, 3, 1])}
    | {f"crit.out_layers.{i}.bias": (n,) for i, n in enumerate([4, 5, 4])}
    | {"crit.out_projs.0": (C, 6), "crit.cluster_weight": (2, C), "crit.cluster_bias": (2,)}
)

pytestmark = pytest.mark.filterwarnings("error")


def folder_of(folder, tensors: dict | None = None, **settings):
    return write_checkpoint(folder, CONFIG | settings, TENSORS if tensors is None else tensors)


def without(tensors: dict, *names: str) -> dict:
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def same_state(model, other) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_tensor_reaches_its_parameter(tmp_path):
    model = TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path))
    state, theirs = model.state_dict(), "transformer.layers.1."
    for name, tensor in {
        "token_embedding.weight": WORDS,
        "head.bias": BIAS,
        "blocks.1.attention.content_bias": f"{theirs}dec_attn.r_w_bias",
        "blocks.1.attention.position_bias": f"{theirs}dec_attn.r_r_bias",
        "blocks.1.attention.r.weight": f"{theirs}dec_attn.r_net.weight",
        "blocks.1.attention.out.weight": f"{theirs}dec_attn.o_net.weight",
        "blocks.1.attention_norm.bias": f"{theirs}dec_attn.layer_norm.bias",
        "blocks.1.feed_forward.up.weight": f"{theirs}pos_ff.CoreNet.0.weight",
        "blocks.1.feed_forward.down.bias": f"{theirs}pos_ff.CoreNet.3.bias",
        "blocks.1.feed_forward_norm.weight": f"{theirs}pos_ff.layer_norm.weight",
    }.items():
        np.testing.assert_array_equal(state[name], TENSORS[tensor], err_msg=name)
    of_block_0 = [state[f"blocks.0.attention.{part}.weight"] for part in ("q", "kv")]
    assert [array.shape for array in of_block_0] == [(H * D, C), (2 * H * D, C)]
    np.testing.assert_array_equal(np.concatenate(of_block_0), TENSORS[QKV])
    assert model.head.weight is model.token_embedding.weight and not model.training and not model.zero_memory


def test_clusters_reach_theirs(tmp_path):
    tensors = without(TENSORS, WORDS, BIAS) | OF_CLUSTERS
    model = TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path, tensors, **CLUSTERS))
    state = model.state_dict()
    for i in range(3):
        np.testing.assert_array_equal(state[f"token_embedding.tables.{i}.weight"], tensors[f"{WORDS[:-8]}{i}.weight"])
        np.testing.assert_array_equal(
            state[f"token_embedding.projections.{i}"], tensors[f"transformer.word_emb.emb_projs.{i}"]
        )
        np.testing.assert_array_equal(state[f"head.biases.{i}"], tensors[f"crit.out_layers.{i}.bias"])
    for kind in ("weight", "bias"):
        np.testing.assert_array_equal(state[f"head.cluster_{kind}"], tensors[f"crit.cluster_{kind}"])
    np.testing.assert_array_equal(state["head.projections.0"], tensors["crit.out_projs.0"])
    assert model.head.projections[1:] == model.token_embedding.projections[1:], "the same Parameters"


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=list(VARIANTS))
def test_what_is_written_is_read_again(tmp_path, settings):
    for kind in (TransfoXLLMHeadModel, TransformerXL):
        model = transformer_xl(kind, **settings)
        save_pretrained(model, tmp_path)
        again = load_pretrained(tmp_path, dtype=np.float64)
        same_state(again, model)
        written = load_file(tmp_path / "model.safetensors")
        assert not any("[" in name for name in written) and written["transformer.layers.1.dec_attn.qkv_net.weight"].size
        assert again.config.clusters() == model.config.clusters() and again.config.head_size == model.config.head_size
        np.testing.assert_array_equal(
            again(some_ids()).logits.data, transformer_xl(TransfoXLLMHeadModel, **settings)(some_ids()).logits.data
        )


# --- what files have besides ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_tied_tensors_may_be_there_or_not(tmp_path, dtype):
    tensors = {name: tensor.astype(dtype) for name, tensor in TENSORS.items()}
    expected = TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path / "new", tensors))
    for name, others in {
        "both": tensors | {COPY: tensors[WORDS]},
        "the copy alone": without(tensors, WORDS) | {COPY: tensors[WORDS]},
        "no frequencies": without(tensors, FREQUENCIES),
    }.items():
        same_state(TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path / name, others)), expected)
    folder = folder_of(tmp_path / "other", tensors | {COPY: tensors[WORDS] + 1})
    assert f"{COPY} differs from {WORDS}" in refusal(TransfoXLLMHeadModel.from_pretrained, folder)


def test_biases_of_all_blocks_may_stand_under_any_of_their_names(tmp_path):
    own = [name for name in TENSORS if "_bias" in name]
    shared = {
        f"transformer.{name}": TENSORS[f"transformer.layers.0.dec_attn.{name}"] for name in ("r_r_bias", "r_w_bias")
    }
    least = without(TENSORS, *own) | shared
    expected = TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path / "least", least, untie_r=False))
    assert expected.blocks[1].attention.content_bias is expected.content_bias
    np.testing.assert_array_equal(expected.content_bias.data, shared["transformer.r_w_bias"])
    all_names = least | {name: shared[f"transformer.{name[-8:]}"] for name in own}
    same_state(TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path / "all", all_names, untie_r=False)), expected)
    wrong = all_names | {own[0]: all_names[own[0]] + 1}
    message = refusal(TransfoXLLMHeadModel.from_pretrained, folder_of(tmp_path / "wrong", wrong, untie_r=False))
    assert f"{own[0]} differs from transformer.{own[0][-8:]}" in message


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones(4), np.full(3, np.nan), np.ones(3, np.int64)], ids=str)
def test_other_frequencies_are_refused(tmp_path, wrong):
    message = refusal(TransfoXLLMHeadModel.from_pretrained, folder_of(tmp_path, TENSORS | {FREQUENCIES: wrong}))
    assert f"{FREQUENCIES} has not the frequencies of a Transformer-XL of this width" in message


def test_an_old_config_without_a_model_type(tmp_path):
    """Its architectures tell, and without these the names of the tensors."""
    old = {name: value for name, value in CONFIG.items() if name not in ("model_type", "architectures")}
    for i, more in enumerate(({}, {"architectures": ["TransfoXLModel"]})):
        model = load_pretrained(write_checkpoint(tmp_path / str(i), old | more, TENSORS))
        assert type(model) is TransfoXLLMHeadModel


# --- settings ---------------------------------------------------------------------------------------------------------


def config_from(**settings) -> TransformerXLConfig:
    return TransfoXLLMHeadModel.layout.config_from(CONFIG | settings, "config.json")


def test_settings_are_read_by_their_names():
    assert config_from() == TransformerXLConfig(
        13, C, LAYERS, H, D, INNER, mem_len=5, clamp_len=-1, dropout=0.1, dropatt=0.2, d_embed=C
    )
    config = TransfoXLLMHeadModel.layout.config_from({"model_type": "transfo-xl"}, "config.json")
    assert (config.mem_len, config.clamp_len, config.same_length, config.div_val) == (1600, 1000, True, 4)
    assert config.cutoffs == (20000, 40000, 200000) and config.vocab_size == 267735
    others = dict(n_token=14, hidden_size=12, num_hidden_layers=7, num_attention_heads=4)
    kept = {name: value for name, value in CONFIG.items() if name not in ("vocab_size", "d_model", "n_layer", "n_head")}
    config = TransfoXLLMHeadModel.layout.config_from(kept | others, "config.json")
    assert (config.vocab_size, config.d_model, config.n_layer, config.n_head) == (14, 12, 7, 4)


def test_settings_that_do_not_touch_the_maths_are_passed_over():
    same = dict(
        tgt_len=128, ext_len=0, tie_weight=True, adaptive=False, init="uniform", init_range=1.0, sample_softmax=0
    )
    same |= dict(trainer_compatible=True, task_specific_params={}, tie_projs=None, proj_share_all_but_first=True)
    assert config_from(**same) == config_from()


def test_which_projections_are_tied():
    for said, shares in (
        (dict(tie_projs=[False, True, True]), True),
        (dict(tie_projs=[False, False, False]), False),
        (dict(tie_projs=[False, False, False], proj_share_all_but_first=True), False),  # as transformers reads it
        (dict(tie_projs=None, proj_share_all_but_first=False), False),
        (dict(tie_projs=None), True),
    ):
        assert config_from(cutoffs=[4, 9], **said).proj_share_all_but_first is shares


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(attn_type=1), "attn_type is 1, which is not supported"),
        (dict(sample_softmax=5), "sample_softmax is 5, which is not supported"),
        (dict(tie_word_embeddings=False), "tie_word_embeddings is False, which is not supported"),
        (dict(ext_len=3), "ext_len is 3, which is not supported"),
        (dict(tie_weight=False), "tie_weight is False, which is not supported"),
        (dict(tie_projs=[True, True, True], cutoffs=[4, 9]), "tie_projs is [True, True, True], which is not supported"),
        (dict(tie_projs=[False, True, False], cutoffs=[4, 9]), "either all but the first are true, or none is"),
        (dict(tie_projs=True), "tie_projs is True, which is not supported"),
        (dict(tie_projs=[]), "tie_projs is [], which is not supported"),
        (dict(relative_attention=True), "may change what the model computes: relative_attention"),
        (dict(d_model="6"), "config.json: d_model should be int, not '6'"),
        (dict(cutoffs=[9, 4]), "config.json: cutoffs should suit the vocabulary and the channels"),
        (dict(cutoffs="4"), "config.json: cutoffs should be tuple, not '4'"),
        (dict(mem_len=0, same_length=True), "config.json: mem_len should be at least 1 with same_length"),
        (dict(dropout=1.0), "config.json: dropout should be less than 1"),
        (dict(quantization_config={"bits": 8}), "quantization_config is"),
    ],
    ids=str,
)
def test_settings_that_are_refused_by_their_name(settings, says):
    assert says in refusal(config_from, **settings)


def test_settings_given_in_place_of_the_files(tmp_path):
    folder = folder_of(tmp_path)
    model = TransfoXLLMHeadModel.from_pretrained(folder, mem_len=3, dropout=0.0, zero_memory=True)
    assert model.mem_len == 3 and model.config.dropout == 0.0 and model.zero_memory
    with pytest.raises(TypeError, match=r"'dropuot' .did you mean dropout"):
        TransfoXLLMHeadModel.from_pretrained(folder, dropuot=0.0)


def test_what_was_read_is_written_back(tmp_path):
    model = TransfoXLLMHeadModel.from_pretrained(folder_of(tmp_path / "first", adaptive=False, init="uniform"))
    model.save_pretrained(tmp_path / "second")
    written = json.loads((tmp_path / "second" / "config.json").read_text(encoding="utf-8"))
    more = {"dtype": "float32", "proj_share_all_but_first": True, "adaptive": False, "init": "uniform"}
    assert written == CONFIG | more
    tensors = load_file(tmp_path / "second" / "model.safetensors")
    assert set(tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor.astype(np.float32))


# --- files that do not fit --------------------------------------------------------------------------------------------

Q, KV = QKV.replace("qkv_net", "qkv_net[q]"), QKV.replace("qkv_net", "qkv_net[kv]")
DO_NOT_FIT = [
    (without(TENSORS, QKV), {}, f"missing: {Q}, {KV}"),
    (without(TENSORS, WORDS), {}, f"missing: {WORDS}"),
    (without(TENSORS, BIAS), {}, f"missing: {BIAS}"),
    (TENSORS | {QKV: np.ones((25, C))}, {}, f"unexpected: {QKV}"),
    (TENSORS | {QKV: np.ones((27, C))}, {}, f"wrong shape: {Q} (9, 6), not (8, 6)"),
    (TENSORS | {QKV: np.ones((24, C), np.int8)}, {}, f"unexpected: {QKV}"),
    (TENSORS | {QKV: np.ones(())}, {}, f"unexpected: {QKV}"),
    (TENSORS | {"crit.out_projs.0": np.ones((6, 6))}, {}, "unexpected: crit.out_projs.0"),
    (TENSORS, dict(n_layer=3), "missing: transformer.layers.2."),
    (TENSORS, dict(n_layer=1), "unexpected: transformer.layers.1."),
    (TENSORS, dict(n_layer=10**9), "n_layer is 1000000000, but the weights are "),
    (TENSORS, dict(vocab_size=10**17), "too large for the memory"),
    (TENSORS, dict(d_inner=10**18), "too large for the memory"),
    (TENSORS, dict(untie_r=False), "r_w_bias in model.safetensors: untied ones are not supported"),
    (TENSORS, CLUSTERS, "missing: "),
]


@pytest.mark.parametrize(("tensors", "settings", "says"), DO_NOT_FIT, ids=[says for *_, says in DO_NOT_FIT])
def test_tensors_that_do_not_fit(tmp_path, tensors, settings, says):
    assert says in refusal(TransfoXLLMHeadModel.from_pretrained, folder_of(tmp_path, tensors, **settings))


def test_a_model_with_a_part_of_its_own_is_not_written(tmp_path):
    class Wider(Linear):
        pass

    model = transformer_xl()
    model.blocks[0].attention.r = Wider(12, 15, bias=False)
    assert "it has a part of its own (Wider)" in refusal(save_pretrained, model, tmp_path)

    class Other(TransformerXL):
        def read(self, ids, memory=None):
            return super().read(ids)

    assert "it has read of its own" in refusal(save_pretrained, transformer_xl(Other), tmp_path)


# --- the call ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "cutoffs, div_val"])
def test_a_call(name):
    model, ids = transformer_xl(TransfoXLLMHeadModel, **VARIANTS[name]), some_ids()
    output = model(ids, output_hidden_states=True, output_attentions=True)
    assert output.keys() == ["prediction_scores", "mems", "hidden_states", "attentions"]
    np.testing.assert_allclose(np.exp(output.logits.data).sum(-1), 1)
    assert [x.shape for x in output.mems] == [(6, B, 12)] * 2
    assert [x.shape for x in output.hidden_states] == [(B, 7, 12)] * 3
    assert [x.shape for x in output.attentions] == [(B, 3, 7, 7)] * 2
    features, memory = TransformerXL.read(model, ids)
    np.testing.assert_array_equal(output.hidden_states[-1].data, features.data)
    for mem, array in zip(output.mems, memory, strict=True):
        np.testing.assert_array_equal(mem.data, array.swapaxes(0, 1))
    assert model(ids, None, None, True).keys() == ["prediction_scores", "mems", "attentions"], "in transformers' order"
    labels = np.where(np.arange(7) == 3, -100, ids)
    second = model(ids, output.mems, labels)
    assert second.keys() == ["loss", "losses", "mems"]
    scores = model(ids, [mem.data for mem in output.mems]).logits
    right = F.nll_loss(F.reshape(scores[:, :-1], (-1, V)), labels[:, 1:].reshape(-1), reduction="none")
    np.testing.assert_allclose(second.losses.data.reshape(-1), right.data, atol=1e-12)
    assert second.loss.item() == pytest.approx(right.data.sum() / (B * 5), abs=1e-12)
    second.loss.backward()
    with pytest.raises(ValueError, match=r"mems: expected arrays \(M, B, C\), one for .*, got one of shape \(5,"):
        model(ids, [np.zeros(5)] * 2)
    with pytest.raises(ValueError, match="all labels but the first are -100: nothing to average"):
        model(ids, labels=np.where(np.arange(7) == 0, ids, -100))
