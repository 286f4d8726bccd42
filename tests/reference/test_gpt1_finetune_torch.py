"""GPT-1's classifier beside transformers' and PyTorch's: the loss L3 and every gradient, from the same weights."""

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.models import GPT1
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification, GPT1ForMultipleChoice, with_new_tokens

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

pytestmark = pytest.mark.reference

V, BLOCK = 23, 20
TOKENS = TaskTokens.after(V)
TOLERANCE = 1e-10
CONFIG = dict(vocab_size=V, block_size=BLOCK, n_layer=3, n_head=3, n_embd=12, norm="post")


def random_body() -> GPT1:
    """In float64, every parameter random, with the task's tokens."""
    random_stream.manual_seed(1)
    body = with_new_tokens(GPT1(GPTConfig(**CONFIG)).to(np.float64), TaskTokens.COUNT)
    rng = np.random.default_rng(7)
    for name, p in body.named_parameters():
        p.data[...] = rng.normal(1.0 if name.endswith("norm.weight") else 0.0, 0.3, p.shape)
    return body


def texts(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, V, size) for size in rng.integers(1, 7, n)]


def their_config():
    c = CONFIG
    return transformers.OpenAIGPTConfig(
        vocab_size=V + TaskTokens.COUNT,
        n_positions=BLOCK,
        n_embd=c["n_embd"],
        n_layer=c["n_layer"],
        n_head=c["n_head"],
        summary_first_dropout=0.0,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )


def assert_close(ours, theirs, what="") -> None:
    theirs = theirs.detach().numpy()
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(1.0, np.abs(theirs).max()), what


def assert_gradients_agree(body: GPT1, their_transformer) -> None:
    """Of every parameter of the body, by the names under which it is saved."""
    theirs = dict(their_transformer.named_parameters(prefix="transformer"))
    ours = {}
    for name, p in body.named_parameters():
        ours |= body.layout.tensors(name, p.grad)
    assert set(ours) == set(theirs)
    for name, grad in ours.items():
        assert_close(grad, theirs[name].grad, name)


@pytest.mark.parametrize("lm_weight", [0.0, 0.5])
def test_classification(lm_weight, tmp_path):
    """Against OpenAIGPTModel with a linear layer of PyTorch's on the extract token."""
    from torch.nn import functional as F

    body = random_body()
    model = GPT1ForClassification(body, 4, dropout=0.0)
    rng = np.random.default_rng(3)
    for p in (model.score.weight, model.score.bias):
        p.data = rng.normal(size=p.shape)
    body.save_pretrained(tmp_path)
    theirs = transformers.OpenAIGPTLMHeadModel.from_pretrained(tmp_path, dtype=torch.float64).train()
    theirs.transformer.drop.p = 0.0
    batch = gpt1_inputs.pad([gpt1_inputs.classification(text, TOKENS, BLOCK) for text in texts(6)])
    labels = np.array([0, 3, 1, 2, 2, 0])

    ours = model.loss(*batch, labels, lm_weight)
    ours.total.backward()

    weight, bias = (torch.tensor(p.data, requires_grad=True) for p in (model.score.weight, model.score.bias))
    hidden = theirs.transformer(torch.tensor(batch.ids)).last_hidden_state
    task = F.cross_entropy(F.linear(hidden[torch.arange(6), batch.last], weight, bias), torch.tensor(labels))
    # Their loss, asked for by labels, is computed in float32 whatever the model's dtype.
    is_text = np.arange(batch.ids.shape[1]) <= batch.last[:, None]
    targets = torch.tensor(np.where(is_text, batch.ids, -100))[:, 1:]
    language = F.cross_entropy(theirs(torch.tensor(batch.ids)).logits[:, :-1].transpose(1, 2), targets)
    (task + lm_weight * language).backward()

    assert_close(ours.task.data, task)
    assert_close(ours.total.data, task + lm_weight * language)
    if lm_weight:
        assert_close(ours.language.data, language)
    assert_close(model.score.weight.grad, weight.grad)
    assert_close(model.score.bias.grad, bias.grad)
    assert_gradients_agree(body, theirs.transformer)


def test_multiple_choice(tmp_path):
    """Against OpenAIGPTDoubleHeadsModel, which is the paper's model for it."""
    body = random_body()
    model = GPT1ForMultipleChoice(body, dropout=0.0)
    rng = np.random.default_rng(3)
    for p in (model.score.weight, model.score.bias):
        p.data = rng.normal(size=p.shape)
    body.save_pretrained(tmp_path)
    config = their_config()
    config.num_labels = 1
    theirs = transformers.OpenAIGPTDoubleHeadsModel.from_pretrained(tmp_path, config=config, dtype=torch.float64)
    theirs.eval()
    with torch.no_grad():
        theirs.multiple_choice_head.summary.weight.copy_(torch.tensor(model.score.weight.data))
        theirs.multiple_choice_head.summary.bias.copy_(torch.tensor(model.score.bias.data))
    context, *answers = texts(4)
    choices = [gpt1_inputs.multiple_choice(context, answers, TOKENS, BLOCK)]
    choices += [gpt1_inputs.multiple_choice(answers[0], [context, *answers[:2]], TOKENS, BLOCK)]
    batch = gpt1_inputs.pad_groups(choices)
    labels = np.array([2, 0])

    ours = model.loss(*batch, labels, 0.5)
    ours.total.backward()

    is_text = np.arange(batch.ids.shape[-1]) <= batch.last[..., None]
    output = theirs(
        torch.tensor(batch.ids),
        mc_token_ids=torch.tensor(batch.last),
        labels=torch.tensor(np.where(is_text, batch.ids, -100)),
        mc_labels=torch.tensor(labels),
    )
    total = output.mc_loss + 0.5 * output.loss
    total.backward()

    assert_close(model(*batch).data, output.mc_logits)
    assert_close(ours.total.data, total)
    head = theirs.multiple_choice_head.summary
    assert_close(model.score.weight.grad, head.weight.grad)
    assert_close(model.score.bias.grad, head.bias.grad)
    assert_gradients_agree(body, theirs.transformer)
