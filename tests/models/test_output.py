"""Outputs can be read as transformers' are."""

import numpy as np
import pytest

from tests.models.small_bert import CONFIG, padded_batch, pretraining_model
from tinygrad_gpt.models import GPT2, BertForQuestionAnswering, BertModel, GPTConfig


def test_outputs_by_name_by_number_and_as_a_tuple():
    out = pretraining_model()(**padded_batch())
    assert out.keys() == list(out) == ["prediction_logits", "seq_relationship_logits"] and len(out) == 2
    assert out[0] is out["prediction_logits"] is out.prediction_logits
    assert out[1] is out[-1] is out.seq_relationship_logits
    assert out[:2] == out.to_tuple() == (out.prediction_logits, out.seq_relationship_logits)
    assert dict(out) == {**out} == {name: out[name] for name in out}


def test_the_loss_comes_first_where_there_is_one():
    places = np.array([1, 2, 3])
    out = BertForQuestionAnswering(CONFIG)(**padded_batch(), start_positions=places, end_positions=places)
    assert out.keys() == ["loss", "start_logits", "end_logits"] and out[0] is out.loss
    ids = np.array([[1, 2, 3]])
    gpt = GPT2(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4))
    assert gpt(ids, labels=ids).keys() == ["loss", "logits"] and gpt(ids).keys() == ["logits"]


def test_what_was_not_asked_for_is_not_there():
    out = BertModel(CONFIG, add_pooling_layer=False)(**padded_batch())
    assert out.pooler_output is None and "pooler_output" not in out and out.keys() == ["last_hidden_state"]
    with pytest.raises(KeyError, match="BertModelOutput has no 'pooler_output', but last_hidden_state"):
        out["pooler_output"]
    with pytest.raises(IndexError):
        out[1]
