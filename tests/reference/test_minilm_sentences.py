"""Sentence embeddings with real weights, all-MiniLM-L6-v2: the published scores, and transformers' vectors.

TINYGRAD_GPT_MINILM names the model's folder, TINYGRAD_GPT_DATA that of stsb/test.csv."""

import os

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.data import open_task
from tinygrad_gpt.files.storage import data_folder
from tinygrad_gpt.models import sentence_embeddings
from tinygrad_gpt.tasks.scores import pearson, spearman

pytest.importorskip("tokenizers", reason="tokenizers is not installed")

MINILM = os.environ.get("TINYGRAD_GPT_MINILM", "")
pytestmark = [pytest.mark.reference, pytest.mark.skipif(not MINILM, reason="MiniLM's weights are not here")]

SENTENCES = ["A man is eating food.", "A man eats something.", "The sky is blue today."]


@pytest.fixture(scope="module")
def minilm():
    return tg.load(MINILM)


def test_known_cosines(minilm):
    x = sentence_embeddings(*minilm, SENTENCES, normalize=True)
    expected = [[1, 0.8749, -0.0186], [0.8749, 1, -0.0355], [-0.0186, -0.0355, 1]]
    np.testing.assert_allclose(x @ x.T, expected, atol=1e-4)


def test_the_sts_benchmark(minilm):
    """Spearman's correlation of cosine and human judgement: 82.03 in the MTEB leaderboard's table."""
    if data_folder() is None:
        pytest.skip("needs stsb/test.csv: set TINYGRAD_GPT_DATA")
    pairs = open_task("stsb").test
    x = sentence_embeddings(*minilm, [*pairs.first, *pairs.second])
    cosines = tg.cosine_similarity(*map(tg.tensor, np.split(x, 2))).data
    assert len(cosines) == 1379
    assert spearman(pairs.labels, cosines) == pytest.approx(0.8203, abs=0.0005)
    assert pearson(pairs.labels, cosines) == pytest.approx(0.8274, abs=0.0005)


def test_vectors_are_those_of_transformers(minilm):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch")
    theirs, tokenizer = (
        transformers.AutoModel.from_pretrained(MINILM),
        transformers.AutoTokenizer.from_pretrained(MINILM),
    )
    texts = [*SENTENCES, "", "Ein Café in 東京, 😀 [SEP] " * 9]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        x = theirs(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    expected = ((x * mask).sum(1) / mask.sum(1)).numpy()
    np.testing.assert_allclose(sentence_embeddings(*minilm, texts, batch_size=2), expected, atol=1e-5)
