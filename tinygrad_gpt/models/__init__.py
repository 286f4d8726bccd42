"""Models: read from top to bottom, with one dataclass of settings each.

gpt.py         the architecture of every GPT in this package
causal_lm.py   that GPT with transformers' interface: loss from labels, padded batches, text, checkpoints
gpt1.py        GPT-1, and what transformers calls its settings and tensors
gpt2.py        GPT-2, and what transformers calls its settings and tensors
gpt1_heads.py  GPT-1 for tasks: a linear layer that reads one token, and the auxiliary loss
bert.py        BERT, and the two heads that it is pre-trained with
bert_heads.py  BERT with one head: one of these two, or one for a task, a linear layer that reads a text or its tokens
transformer.py  the encoder and decoder that translate, which all others come from
marian.py      that Transformer with transformers' interface: loss from labels, hidden states, checkpoints
transformer_xl.py  Transformer-XL, a GPT that remembers the segments that it has read
transfo_xl.py  that model with transformers' interface: mems, loss from labels, hidden states, checkpoints
xlnet.py       XLNet, which tells tokens in any order: two streams, and a memory
xlnet_queries.py  who asks in it, and what each may see
xlnet_writing.py  how it writes, though it was made to fill in
xlnet_heads.py  XLNet with transformers' interface: bare, with the head that tells tokens, and with one for texts
labels.py      what a model for a task knows of its labels
embeddings.py  a vector for each text, from BERT's for its tokens
fill_mask.py   gaps in a text, filled by BERT
inputs.py      what models are given, checked
memory.py      what models with memory remember of the segments before
output.py      what models return, to be read as transformers' outputs are
hf/            Hugging Face's files: checkpoints that others made or can read
"""

from tinygrad_gpt.models.bert import BertConfig, BertForPreTraining, BertModel
from tinygrad_gpt.models.bert_heads import (
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from tinygrad_gpt.models.causal_lm import CausalLM, CausalLMOutput
from tinygrad_gpt.models.embeddings import sentence_embeddings
from tinygrad_gpt.models.fill_mask import fill_mask
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1 import GPT1
from tinygrad_gpt.models.gpt1_heads import (
    GPT1ForClassification,
    GPT1ForMultipleChoice,
    GPT1ForSimilarity,
    GPT1ForTokenClassification,
)
from tinygrad_gpt.models.gpt2 import GPT2
from tinygrad_gpt.models.hf.pretrained import LeftWeightsWarning, NewWeightsWarning, load_pretrained, save_pretrained
from tinygrad_gpt.models.marian import MarianMTModel
from tinygrad_gpt.models.transfo_xl import TransfoXLLMHeadModel, TransfoXLLMHeadModelOutput
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig
from tinygrad_gpt.models.transformer_xl import TransformerXL, TransformerXLConfig
from tinygrad_gpt.models.xlnet import XLNet, XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetForSequenceClassification, XLNetLMHeadModel, XLNetModel

__all__ = [
    "GPT",
    "GPT1",
    "GPT2",
    "BertConfig",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "CausalLM",
    "CausalLMOutput",
    "GPT1ForClassification",
    "GPT1ForMultipleChoice",
    "GPT1ForSimilarity",
    "GPT1ForTokenClassification",
    "GPTConfig",
    "LeftWeightsWarning",
    "MarianMTModel",
    "NewWeightsWarning",
    "TransfoXLLMHeadModel",
    "TransfoXLLMHeadModelOutput",
    "Transformer",
    "TransformerConfig",
    "TransformerXL",
    "TransformerXLConfig",
    "XLNet",
    "XLNetConfig",
    "XLNetForSequenceClassification",
    "XLNetLMHeadModel",
    "XLNetModel",
    "fill_mask",
    "load_pretrained",
    "save_pretrained",
    "sentence_embeddings",
]
