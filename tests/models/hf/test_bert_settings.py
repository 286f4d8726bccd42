"""The settings in a BERT's config.json: its shape, the names of labels, and what is refused."""

import json

import pytest

from tests.checkpoints import BERT_CONFIG, bert_folder
from tests.models.hf.refusal import refusal
from tinygrad_gpt.models import BertConfig, BertForSequenceClassification, BertForTokenClassification, BertModel
from tinygrad_gpt.models.hf.pretrained import NewWeightsWarning

pytestmark = pytest.mark.filterwarnings("error")


# --- labels -----------------------------------------------------------------------------------------------------------

NAMES = {0: "bad", 1: "fair", 2: "good"}


@pytest.mark.parametrize("kind", [BertForSequenceClassification, BertForTokenClassification])
def test_names_of_labels_are_written_and_read(tmp_path, kind):
    model = kind(BertConfig(13, 6, 1, 2, 10), id2label=NAMES)
    assert model.num_labels == 3 and model.label2id == {"bad": 0, "fair": 1, "good": 2}
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert written["id2label"] == {"0": "bad", "1": "fair", "2": "good"} and written["label2id"] == model.label2id
    assert kind.from_pretrained(tmp_path).id2label == NAMES
    assert kind.from_pretrained(tmp_path, id2label={0: "a", 1: "b", 2: "c"}).id2label[2] == "c"


def test_a_number_of_labels_in_place_of_the_files(tmp_path):
    BertForSequenceClassification(BertConfig(13, 6, 1, 2, 10), id2label=NAMES).save_pretrained(tmp_path)
    message = refusal(BertForSequenceClassification.from_pretrained, tmp_path, num_labels=2)
    assert "wrong shape: classifier.weight (3, 6), not (2, 6)" in message
    assert "from_pretrained(..., ignore=[...])" in message
    ignored = ("classifier.weight", "classifier.bias")
    with pytest.warns(NewWeightsWarning, match="has no classifier"):
        model = BertForSequenceClassification.from_pretrained(tmp_path, num_labels=2, ignore=ignored)
    assert model.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    model.save_pretrained(tmp_path / "two")
    assert "id2label" not in json.loads((tmp_path / "two" / "config.json").read_text(encoding="utf-8"))


def test_the_type_of_the_problem_is_written_and_read(tmp_path):
    model = BertForSequenceClassification(BertConfig(13, 6, 1, 2, 10), 3, problem_type="regression")
    model.save_pretrained(tmp_path)
    assert BertForSequenceClassification.from_pretrained(tmp_path).problem_type == "regression"
    model.problem_type = None
    model.save_pretrained(tmp_path)
    assert "problem_type" not in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))


# --- settings ---------------------------------------------------------------------------------------------------------


def config_from(**settings) -> BertConfig:
    config = {name: value for name, value in (BERT_CONFIG | settings).items()}
    return BertModel.layout.config_from(config, "config.json")


def test_settings_are_read_by_their_names():
    config = config_from(hidden_act="gelu_new", layer_norm_eps=0.5, pad_token_id=None, classifier_dropout=0.3)
    assert config == BertConfig(
        13, 6, 2, 2, 10, "gelu_new", 0.1, 0.2, 9, 2, layer_norm_eps=0.5, pad_token_id=None, classifier_dropout=0.3
    )


def test_settings_as_a_dictionary_and_back():
    config = config_from(hidden_act="relu")
    assert BertConfig(**config.to_dict()) == config


def test_settings_that_do_not_touch_the_maths_are_passed_over():
    same = dict(chunk_size_feed_forward=7, gradient_checkpointing=True, is_decoder=False, add_cross_attention=False)
    same |= dict(position_embedding_type="absolute", use_cache=False, directionality="bidi", pooler_type="first_token")
    same |= dict(output_past=True, torch_dtype="float16", pruned_heads={}, id2label={"0": "x"}, num_labels=1)
    assert config_from(**same) == config_from()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key', which is not supp"),
        (dict(is_decoder=True), "is_decoder is True, which is not supported"),
        (dict(add_cross_attention=True), "add_cross_attention is True, which is not supported"),
        (dict(is_encoder_decoder=True), "is_encoder_decoder is True"),
        (dict(pruned_heads={"0": [1]}), "pruned_heads is {'0': [1]}"),
        (dict(quantization_config={"bits": 8}), "quantization_config is"),
        (dict(hidden_act="quick_gelu"), "hidden_act should be one of gelu, gelu_new, gelu_pytorch_tanh, "),
        (dict(hidden_act=None), "hidden_act should be one of gelu, "),
        (dict(embedding_size=4, rotary=True), "may change what the model computes: embedding_size, rotary"),
        (dict(hidden_size="6"), "config.json: hidden_size should be int, not '6'"),
        (dict(num_hidden_layers=0), "config.json: num_hidden_layers should be at least 1, not 0"),
        (
            dict(num_attention_heads=4),
            "config.json: hidden_size should be a multiple of num_attention_heads (4), not 6",
        ),
        (dict(pad_token_id=13), "config.json: pad_token_id should be below vocab_size (13)"),
        (dict(pad_token_id=-1), "config.json: pad_token_id should be at least 0, not -1"),
        (dict(layer_norm_eps=0), "config.json: layer_norm_eps should be greater than 0"),
        (dict(hidden_dropout_prob=1.0), "config.json: hidden_dropout_prob should be less than 1"),
        (dict(type_vocab_size=None), "config.json: type_vocab_size should be int, not None"),
        (dict(tie_word_embeddings="no"), "config.json: tie_word_embeddings should be bool"),
    ],
    ids=str,
)
def test_settings_that_are_refused_by_their_name(settings, says):
    assert says in refusal(config_from, **settings)


def test_a_setting_given_in_place_of_the_files(tmp_path):
    folder = bert_folder(tmp_path)
    model = BertModel.from_pretrained(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.3)
    assert (model.config.hidden_dropout_prob, model.blocks[0].attention.dropout) == (0.0, 0.3)
    with pytest.raises(TypeError, match=r"BertModel\.from_pretrained: .*'hidden_dropout' \(did you mean hidden_drop"):
        BertModel.from_pretrained(folder, hidden_dropout=0.0)
    with pytest.raises(TypeError, match=r"no setting 'torch_dtype' \(it is dtype now\)"):
        BertModel.from_pretrained(folder, torch_dtype="float32")
    with pytest.raises(TypeError, match="num_labels"):
        BertModel.from_pretrained(folder, num_labels=3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (dict(id2label={"0": "a", "2": "b"}), "id2label should name the classes 0, 1, 2, ..., not be"),
        (dict(id2label=["a", "b"]), "id2label should name"),
        (dict(id2label={}), "id2label should name"),
        (dict(num_labels=0), "num_labels should be a number of classes, not 0"),
        (dict(num_labels="two"), "num_labels should be"),
        (dict(problem_type="ranking"), "problem_type should be one of regression, "),
        (dict(problem_type="single_label_classification", num_labels=1), "problem_type"),
    ],
    ids=str,
)
def test_settings_of_labels_that_are_refused(tmp_path, settings, says):
    folder = bert_folder(tmp_path, **settings)
    message = refusal(BertForSequenceClassification.from_pretrained, folder)
    assert says in message and str(folder / "config.json") in message
