"""print(model): a table; print(layer): a line."""

import numpy as np

from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, Parameter

TABLE = """\
GPT
  path                          parameters  layer
  token_embedding                       56  Embedding(7, 8)
  position_embedding                    40  Embedding(5, 8)
  dropout                                0  Dropout(p=0.0)
  blocks.0-2                       3 × 872  Block(norm='pre')
  blocks.0-2.attention_norm             16  LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
  blocks.0-2.attention                 288  MultiHeadAttention(8, n_head=2, causal=True)
  blocks.0-2.attention.qkv             216  Linear(in_features=8, out_features=24, bias=True)
  blocks.0-2.attention.out              72  Linear(in_features=8, out_features=8, bias=True)
  blocks.0-2.feed_forward_norm          16  LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
  blocks.0-2.feed_forward              552  FeedForward(activation='gelu_tanh')
  blocks.0-2.feed_forward.up           288  Linear(in_features=8, out_features=32, bias=True)
  blocks.0-2.feed_forward.down         264  Linear(in_features=32, out_features=8, bias=True)
  blocks.0-2.dropout                     0  Dropout(p=0.0)
  final_norm                            16  LayerNorm((8,), eps=1e-05, elementwise_affine=True, bias=True)
  head                                   0  Linear(in_features=8, out_features=7, bias=False)  TIED
  2,728 parameters: 2,728 trained, 0 frozen; 0.01 MiB""".replace("TIED", "weight is token_embedding.weight")


def model() -> GPT:
    return GPT(GPTConfig(vocab_size=7, block_size=5, n_layer=3, n_head=2, n_embd=8))


def test_a_model_is_a_table():
    assert str(model()) == TABLE
    assert repr(model()) == "GPT(2,728 parameters in 40 Tensors)"


def test_only_neighbours_that_are_alike_share_a_row():
    m = model()
    m.blocks[2].attention.out.bias.requires_grad = False
    m.blocks[1].feed_forward.requires_grad_(False)
    rows = [line.split("  ")[1] for line in str(m).splitlines() if "Block(" in line]
    assert rows == ["blocks.0", "blocks.1", "blocks.2"]
    lines = {line.split()[0]: line for line in str(m).splitlines()}
    assert lines["blocks.2.attention.out"].endswith("  bias frozen")
    assert lines["blocks.1.feed_forward.up"].endswith("  frozen")
    assert "2,168 trained, 560 frozen" in str(m)


def test_a_user_s_model_shows_shapes_lists_ties_and_buffers():
    class Scale(Module):
        def __init__(self):
            self.by = Parameter(np.ones(3))

    class Net(Module):
        def __init__(self):
            self.start = Parameter(np.ones(2), requires_grad=False)
            self.parts = ModuleList([Scale(), Scale(), Linear(3, 3)])
            self.named = {"a": Scale(), "b": self.parts[0]}
            self.tied = [self.parts[2].weight]
            self.register_buffer("mask", np.ones((1024, 256), np.float32))

        def extra_repr(self):
            return "mine"

    assert (
        str(Net())
        == """\
Net(mine)  named.b is parts.0; tied.0 is parts.2.weight
  path       parameters  layer
  start               2  Parameter (2,)  frozen
  parts              18  ModuleList
  parts.0-1       2 × 3  Scale(by (3,))
  parts.2            12  Linear(in_features=3, out_features=3, bias=True)
  named.a             3  Scale(by (3,))
  23 parameters: 21 trained, 2 frozen; 0.00 MiB, buffers 1.00 MiB"""
    )


def test_a_model_that_holds_its_parent_is_no_circle():
    net, part = Module(), Module()
    net.part, part.whole = part, net
    assert "whole is the model" in str(net)


def test_a_layer_is_a_line():
    assert str(Linear(64, 256)) == repr(Linear(64, 256)) == "Linear(in_features=64, out_features=256, bias=True)"
    assert repr(Embedding(65, 96)) == "Embedding(65, 96)" and repr(Dropout(0.1)) == "Dropout(p=0.1)"
    assert (
        repr(LayerNorm(4, elementwise_affine=False))
        == "LayerNorm((4,), eps=1e-05, elementwise_affine=False, bias=False)"
    )
    assert repr(LayerNorm(4, bias=False)) == "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=False)"


def test_a_notebook_shows_the_table():
    class Printer:
        def text(self, text):
            self.said = text

    printer = Printer()
    model()._repr_pretty_(printer, False)
    assert printer.said == TABLE
