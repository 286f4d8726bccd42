"""XLNet's files: every tensor and setting, heads that are missing or left over, refusals."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file

import tinygrad_gpt as tg
from tests.checkpoints import (
    XLNET_C,
    XLNET_CLASSIFIER,
    XLNET_CONFIG,
    XLNET_LM_HEAD,
    XLNET_SHAPES,
    XLNET_V,
    random_tensors,
    xlnet_folder,
)
from tests.models.hf.refusal import refusal
from tinygrad_gpt.models import (
    BertModel,
    XLNetConfig,
    XLNetForSequenceClassification,
    XLNetLMHeadModel,
    XLNetModel,
    load_pretrained,
)
from tinygrad_gpt.models.hf.pretrained import LeftWeightsWarning, NewWeightsWarning

TENSORS = random_tensors(XLNET_SHAPES | XLNET_LM_HEAD)
BARE = {name.removeprefix("transformer."): TENSORS[name] for name in XLNET_SHAPES}
CLASSIFIER = random_tensors(XLNET_SHAPES | XLNET_CLASSIFIER)
WORDS = "transformer.word_embedding.weight"
CLASSES = (XLNetModel, XLNetLMHeadModel, XLNetForSequenceClassification)
IDS = np.random.default_rng(1).integers(0, XLNET_V, (2, 7))

# A head that is missing warns, and these tests say where it may.
pytestmark = pytest.mark.filterwarnings("error")


def same_state(model, other) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# --- tensors ----------------------------------------------------------------------------------------------------------


def test_every_tensor_reaches_its_parameter(tmp_path):
    state = XLNetLMHeadModel.from_pretrained(xlnet_folder(tmp_path)).state_dict()
    ours, theirs = "transformer.layers.1.", "transformer.layer.1."
    for name, tensor in {
        "transformer.token_embedding.weight": TENSORS[WORDS],
        "transformer.mask_embedding": TENSORS["transformer.mask_emb"][0, 0],
        f"{ours}attention.content_bias": TENSORS[f"{theirs}rel_attn.r_w_bias"],
        f"{ours}attention.position_bias": TENSORS[f"{theirs}rel_attn.r_r_bias"],
        f"{ours}attention.segment_bias": TENSORS[f"{theirs}rel_attn.r_s_bias"],
        f"{ours}attention.segment_embedding": TENSORS[f"{theirs}rel_attn.seg_embed"],
        f"{ours}attention.q.weight": TENSORS[f"{theirs}rel_attn.q"].reshape(XLNET_C, -1).T,
        f"{ours}attention.r.weight": TENSORS[f"{theirs}rel_attn.r"].reshape(XLNET_C, -1).T,
        f"{ours}attention.out.weight": TENSORS[f"{theirs}rel_attn.o"].reshape(XLNET_C, -1),
        f"{ours}attention_norm.weight": TENSORS[f"{theirs}rel_attn.layer_norm.weight"],
        f"{ours}feed_forward.up.weight": TENSORS[f"{theirs}ff.layer_1.weight"],
        f"{ours}feed_forward.down.bias": TENSORS[f"{theirs}ff.layer_2.bias"],
        f"{ours}feed_forward_norm.bias": TENSORS[f"{theirs}ff.layer_norm.bias"],
        "head.bias": TENSORS["lm_loss.bias"],
    }.items():
        np.testing.assert_array_equal(state[name], tensor, err_msg=name)
    kv = np.concatenate([TENSORS[f"{theirs}rel_attn.{part}"].reshape(XLNET_C, -1).T for part in "kv"])
    np.testing.assert_array_equal(state[f"{ours}attention.kv.weight"], kv)
    assert all(array.flags.c_contiguous for array in state.values())
    classes = XLNetForSequenceClassification.from_pretrained(xlnet_folder(tmp_path, CLASSIFIER))
    np.testing.assert_array_equal(classes.summary.weight.numpy(), CLASSIFIER["sequence_summary.summary.weight"])
    np.testing.assert_array_equal(classes.classifier.bias.numpy(), CLASSIFIER["logits_proj.bias"])


def test_names_with_and_without_the_prefix(tmp_path):
    full = XLNetModel.from_pretrained(xlnet_folder(tmp_path / "full"))
    bare = load_pretrained(xlnet_folder(tmp_path / "bare", BARE))
    assert type(bare) is XLNetModel
    same_state(bare, full)
    bare.save_pretrained(tmp_path / "again")
    assert set(load_file(tmp_path / "again" / "model.safetensors")) == set(BARE)


def test_the_class_is_what_the_tensors_are(tmp_path):
    assert type(load_pretrained(xlnet_folder(tmp_path / "lm"))) is XLNetLMHeadModel
    named = dict(architectures=["XLNetForSequenceClassification"], id2label={"0": "bad", "1": "good"})
    found = load_pretrained(xlnet_folder(tmp_path / "classes", CLASSIFIER, **named))
    assert type(found) is XLNetForSequenceClassification and found.id2label == {0: "bad", 1: "good"}
    with pytest.warns(LeftWeightsWarning, match="has sequence_summary, logits_proj, which the XLNetModel made from it"):
        assert type(load_pretrained(xlnet_folder(tmp_path / "unnamed", CLASSIFIER, architectures=...))) is XLNetModel
    questions = random_tensors(XLNET_SHAPES | {"start_logits.dense.weight": (1, XLNET_C)})
    with pytest.warns(LeftWeightsWarning, match="has start_logits, which the XLNetModel"):
        load_pretrained(xlnet_folder(tmp_path / "questions", questions, architectures=...))
    assert "holds a XLNet, not a BertModel" in refusal(BertModel.from_pretrained, tmp_path / "lm")


@pytest.mark.parametrize(
    ("kind", "lacks", "new"),
    [
        (XLNetLMHeadModel, "lm_loss", ["head.bias"]),
        (XLNetForSequenceClassification, "sequence_summary, logits_proj", ["summary.weight", "classifier.weight"]),
    ],
)
def test_a_head_that_is_missing_is_drawn_anew_and_said_so_in_a_line(tmp_path, kind, lacks, new):
    folder = xlnet_folder(tmp_path, BARE, initializer_range=0.5)
    models = []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        with pytest.warns(NewWeightsWarning) as said:
            models.append(kind.from_pretrained(folder))
        assert len(said) == 1 and "\n" not in str(said[0].message)
        assert f"{folder} has no {lacks}: random numbers stand there in the {kind.__name__}" in str(said[0].message)
    first, same, other = (model.state_dict() for model in models)
    for name, array in first.items():
        np.testing.assert_array_equal(array, same[name])
        drawn = name in new and array.ndim == 2
        assert np.array_equal(array, other[name]) == (not drawn), name
        if drawn:
            assert 0.2 < array.std() < 0.9, "as initializer_range says"
        elif name in new:
            assert not array.any()


def test_a_config_without_weights_is_an_error_and_no_random_model(tmp_path):
    """L-12."""
    (xlnet_folder(tmp_path) / "model.safetensors").unlink()
    for load in (XLNetModel.from_pretrained, load_pretrained):
        assert "model.safetensors" in refusal(load, tmp_path)


_Q = "transformer.layer.0.rel_attn.q"


@pytest.mark.parametrize(
    ("tensors", "settings", "says"),
    [
        ({name: x for name, x in TENSORS.items() if name != _Q}, {}, f"missing: {_Q}"),
        (TENSORS | {"transformer.layer.2.ff.layer_1.bias": np.ones(6)}, {}, "unexpected: transformer.layer.2.ff"),
        (TENSORS | {_Q: np.ones((6, 6))}, {}, f"wrong shape: {_Q} (6, 6), not (6, 3, 2)"),
        (TENSORS, dict(n_head=2, d_head=3), f"{_Q} (6, 3, 2), not (6, 2, 3)"),
        (TENSORS, dict(n_layer=3), "missing: transformer.layer.2."),
        (TENSORS, dict(n_layer=10**9), "n_layer is 1000000000, but the weights are "),
        (TENSORS, dict(vocab_size=10**17), "too large for the memory"),
        (TENSORS, dict(tie_word_embeddings=False), "missing: lm_loss.weight"),
        (TENSORS | {"lm_loss.weight": TENSORS[WORDS] + 1}, {}, "lm_loss.weight differs from transformer.word_emb"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_tensors_that_do_not_fit(tmp_path, tensors, settings, says):
    assert says in refusal(XLNetLMHeadModel.from_pretrained, xlnet_folder(tmp_path, tensors, **settings))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_saved_comes_back_bit_by_bit(tmp_path, kind, tied, dtype):
    tg.manual_seed(3)
    model = kind(XLNetConfig(13, 6, 2, 3, 10, tie_word_embeddings=tied, mem_len=None)).to(dtype).eval()
    for p in model.parameters():
        p.data += np.random.default_rng(p.size).normal(size=p.shape)
    model.save_pretrained(tmp_path, max_shard_size=1000)
    assert (tmp_path / "model.safetensors.index.json").exists()
    again = kind.from_pretrained(tmp_path, dtype=dtype)
    same_state(again, model)
    assert not again.training and again.config == model.config
    given = dict(attention_mask=np.tri(7, dtype=int)[5:, ::-1], token_type_ids=IDS % 2)
    np.testing.assert_array_equal(again(IDS, **given)[0].numpy(), model(IDS, **given)[0].numpy())


# --- settings ---------------------------------------------------------------------------------------------------------


def config_from(**settings) -> XLNetConfig:
    config = {name: value for name, value in (XLNET_CONFIG | settings).items() if value is not ...}
    return XLNetModel.layout.config_from(config, "config.json")


def test_settings_are_read_by_their_names():
    changed = dict(ff_activation="relu", attn_type="uni", mem_len=None, reuse_len=3, clamp_len=7, same_length=True)
    changed |= dict(summary_type="mean", summary_use_proj=False, summary_activation=None, dropout=0.0)
    config = config_from(**changed)
    assert config == XLNetConfig(13, 6, 2, 3, 10, **changed)
    older = config_from(n_token=13, vocab_size=..., hidden_size=6, d_model=..., num_hidden_layers=2, n_layer=...)
    assert older == config_from()
    assert config_from(mem_len=0) == config_from(mem_len=None), "which mean the same to transformers"
    assert config_from(summary_activation="") == config_from(summary_activation=None)


def test_settings_that_do_not_touch_the_maths_are_passed_over():
    same = dict(start_n_top=1, end_n_top=..., untie_r=..., bi_data=..., d_head=None, bos_token_id=1, use_cache=False)
    same |= dict(summary_first_dropout=0.0, summary_proj_to_labels=False, id2label={"0": "x"}, num_labels=1)
    assert config_from(**same) == config_from()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(bi_data=True), "bi_data is True, which is not supported"),
        (dict(untie_r=False), "untie_r is False, which is not supported"),
        (dict(d_head=4), "d_head is 4, and d_model / n_head 2: heads of another size are not supported"),
        (dict(attn_type="both"), "attn_type should be one of bi, uni, not 'both'"),
        (dict(ff_activation="quick_gelu"), "ff_activation should be one of gelu, gelu_new, gelu_pytorch_tanh, "),
        (dict(summary_type="attn"), "summary_type should be one of last, first, mean, cls_index, not 'attn'"),
        (dict(summary_activation="swoosh"), "summary_activation should be one of gelu, "),
        (dict(summary_proj_to_labels=True), "summary_proj_to_labels is True, which is not supported"),
        (dict(summary_first_dropout=0.1), "summary_first_dropout is 0.1, which is not supported"),
        (dict(n_head=4, d_head=None), "d_model should be even and a multiple of n_head (4), not 6"),
        (dict(mem_len=-1), "config.json: mem_len should be at least 1, not -1"),
        (dict(mem_len=False), "config.json: mem_len should be int, not False"),
        (dict(rotary=True), "may change what the model computes: rotary"),
    ],
    ids=str,
)
def test_settings_that_are_refused_by_their_name(settings, says):
    assert says in refusal(config_from, **settings)


def test_settings_that_are_not_used_are_written_back(tmp_path):
    folder = xlnet_folder(tmp_path / "theirs", start_n_top=3, summary_activation="relu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        XLNetLMHeadModel.from_pretrained(folder, dropout=0.0).save_pretrained(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))
    expected = XLNET_CONFIG | dict(start_n_top=3, summary_activation="relu", dropout=0.0, dtype="float32")
    assert written == expected | dict(use_mems_eval=True, use_mems_train=False)


def test_a_classifiers_labels_are_written_and_read(tmp_path):
    names = {0: "bad", 1: "fair", 2: "good"}
    model = XLNetForSequenceClassification(XLNetConfig(13, 6, 1, 3, 10), id2label=names)
    assert model.num_labels == 3 and model.label2id == {"bad": 0, "fair": 1, "good": 2}
    model.save_pretrained(tmp_path)
    assert load_pretrained(tmp_path).id2label == names
    with pytest.raises(ValueError, match=r"names of the classes 0 \.\. 1"):
        XLNetForSequenceClassification(XLNetConfig(13, 6, 1, 3, 10), id2label={1: "a", 2: "b"})
    with pytest.raises(ValueError, match=r"XLNet: expected labels of shape \(2, 3\), got \(2,\)"):
        model(IDS, labels=np.array([0.5, 1]))
