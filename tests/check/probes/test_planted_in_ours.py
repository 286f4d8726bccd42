"""Mistakes planted in the package's models: in caches, padding, cross-attention and streams, each found and named."""

from dataclasses import replace

import numpy as np
import pytest

from tests.models.small_bert import CONFIG as BERT
from tests.models.small_transformer import CONFIG as TRANSFORMER
from tests.models.small_transformer_xl import CONFIG as XL
from tests.models.small_xlnet import CONFIG as XLNET
from tinygrad_gpt.check.probes import probe
from tinygrad_gpt.models import (
    GPT,
    BertForMaskedLM,
    GPTConfig,
    Transformer,
    TransformerXL,
    XLNetConfig,
    XLNetLMHeadModel,
)
from tinygrad_gpt.nn import RelativeAttention

GPT_CONFIG = GPTConfig(17, block_size=12, n_layer=1, n_head=2, n_embd=12)


class CacheOffByOne(GPT):
    def _positions(self, start, stop, position_ids):
        return super()._positions(start - (start > 0), stop - (start > 0), position_ids)


class CacheStartsOver(GPT):
    def _positions(self, start, stop, position_ids):
        return super()._positions(0, stop - start, position_ids)


class PaddingAttended(GPT):
    def features(self, ids, cache=None, *, attention_mask=None, position_ids=None):
        return super().features(ids, cache, position_ids=position_ids)


class MasksOfOthers(GPT):
    def features(self, ids, cache=None, *, attention_mask=None, position_ids=None):
        mask = None if attention_mask is None else np.roll(attention_mask, 1, axis=0)
        return super().features(ids, cache, attention_mask=mask, position_ids=position_ids)


class BertWithoutMask(BertForMaskedLM):
    def forward(self, input_ids, attention_mask=None, token_type_ids=None, **others):
        return super().forward(input_ids, None, token_type_ids, **others)


class SourcePaddingAttended(Transformer):
    def decode(self, target_ids, encoded, source_mask=None, target_mask=None):
        return super().decode(target_ids, encoded, None, target_mask)


class CrossToItself(Transformer):
    def decode(self, target_ids, encoded, source_mask=None, target_mask=None):
        return super().decode(target_ids, self._embedded(target_ids, 0), None, target_mask)


class OwnTokenSeen(XLNetLMHeadModel):
    def read(self, ids, *, mask=None, **given):
        return super().read(ids, mask=None if mask is None else mask | np.eye(ids.shape[1], dtype=bool), **given)


class NormsBefore(GPT):
    """Its config says "post"."""

    def __init__(self, config):
        super().__init__(replace(config, norm="post"))
        for block in self.blocks:
            block.norm = "pre"


class MemoryShiftsLabels(TransformerXL):
    def loss(self, ids, targets, *given, **settings):
        return super().loss(ids[:, :-1], targets[:, 1:], *given, **settings)


class NotCausal(RelativeAttention):
    def forward(self, x, keys, first, *, mask=None, different=None, causal=False):
        return super().forward(x, keys, first, mask=mask, different=different)


class MemoryNotCausal(TransformerXL):
    def __init__(self, config):
        super().__init__(config)
        for block in self.blocks:
            block.attention.__class__ = NotCausal


MODELS = {  # model, the probes that fail, the mistake that the first of them names first
    "a cache off by one": (lambda: CacheOffByOne(GPT_CONFIG), {"P9"}, "A20"),
    "positions start over": (lambda: CacheStartsOver(GPT_CONFIG), {"P9"}, "A20"),
    "norms before, for after": (lambda: NormsBefore(GPT_CONFIG), {"P17"}, "N14"),
    "labels shifted twice": (lambda: MemoryShiftsLabels(XL), {"P15"}, "T01"),
    "padding attended": (lambda: PaddingAttended(GPT_CONFIG), {"P7"}, "A18"),
    "masks of other rows": (lambda: MasksOfOthers(GPT_CONFIG), {"P7"}, "A17"),
    "padding attended by a BERT": (lambda: BertWithoutMask(BERT), {"P7"}, "A18"),
    "padding of the source attended": (lambda: SourcePaddingAttended(TRANSFORMER), {"P7"}, "A18"),
    "cross-attention to the decoder": (lambda: CrossToItself(TRANSFORMER), {"P2", "P9", "P11"}, None),
    "a target that sees itself": (lambda: OwnTokenSeen(XLNetConfig(**XLNET)), {"P2"}, "A14"),
    "a memory without a causal mask": (lambda: MemoryNotCausal(replace(XL, init_std=0.2)), {"P2", "P9"}, "A14"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_mistake_in_a_model_of_ours(name):
    make, probes, mistake = MODELS[name]
    report = probe(make(), steps=0)
    assert {one.id for one in report.failures} == probes, str(report)
    if mistake:
        assert report.failures[0].mistakes[0] == mistake


def test_the_encoder_that_nobody_reads_is_named():
    verdict = probe(CrossToItself(TRANSFORMER), steps=0)["P11"]
    assert verdict.mistakes[0] == "A19" and "encoder" in verdict.why
