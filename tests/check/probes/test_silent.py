"""All probes are silent on every model of the package, and on one of a user's own."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.models import small_bert, small_transformer, small_transformer_xl, small_xlnet
from tinygrad_gpt import models as M
from tinygrad_gpt import random_stream
from tinygrad_gpt.check.probes import probe
from tinygrad_gpt.train.own_model import load_own_model

GPT = M.GPTConfig(17, block_size=12, n_layer=1, n_head=2, n_embd=12)
BERT = replace(small_bert.CONFIG, num_hidden_layers=1)
TRANSFORMER = replace(small_transformer.CONFIG, encoder_layers=1, decoder_layers=1)
XL = replace(small_transformer_xl.CONFIG, n_layer=1)
XLNET = small_xlnet.CONFIG | {"n_layer": 1}
LLAMA = Path(__file__).parents[2] / "train" / "llama.py"


def xlnet(kind, *given, **settings):
    return lambda: kind(M.XLNetConfig(**(XLNET | settings)), *given)


MODELS = {
    "GPT": lambda: M.GPT(replace(GPT, n_layer=2)),
    "GPT, post-norm, dropout": lambda: M.GPT(replace(GPT, norm="post", dropout=0.1)),
    "GPT, untied, no biases": lambda: M.GPT(replace(GPT, tied=False, bias=False)),
    "GPT1": lambda: M.GPT1(replace(GPT, norm="post", scale_attn_weights=False)),
    "GPT2": lambda: M.GPT2(replace(GPT, scale_attn_by_inverse_layer_idx=True)),
    "GPT of two tokens": lambda: M.GPT(replace(GPT, vocab_size=2, block_size=2)),
    "GPT1ForClassification": lambda: M.GPT1ForClassification(M.GPT(GPT), 3),
    "GPT1ForSimilarity": lambda: M.GPT1ForSimilarity(M.GPT(GPT), 1),
    "GPT1ForMultipleChoice": lambda: M.GPT1ForMultipleChoice(M.GPT(GPT)),
    "GPT1ForTokenClassification": lambda: M.GPT1ForTokenClassification(M.GPT(GPT), 4),
    "BertModel": lambda: M.BertModel(BERT),
    **{head.__name__: lambda head=head: head(BERT) for head in small_bert.HEADS},
    "BERT, a number": lambda: M.BertForSequenceClassification(BERT, num_labels=1),
    "BERT, many classes": lambda: M.BertForSequenceClassification(BERT, 3, problem_type="multi_label_classification"),
    "Transformer": lambda: M.Transformer(TRANSFORMER),
    "Transformer, pre-norm": lambda: M.Transformer(replace(small_transformer.CONFIG, norm="pre", dropout=0.1)),
    "Marian": lambda: M.MarianMTModel(replace(TRANSFORMER, init_std=0.02, positions="halves")),
    "TransformerXL": lambda: M.TransformerXL(replace(XL, n_layer=2)),
    "TransformerXL, pre-norm": lambda: M.TransformerXL(replace(XL, pre_lnorm=True, same_length=True, untie_r=False)),
    "TransformerXL, adaptive": lambda: M.TransformerXL(replace(XL, cutoffs=(4, 9), div_val=2, clamp_len=3)),
    "TransformerXL, no memory": lambda: M.TransformerXL(replace(XL, mem_len=0)),
    "TransfoXLLMHeadModel": lambda: M.TransfoXLLMHeadModel(XL, zero_memory=True),
    "XLNet": xlnet(M.XLNet),
    "XLNetModel": xlnet(M.XLNetModel),
    "XLNetLMHeadModel": xlnet(M.XLNetLMHeadModel, dropout=0.1),
    "XLNetLMHeadModel, uni": xlnet(M.XLNetLMHeadModel, attn_type="uni", mem_len=5),
    "XLNetForSequenceClassification": xlnet(M.XLNetForSequenceClassification, 3),
    "XLNet, the mean of a text": xlnet(M.XLNetForSequenceClassification, 2, summary_type="mean"),
    "a Llama": lambda: load_own_model(LLAMA).make(replace(GPT, n_embd=16)),
}
TRAINED = ("GPT1", "BertForPreTraining", "Transformer", "XLNetLMHeadModel", "a Llama")  # on one batch


OFTEN = {
    "GPT",
    "GPT1ForSimilarity",
    "BertModel",
    "Transformer",
    "TransformerXL",
    "XLNetModel",
    "a Llama",
}  # others: long


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] * (n not in OFTEN)) for n in MODELS])
def test_nothing_is_wrong_with(name):
    before = random_stream.random_state()
    random_stream.manual_seed(1)
    try:
        report = probe(MODELS[name](), steps=150 if name in TRAINED else 0)
    finally:
        random_stream.set_random_state(before)
    assert report.ok, str(report)
    asked = {one.id for one in report.verdicts if one.ok}
    assert asked >= {"P3", "P6", "P10", "P11", "P13"} and (name not in TRAINED or "P5" in asked)
    assert name not in ("GPT", "Transformer", "TransformerXL") or asked >= {"P12", "P15", "P17"}
