"""BERT's files: names old and new, with and without the prefix; heads that are missing or left over; refusals."""

import json
import warnings

import numpy as np
import pytest
from safetensors.numpy import load_file

import tinygrad_gpt as tg
from tests.checkpoints import BERT_C, BERT_CONFIG, BERT_HEADS, BERT_SHAPES, BERT_V, bert_folder, random_tensors
from tests.models.hf.refusal import refusal
from tinygrad_gpt.models import (
    GPT2,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    load_pretrained,
)
from tinygrad_gpt.models.bert import BertPreTrainedModel, count_parameters
from tinygrad_gpt.models.hf.pretrained import LeftWeightsWarning, NewWeightsWarning, save_pretrained
from tinygrad_gpt.nn import Linear

TENSORS = random_tensors(BERT_SHAPES | BERT_HEADS)
BARE = {name.removeprefix("bert."): TENSORS[name] for name in BERT_SHAPES}
WORDS, HEAD_BIAS = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
DECODER, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
CLASSES = (
    BertModel,
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
)
IDS = np.random.default_rng(1).integers(1, BERT_V, (2, 7))

# A head that is missing warns, and these tests say where it may.
pytestmark = pytest.mark.filterwarnings("error")


def without(tensors: dict, *names: str) -> dict:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(names)}


def renamed(tensors: dict, *pairs: tuple[str, str]) -> dict:
    found = {}
    for name, tensor in tensors.items():
        for old, new in pairs:
            name = name.replace(old, new)
        found[name] = tensor
    return found


def same_state(model, other) -> None:
    first, second = model.state_dict(), other.state_dict()
    assert set(first) == set(second)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_tensor_reaches_its_parameter(tmp_path):
    state = BertForPreTraining.from_pretrained(bert_folder(tmp_path)).state_dict()
    layer = "bert.encoder.layer.1."
    for name, tensor in {
        "bert.token_embedding.weight": TENSORS[WORDS],
        "bert.segment_embedding.weight": TENSORS["bert.embeddings.token_type_embeddings.weight"],
        "bert.position_embedding.weight": TENSORS["bert.embeddings.position_embeddings.weight"],
        "bert.embedding_norm.bias": TENSORS["bert.embeddings.LayerNorm.bias"],
        "bert.blocks.1.attention.out.weight": TENSORS[f"{layer}attention.output.dense.weight"],
        "bert.blocks.1.attention_norm.weight": TENSORS[f"{layer}attention.output.LayerNorm.weight"],
        "bert.blocks.1.feed_forward.up.weight": TENSORS[f"{layer}intermediate.dense.weight"],
        "bert.blocks.1.feed_forward.down.bias": TENSORS[f"{layer}output.dense.bias"],
        "bert.blocks.1.feed_forward_norm.weight": TENSORS[f"{layer}output.LayerNorm.weight"],
        "bert.pooler.weight": TENSORS["bert.pooler.dense.weight"],
        "masked_lm.transform.weight": TENSORS["cls.predictions.transform.dense.weight"],
        "masked_lm.norm.weight": TENSORS["cls.predictions.transform.LayerNorm.weight"],
        "masked_lm.decoder.bias": TENSORS[HEAD_BIAS],
        "next_sentence.weight": TENSORS["cls.seq_relationship.weight"],
    }.items():
        np.testing.assert_array_equal(state[name], tensor, err_msg=name)
    parts = ("query", "key", "value")
    for kind in ("weight", "bias"):
        joined = np.concatenate([TENSORS[f"{layer}attention.self.{part}.{kind}"] for part in parts])
        np.testing.assert_array_equal(state[f"bert.blocks.1.attention.qkv.{kind}"], joined)
    assert all(array.flags.c_contiguous for array in state.values())


@pytest.mark.parametrize("model_class", [BertModel, BertForPreTraining])
def test_names_with_and_without_the_prefix(tmp_path, model_class):
    full = BertModel.from_pretrained(bert_folder(tmp_path / "full"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = model_class.from_pretrained(bert_folder(tmp_path / "bare", BARE))
    same_state(getattr(model, "bert", model), full)
    assert len(said) == (model_class is BertForPreTraining)


def test_a_bare_model_is_saved_without_the_prefix_as_transformers_does(tmp_path):
    BertModel.from_pretrained(bert_folder(tmp_path / "full")).save_pretrained(tmp_path / "bare")
    assert set(load_file(tmp_path / "bare" / "model.safetensors")) == set(BARE)


def test_gamma_and_beta_are_weight_and_bias_of_the_norms(tmp_path):
    old = renamed(TENSORS, ("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
    assert "cls.predictions.transform.LayerNorm.gamma" in old and "bert.embeddings.LayerNorm.beta" in old
    model = BertForPreTraining.from_pretrained(bert_folder(tmp_path / "old", old))
    same_state(model, BertForPreTraining.from_pretrained(bert_folder(tmp_path / "new")))


@pytest.mark.parametrize("prefix", ["bert.", ""])
def test_position_ids_that_were_saved_are_no_weights(tmp_path, prefix):
    ids = {f"{prefix}embeddings.position_ids": np.arange(9)[np.newaxis]}
    tensors = (TENSORS if prefix else BARE) | ids
    model = BertModel.from_pretrained(bert_folder(tmp_path / "with", tensors))
    same_state(model, BertModel.from_pretrained(bert_folder(tmp_path / "without")))


def test_a_decoder_that_is_saved_although_it_is_tied(tmp_path):
    copies = {DECODER: TENSORS[WORDS], DECODER_BIAS: TENSORS[HEAD_BIAS]}
    expected = BertForPreTraining.from_pretrained(bert_folder(tmp_path / "plain"))
    same_state(BertForPreTraining.from_pretrained(bert_folder(tmp_path / "both", TENSORS | copies)), expected)
    alone = without(TENSORS | copies, HEAD_BIAS)  # shared tensors are saved once, under one of their names
    same_state(BertForPreTraining.from_pretrained(bert_folder(tmp_path / "alone", alone)), expected)


@pytest.mark.parametrize("name", [DECODER, DECODER_BIAS])
def test_a_decoder_that_differs_is_refused(tmp_path, name):
    right = {DECODER: TENSORS[WORDS], DECODER_BIAS: TENSORS[HEAD_BIAS]}[name]
    folder = bert_folder(tmp_path, TENSORS | {name: right + 1})
    message = refusal(BertForMaskedLM.from_pretrained, folder)
    assert f"tie_word_embeddings is true, but {name} differs from" in message and "set it to false" in message
    BertModel.from_pretrained(folder)  # which has no decoder


@pytest.mark.parametrize("bias", [HEAD_BIAS, DECODER_BIAS])
def test_a_decoder_of_its_own(tmp_path, bias):
    """Older files have its bias under one name, newer ones under both, of which only the decoder's is computed with."""
    own = {DECODER: TENSORS[WORDS] + 1, bias: TENSORS[HEAD_BIAS] + 2}
    model = BertForMaskedLM.from_pretrained(bert_folder(tmp_path / "theirs", TENSORS | own, tie_word_embeddings=False))
    np.testing.assert_array_equal(model.masked_lm.decoder.weight.data, own[DECODER])
    np.testing.assert_array_equal(model.masked_lm.decoder.bias.data, own[bias])
    model.save_pretrained(tmp_path / "ours")
    saved = load_file(tmp_path / "ours" / "model.safetensors")
    np.testing.assert_array_equal(saved[DECODER], own[DECODER])
    for name in (HEAD_BIAS, DECODER_BIAS):
        np.testing.assert_array_equal(saved[name], own[bias])
    same_state(BertForMaskedLM.from_pretrained(tmp_path / "ours"), model)


# --- heads ------------------------------------------------------------------------------------------------------------


def test_the_folder_decides_which_model_it_is(tmp_path):
    named_as = bert_folder(tmp_path / "named", architectures=["BertForMaskedLM"])  # so is bert-base-uncased
    assert type(load_pretrained(named_as)) is BertForPreTraining
    for name, tensors, kind in [
        ("all", TENSORS, BertForPreTraining),
        ("no next sentence", without(TENSORS, "cls.seq"), BertForMaskedLM),
        ("no heads", without(TENSORS, "cls."), BertModel),
        ("no next sentence, no pooler", without(TENSORS, "cls.seq", "bert.pooler"), BertForMaskedLM),
    ]:
        folder = bert_folder(tmp_path / name, tensors, architectures=None)
        assert type(load_pretrained(folder)) is type(BertPreTrainedModel.from_pretrained(folder)) is kind, name
    for kind in CLASSES:
        folder = tmp_path / kind.__name__
        kind(BertConfig(13, 6, 1, 2, 10)).save_pretrained(folder)
        assert type(load_pretrained(folder)) is kind
    assert "holds a BERT, not a GPT2" in refusal(GPT2.from_pretrained, bert_folder(tmp_path / "bert"))


@pytest.mark.parametrize("named", [None, ["BertForMultipleChoice"], ["BertModel", "BertForTokenClassification"]])
def test_a_head_whose_class_nobody_names_is_left_and_said_so_in_a_line(tmp_path, named):
    head = {"classifier.weight": np.ones((2, BERT_C)), "classifier.bias": np.ones(2)}
    folder = bert_folder(tmp_path, without(TENSORS, "cls.") | head, architectures=named)
    with pytest.warns(LeftWeightsWarning) as said:
        assert type(BertPreTrainedModel.from_pretrained(folder)) is BertModel
    assert len(said) == 1 and "\n" not in str(said[0].message) and said[0].filename == __file__
    assert f"{folder} has classifier, which the BertModel made from it lacks: " in str(said[0].message)
    BertModel.from_pretrained(folder)  # who asks for it knows
    BertForTokenClassification.from_pretrained(folder)


@pytest.mark.parametrize("kind", CLASSES)
def test_heads_that_a_model_does_not_have_are_left(tmp_path, kind):
    everything = TENSORS | {"classifier.weight": np.ones((2, BERT_C)), "classifier.bias": np.ones(2)}
    everything |= {"qa_outputs.weight": np.ones((2, BERT_C)), "qa_outputs.bias": np.ones(2)}
    kind.from_pretrained(bert_folder(tmp_path, everything))


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        (BertModel, "bert.pooler"),
        (BertForPreTraining, "bert.pooler, cls.predictions, cls.seq_relationship"),
        (BertForMaskedLM, "cls.predictions"),
        (BertForNextSentencePrediction, "bert.pooler, cls.seq_relationship"),
        (BertForSequenceClassification, "bert.pooler, classifier"),
        (BertForTokenClassification, "classifier"),
        (BertForQuestionAnswering, "qa_outputs"),
    ],
)
def test_a_head_that_is_missing_is_drawn_anew_and_said_so_in_a_line(tmp_path, kind, lacks):
    """A pooler of random weights, as of a checkpoint of the masked LM alone, makes features of no use."""
    folder = bert_folder(tmp_path, without(TENSORS, "cls.", "bert.pooler"), initializer_range=0.5)
    models = []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        with pytest.warns(NewWeightsWarning) as said:
            models.append(kind.from_pretrained(folder))
        assert len(said) == 1 and "\n" not in str(said[0].message)
        assert f"{folder} has no {lacks}: random numbers stand there in the {kind.__name__}" in str(said[0].message)
        assert said[0].filename == __file__
    first, same, other = (model.state_dict() for model in models)
    new = {"pooler", "masked_lm", "next_sentence", "classifier", "qa_outputs"}
    for name, array in first.items():
        np.testing.assert_array_equal(array, same[name])
        drawn = bool(new & set(name.split("."))) and array.ndim == 2
        assert np.array_equal(array, other[name]) == (not drawn), name
        if drawn:
            assert 0.2 < array.std() < 0.9, "as initializer_range says"
        elif new & set(name.split(".")):
            assert (array == ("norm.weight" in name)).all(), "a new bias is 0, a new norm's weight 1"


def test_without_a_pooler_nothing_is_missing(tmp_path):
    model = BertModel.from_pretrained(bert_folder(tmp_path, without(BARE, "pooler")), add_pooling_layer=False)
    assert model.pooler is None and model(IDS).pooler_output is None


def test_a_head_that_is_there_in_part_is_damage(tmp_path):
    folder = bert_folder(tmp_path, without(TENSORS, "cls.predictions.transform.dense.bias", "bert.pooler.dense.weight"))
    message = refusal(BertForPreTraining.from_pretrained, folder)
    assert "missing: bert.pooler.dense.weight, cls.predictions.transform.dense.bias" in message


# --- files that do not fit --------------------------------------------------------------------------------------------

_QUERY = "bert.encoder.layer.0.attention.self.query.weight"


DO_NOT_FIT = [
    (without(TENSORS, _QUERY), {}, f"missing: {_QUERY}"),
    (
        TENSORS | {"bert.encoder.layer.2.output.dense.bias": np.ones(6)},
        {},
        "unexpected: bert.encoder.layer.2.output",
    ),
    (TENSORS | {"embeddings.LayerNorm.bias": np.ones(6)}, {}, "unexpected: "),  # with and without the prefix
    (TENSORS | {"bert.embeddings.LayerNorm.beta": np.ones(6)}, {}, "unexpected: bert.embeddings.LayerNorm."),
    (TENSORS | {"cls.predictions.extra": np.ones(6)}, {}, "unexpected: cls.predictions.extra"),
    (TENSORS | {"projection.weight": np.ones((6, 6))}, {}, "unexpected: projection.weight"),
    (TENSORS | {_QUERY: np.ones((6, 18))}, {}, f"wrong shape: {_QUERY} (6, 18), not (6, 6)"),
    (TENSORS | {_QUERY: np.ones((6, 6), np.int8)}, {}, f"wrong dtype: {_QUERY} I8"),
    (TENSORS | {DECODER: np.ones((13, 5))}, {}, f"wrong shape: {DECODER} (13, 5), not (13, 6)"),
    (TENSORS, dict(num_hidden_layers=3), "missing: bert.encoder.layer.2."),
    (TENSORS, dict(num_hidden_layers=1), "unexpected: bert.encoder.layer.1."),
    (TENSORS, dict(num_hidden_layers=10**9), "num_hidden_layers is 1000000000, but the weights are "),
    (TENSORS, dict(vocab_size=10**17), "too large for the memory"),
    (TENSORS, dict(intermediate_size=10**18), "too large for the memory"),
    (TENSORS, dict(max_position_embeddings=10**30), "too large for the memory"),
    (TENSORS, dict(vocab_size=14), f"wrong shape: {WORDS} (13, 6), not (14, 6)"),
    (TENSORS, dict(type_vocab_size=16), "token_type_embeddings.weight (2, 6), not (16, 6)"),
    (TENSORS, dict(tie_word_embeddings=False), "missing: cls.predictions.decoder.weight"),
]


@pytest.mark.parametrize(("tensors", "settings", "says"), DO_NOT_FIT, ids=[says for *_, says in DO_NOT_FIT])
def test_tensors_that_do_not_fit(tmp_path, tensors, settings, says):
    assert says in refusal(BertForPreTraining.from_pretrained, bert_folder(tmp_path, tensors, **settings))


def test_a_tensor_may_be_passed_over_by_its_name(tmp_path):
    folder = bert_folder(tmp_path, TENSORS | {"projection.weight": np.ones((6, 6))})
    same_state(
        BertModel.from_pretrained(folder, ignore=("projection.weight",)),
        BertModel.from_pretrained(bert_folder(tmp_path / "plain")),
    )


def test_a_file_that_is_cut_short(tmp_path):
    file = bert_folder(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    assert f"{file} is damaged, cut short" in refusal(BertModel.from_pretrained, tmp_path)


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_saved_comes_back_bit_by_bit(tmp_path, kind, tied, dtype):
    tg.manual_seed(3)
    model = kind(BertConfig(13, 6, 2, 3, 10, max_position_embeddings=9, tie_word_embeddings=tied)).to(dtype).eval()
    for p in model.parameters():
        p.data += np.random.default_rng(p.size).normal(size=p.shape)
    model.save_pretrained(tmp_path, max_shard_size=1000)
    assert (tmp_path / "model.safetensors.index.json").exists()
    again = kind.from_pretrained(tmp_path, dtype=dtype)
    same_state(again, model)
    assert not again.training and again.config == model.config


def test_settings_that_are_not_used_are_written_back(tmp_path):
    folder = bert_folder(
        tmp_path / "theirs", gradient_checkpointing=True, classifier_dropout=0.25, torch_dtype="float16"
    )
    BertForPreTraining.from_pretrained(folder).save_pretrained(tmp_path / "ours")
    written = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))
    expected = BERT_CONFIG | dict(gradient_checkpointing=True, classifier_dropout=0.25, dtype="float32")
    assert written == expected


def test_a_model_with_parts_of_its_own_is_not_written(tmp_path):
    class Mine(BertModel):
        def features(self, *inputs, **settings):
            return super().features(*inputs, **settings) * 2

    class Layer(Linear):
        pass

    config = BertConfig(13, 6, 1, 2, 10)
    assert "Mine has no Hugging Face layout: it has features of its own" in refusal(
        Mine(config).save_pretrained, tmp_path
    )
    model = BertForMaskedLM(config)
    model.masked_lm.transform = Layer(6, 6)
    assert "a part of its own (Layer)" in refusal(save_pretrained, model, tmp_path)
    model = BertModel(config)
    model.extra = Linear(6, 6)
    assert "cannot be saved as bert, which has no extra" in refusal(model.save_pretrained, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_counted_without_making_the_model(tied):
    config = BertConfig(13, 6, 3, 2, 10, max_position_embeddings=9, type_vocab_size=4, tie_word_embeddings=tied)
    assert count_parameters(config) == BertForPreTraining(config).num_parameters()
    assert count_parameters(config, heads=False) == BertModel(config, add_pooling_layer=False).num_parameters()
