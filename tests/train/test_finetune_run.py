"""A fine-tuning run before it begins: what cannot be leaves nothing behind."""

import pytest

from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.classification import open_task
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT1, GPTConfig
from tinygrad_gpt.train.finetune import FinetuneConfig
from tinygrad_gpt.train.finetune_run import FinetuneRun


def test_texts_that_the_tokenizer_does_not_know_leave_no_folder(tmp_path):
    (tmp_path / "own.csv").write_text("abc,x\nbca,y\n" * 9 + "abd,x\n", encoding="utf-8")
    task = open_task(tmp_path / "own.csv")
    body = GPT1(GPTConfig(vocab_size=3, block_size=8, n_layer=1, n_head=1, n_embd=4, norm="post"))
    with pytest.raises(UserError, match="character 'd'"):
        FinetuneRun(body, CharTokenizer("abc"), task, FinetuneConfig(), [0.0], [1], tmp_path / "out")
    assert not (tmp_path / "out").exists()
