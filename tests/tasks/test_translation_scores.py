"""How good a translator is, on pairs of sentences."""

import math
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.data.parallel import Translations
from tinygrad_gpt.data.token_batches import encode_pairs
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.generate.translate import translate
from tinygrad_gpt.models import Transformer, TransformerConfig
from tinygrad_gpt.tasks.scores import corpus_bleu
from tinygrad_gpt.tasks.translation_scores import TokenScores, token_scores, words_of, written_scores

pytest.importorskip("tokenizers")

SENTENCES = Translations(
    ["a dog sleeps", "dog", "the cat sees a dog and a cat", "a cat"],
    ["ein hund", "hund ja", "die katze", "ja ja ja ja"],
)


@pytest.fixture(scope="module")
def tokenizer():
    return UnigramTokenizer.train([*SENTENCES.source, *SENTENCES.target] * 3, 60, ("<pad>", "</s>"))


@pytest.fixture(scope="module")
def model(tokenizer):
    tg.manual_seed(0)
    heads = dict(encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=9, decoder_ffn_dim=9)
    ids = dict(pad_token_id=tokenizer.pad_id, eos_token_id=tokenizer.end_id)
    config = TransformerConfig(
        tokenizer.vocab_size, 8, 1, 1, **heads, **ids, max_position_embeddings=40, dropout=0.5, init_std=0.3
    )
    return Transformer(config)  # in training mode, with much dropout


@pytest.fixture(scope="module")
def pairs(tokenizer):
    return encode_pairs(SENTENCES, tokenizer, 40)


def by_hand(model, pairs):
    """-log p, and whether it is the likeliest, of each token of each target, one pair at a time."""
    nll, right = [], []
    model.eval()
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        read = np.append(model.config.decoder_start_token_id, target[:-1])
        logits = model(source[None], read[None]).numpy()[0].astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        nll += [-row[token] for row, token in zip(log_p, target, strict=True)]
        right += [row.argmax() == token for row, token in zip(log_p, target, strict=True)]
    model.train()
    return nll, right


@pytest.mark.parametrize("batch_tokens", [1, 20, 1000])
def test_scores_of_tokens_are_means_over_tokens_without_padding_or_dropout(model, pairs, batch_tokens):
    seen = []
    found = token_scores(model, pairs, batch_tokens, model.config.pad_token_id, lambda *at: seen.append(at))
    nll, right = by_hand(model, pairs)
    assert found.loss == pytest.approx(np.mean(nll), abs=1e-5) and found.accuracy == pytest.approx(np.mean(right))
    assert found.tokens == len(nll) and seen[-1] == (found.tokens, found.tokens)
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    assert model.training, "as it was"


def test_a_perplexity_beyond_all_numbers_is_a_number():
    assert math.isfinite(TokenScores(1e9, 0.0, 1).perplexity)


def test_bleu_of_what_it_writes_beside_the_sentences(model, tokenizer, pairs):
    model.eval()
    texts = translate(model, tokenizer, SENTENCES.source, beams=3, max_new_tokens=4)
    model.train()
    found = written_scores(model, tokenizer, pairs, SENTENCES, "none", True, beams=3, max_new_tokens=4)
    assert found.bleu == corpus_bleu(texts, SENTENCES.target, tokenize="none", lowercase=True)
    assert found.bleu.hyp_len > 0 and model.training


def test_pairs_that_were_left_out_are_not_compared(model, tokenizer):
    most = max(map(len, encode_pairs(SENTENCES, tokenizer, 40).sources)) - 1
    short = encode_pairs(SENTENCES, tokenizer, most)
    assert short.places.tolist() == [0, 1, 3]
    found = written_scores(model, tokenizer, short, SENTENCES, "none", beams=1)
    assert found.bleu.ref_len == sum(len(SENTENCES.target[i].split()) for i in (0, 1, 3))


def test_the_decoder_starts_as_it_does_when_it_writes(model, pairs):
    """T-4: also where that is no padding, as in a model that was trained elsewhere."""
    other = Transformer(replace(model.config, decoder_start_token_id=5))
    other.load_state_dict(model.state_dict())
    found = token_scores(other, pairs, 30, model.config.pad_token_id)
    nll, right = by_hand(other, pairs)
    assert found.loss == pytest.approx(sum(nll) / len(nll), rel=1e-5) and found.accuracy == np.mean(right)


def test_words():
    assert words_of("multi30k-tok-de-en") == words_of("multi30k-tok-en-de") == "none"
    for other in ("multi30k-en-de", "/x/multi30k-tok", "multi30k-tok-of-mine", "multi30k-tok-de-en/part"):
        assert words_of(other) == "13a", "nobody says how"
