"""TransfoXLLMHeadModel computes what transformers 4.35.2 computes from the same files: log-probabilities, losses,
hidden states, attentions, memories, gradients, and the losses of a training with memory.

Later versions of transformers have no Transformer-XL, or one that does not run. So this file wants an environment of
its own (see .ci/run), and is skipped elsewhere. Theirs cannot run in float64: all is compared in float32.

The weights are of unit scale, as in their_models.py.
"""

import json
import warnings

import numpy as np
import pytest

from tinygrad_gpt.models import (
    TransformerXL,
    TransformerXLConfig,
    TransfoXLLMHeadModel,
    load_pretrained,
    save_pretrained,
)
from tinygrad_gpt.optim import AdamW

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
if not transformers.__version__.startswith("4.35."):
    pytest.skip(
        f"transformers {transformers.__version__} has no TransfoXLLMHeadModel that runs: 4.35.2 has",
        allow_module_level=True,
    )

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore:The output of TransfoXL:DeprecationWarning")]

B, T, M, V, C = 3, 11, 5, 41, 30
SHAPE = dict(
    vocab_size=V,
    cutoffs=[],
    d_model=C,
    d_embed=C,
    n_head=5,
    d_head=6,
    d_inner=37,
    div_val=1,
    n_layer=3,
    mem_len=7,
    clamp_len=-1,
    same_length=False,
    dropout=0.0,
    dropatt=0.0,
)
SETTINGS = {
    "the paper's": {},
    "same_length": dict(same_length=True),
    "same_length, a memory shorter than the segment": dict(same_length=True, mem_len=4),
    "clamp_len": dict(clamp_len=4),
    "pre_lnorm": dict(pre_lnorm=True),
    "untie_r false": dict(untie_r=False),
    "pre_lnorm, untie_r false, same_length, clamp_len": dict(
        pre_lnorm=True, untie_r=False, same_length=True, clamp_len=3, mem_len=9
    ),
    "heads of another width, one layer": dict(d_head=4, n_head=3, n_layer=1),
    "cutoffs": dict(cutoffs=[10, 20]),
    "cutoffs, div_val 2": dict(cutoffs=[10, 20], div_val=2),
    "one cutoff, div_val 3, no projection shared": dict(cutoffs=[25], div_val=3, proj_share_all_but_first=False),
    "cutoffs, d_embed": dict(cutoffs=[10, 20], d_embed=12),
    "cutoffs, d_embed, no projection shared": dict(cutoffs=[10, 20], d_embed=12, proj_share_all_but_first=False),
    "d_embed": dict(d_embed=12),
    "div_val without cutoffs": dict(div_val=2),
    "as TransfoXLConfig": dict(cutoffs=[5, 9, 30], div_val=2, clamp_len=10, same_length=True, mem_len=16),
}
TOLERANCE = 1e-5  # times the scale of what is compared
EVERYTHING = dict(output_hidden_states=True, output_attentions=True)

every_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
with_and_without_a_memory = pytest.mark.parametrize("memory", [0, M], ids=["no memory", "a memory"])


def their_transfo_xl(settings: dict):
    """A random model in evaluation mode: SHAPE, but for the settings given."""
    model = transformers.TransfoXLLMHeadModel(transformers.TransfoXLConfig(**(SHAPE | settings)))
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        adds_up = p.ndim == 2 and not any(part in name for part in ("emb_layers", "_bias", "cluster"))
        std, mean = p.shape[1] ** -0.5 if adds_up else 0.5, 1.0 if name.endswith("norm.weight") else 0.0
        p.data = torch.from_numpy(rng.normal(mean, std, p.shape).astype(np.float32))
    return model.eval()


def both(folder, settings: dict):
    """(ours, theirs), from the files that theirs writes."""
    theirs = their_transfo_xl(settings)
    theirs.save_pretrained(folder)
    return TransfoXLLMHeadModel.from_pretrained(folder), theirs


def some_ids(length: int = T, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, (B, length))


def empty(n_layer: int) -> list:
    """The paper's memory of a text that begins: theirs would take zeros."""
    return [torch.zeros(0, B, C)] * n_layer


def arrays_of(output, *names: str) -> dict[str, np.ndarray]:
    found = {}
    for name in names:
        value = getattr(output, name)
        found |= {f"{name}.{i}": x for i, x in enumerate(value)} if isinstance(value, tuple | list) else {name: value}
    return {name: (x.detach() if isinstance(x, torch.Tensor) else x).numpy() for name, x in found.items()}


def check_same(found: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert set(found) == set(right)
    errors = {}
    for name, array in found.items():
        assert array.shape == right[name].shape, name
        largest = np.abs(right[name]).max(initial=0.0)
        errors[name] = np.abs(array - right[name]).max(initial=0.0) / max(1.0, largest)
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    assert not wrong, wrong


def joined(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With queries, keys and values in one, as transformers has them."""
    whole = {name: array for name, array in tensors.items() if "qkv_net[" not in name}
    for name, array in tensors.items():
        if "[q]" in name:
            whole[name.replace("[q]", "")] = np.concatenate([array, tensors[name.replace("[q]", "[kv]")]])
    return whole


def gradients_of(model) -> dict[str, np.ndarray]:
    """By transformers' names."""
    found = {}
    for name, p in model.named_parameters():
        found |= model.layout.tensors(name, np.asarray(p.grad))
    return joined(found)


@with_and_without_a_memory
@every_setting
def test_scores_hidden_states_attentions_memories_losses_and_gradients(tmp_path, settings, memory):
    ours, theirs = both(tmp_path, settings)
    n, ids, first = ours.config.n_layer, some_ids(), some_ids(memory, seed=2)
    mems, their_mems = None, empty(n)
    if memory:
        mems, their_mems = ours(first).mems, theirs(torch.from_numpy(first), mems=their_mems).mems
    output, expected = ours(ids, mems, **EVERYTHING), theirs(torch.from_numpy(ids), mems=their_mems, **EVERYTHING)
    parts = ("prediction_scores", "mems", "hidden_states", "attentions")
    found = arrays_of(output, *parts)
    assert len(found) == 1 + n + (n + 1) + n
    check_same(found, arrays_of(expected, *parts))
    np.testing.assert_array_equal(output.logits.numpy(), output.prediction_scores.numpy())

    labels = ids.copy()
    labels[1, 3:6] = -100
    output, expected = (
        ours(ids, mems, labels),
        theirs(torch.from_numpy(ids), their_mems, labels=torch.from_numpy(labels)),
    )
    check_same(arrays_of(output, "loss"), arrays_of(expected, "loss"))
    losses, right = output.losses.numpy(), expected.losses.detach().numpy()
    assert losses.shape == right.shape == (B, T - 1)
    if settings.get("cutoffs"):  # theirs puts them in the order of the clusters
        losses, right = np.sort(losses, axis=None), np.sort(right, axis=None)
    check_same({"losses": losses}, {"losses": right})

    output.loss.backward()
    expected.loss.backward()
    their_gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    check_same(gradients_of(ours), their_gradients)


@pytest.mark.parametrize("name", ["cutoffs", "cutoffs, div_val 2"])
def test_losses_stand_in_the_order_of_the_positions(tmp_path, name):
    """Each is its label's log-probability, which theirs says too, when it is not asked for losses."""
    ours, theirs = both(tmp_path, SETTINGS[name])
    ids = some_ids()
    scores = theirs(torch.from_numpy(ids), mems=empty(3)).prediction_scores.detach().numpy()  # (B, T, V)
    right = -np.take_along_axis(scores[:, :-1], ids[:, 1:, np.newaxis], axis=-1)[..., 0]
    losses = ours(ids, labels=ids).losses.numpy()
    check_same({"losses": losses}, {"losses": right})
    in_their_order = theirs(torch.from_numpy(ids), mems=empty(3), labels=torch.from_numpy(ids)).losses.detach().numpy()
    assert np.abs(in_their_order - losses).max() > 1.0, "which is another one"


@every_setting
def test_a_text_that_begins_with_zeros(tmp_path, settings):
    """As theirs begins on its own: with zero_memory that is the same, and without it is another model."""
    theirs = their_transfo_xl(settings)
    theirs.save_pretrained(tmp_path)
    ours = TransfoXLLMHeadModel.from_pretrained(tmp_path, zero_memory=True)
    ids = some_ids()
    output, expected = ours(ids, **EVERYTHING), theirs(torch.from_numpy(ids), **EVERYTHING)
    parts = ("prediction_scores", "mems", "hidden_states", "attentions")
    check_same(arrays_of(output, *parts), arrays_of(expected, *parts))
    ours.zero_memory = False
    assert np.abs(ours(ids).logits.numpy() - output.logits.numpy()).max() > 0.1


@pytest.mark.parametrize("name", ["the paper's", "same_length", "cutoffs, div_val 2"])
def test_a_long_text_in_many_segments(tmp_path, name):
    ours, theirs = both(tmp_path, SETTINGS[name])
    mems, their_mems = None, empty(3)
    for n, length in enumerate([1, 9, 2, 16, 1, 1, 5]):
        ids = some_ids(length, seed=n)
        output, expected = ours(ids, mems), theirs(torch.from_numpy(ids), mems=their_mems)
        mems, their_mems = output.mems, expected.mems
        check_same(arrays_of(output, "prediction_scores", "mems"), arrays_of(expected, "prediction_scores", "mems"))


@pytest.mark.parametrize("name", ["the paper's", "cutoffs, div_val 2"])
def test_a_twin_run_has_the_same_loss_at_every_step(tmp_path, name):
    """The same weights, streams and Adam, no dropout, 30 segments with the memory carried."""
    ours, theirs = both(tmp_path, SETTINGS[name])
    ours.train(), theirs.train()
    how = dict(lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0)
    optimizer, their_optimizer = AdamW(ours.parameters(), **how), torch.optim.AdamW(theirs.parameters(), **how)
    text = np.random.default_rng(3).integers(0, 6, (B, 31 * T))  # of few words, so that there is something to learn
    mems, their_mems, losses = None, empty(3), []
    for step in range(30):
        ids = text[:, step * T : step * T + T]
        output = ours(ids, mems, labels=ids)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        mems = output.mems
        expected = theirs(torch.from_numpy(ids), mems=their_mems, labels=torch.from_numpy(ids))
        their_optimizer.zero_grad()
        expected.loss.backward()
        their_optimizer.step()
        their_mems = expected.mems
        losses.append((output.loss.item(), expected.loss.item()))
    gaps = [abs(our - their) for our, their in losses]
    assert max(gaps) <= 1e-4, gaps
    assert losses[-1][0] < losses[0][0] - 0.5, "it learns"


# --- files ------------------------------------------------------------------------------------------------------------


def config_in(folder) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


@every_setting
def test_theirs_ours_theirs_is_bit_by_bit_the_same(tmp_path, settings):
    theirs = their_transfo_xl(settings)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    assert type(ours) is TransfoXLLMHeadModel, "config.json says which model it is"
    ours.save_pretrained(tmp_path / "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The output of TransfoXL", DeprecationWarning)
        again, told = transformers.TransfoXLLMHeadModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(told.values()), told
    before, after = theirs.state_dict(), again.state_dict()
    assert list(before) == list(after)
    for name, tensor in before.items():
        if name.endswith("inv_freq"):
            np.testing.assert_allclose(after[name], tensor, rtol=1e-6)  # of 10000^(-2i/C), rounded
        else:
            assert torch.equal(after[name], tensor), name
    written, original = config_in(tmp_path / "ours"), config_in(tmp_path / "theirs")
    assert original.pop("torch_dtype") == written.pop("dtype") == "float32"
    shares = not original["cutoffs"] or settings.get("proj_share_all_but_first", True)
    assert written.pop("proj_share_all_but_first") is shares
    assert written == original
    for name in (*SHAPE, "pre_lnorm", "untie_r", "tie_projs"):
        assert getattr(again.config, name) == getattr(theirs.config, name), name


@pytest.mark.parametrize("kind", [TransfoXLLMHeadModel, TransformerXL])
@pytest.mark.parametrize(
    "settings", [dict(), dict(cutoffs=(10, 20), div_val=2), dict(untie_r=False, d_embed=12)], ids=str
)
def test_what_was_made_here_computes_the_same_there(tmp_path, settings, kind):
    """The defaults that are ours are written out."""
    ours, rng = kind(TransformerXLConfig(V, C, 2, 5, mem_len=7, **settings)).eval(), np.random.default_rng(5)
    for p in ours.parameters():
        p.data += rng.normal(0, 0.3, p.shape).astype(np.float32)
    save_pretrained(ours, tmp_path)
    theirs = transformers.TransfoXLLMHeadModel.from_pretrained(tmp_path).eval()
    ids = some_ids()
    expected = theirs(torch.from_numpy(ids), mems=empty(2)).prediction_scores.detach().numpy()
    again = load_pretrained(tmp_path)
    check_same({"scores": again(ids).logits.numpy()}, {"scores": expected})
    features, _ = TransformerXL.read(ours, ids)
    scores = ours.head(features).numpy().astype(np.float64)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    check_same({"scores": scores}, {"scores": expected})


def test_it_writes_what_theirs_writes_with_an_empty_memory(tmp_path):
    ours, theirs = both(tmp_path, SETTINGS["the paper's"])
    written = ours.generate(some_ids(4), max_new_tokens=40)
    ids, mems = torch.from_numpy(some_ids(4)), empty(3)
    new = ids
    for _ in range(40):
        output = theirs(new, mems=mems)
        mems, new = output.mems, output.prediction_scores[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, new], dim=1)
    np.testing.assert_array_equal(written, ids.numpy())
