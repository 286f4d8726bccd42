"""Healthy runs raise nothing: every preset's recipe on a smaller model, quick ones with several seeds, and more."""

import pytest

from tinygrad_gpt.train.presets import PRESETS

# The presets' own norm, activation, bias, dropout, learning rates, betas, decay and clipping; only what takes time is
# smaller. 270 steps: 100 of warm-up, and the 150 over which a loss is judged (gpt2-124m's are all warm-up).
REDUCED = dict(n_layer=2, n_head=2, n_embd=32, block_size=32, batch_size=8, steps=270, tokenizer="char")


def recipe(name):
    settings = PRESETS[name]
    return settings.model | settings.train | REDUCED


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "tiny" else pytest.mark.long)
        for name, preset in PRESETS.items()
        if preset.model and preset.kind == "gpt"
    ],
)
def test_presets(train, name):
    assert train(preset=name, **recipe(name)).said == []


@pytest.mark.long
def test_going_on_from_a_trained_model(train):
    trained = train()
    assert trained.said == []
    finetune = PRESETS["finetune"].train | {"from_": str(trained.folder), "steps": 60}
    assert train(preset="finetune", shape={}, **finetune).said == []


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("name", ["quick", "tiny"])
def test_more_seeds(train, name, seed):
    assert train(preset=name, **recipe(name) | {"seed": seed}).said == []


@pytest.mark.long
@pytest.mark.parametrize(
    "others",
    [
        dict(norm="post", tied=False),
        dict(activation="relu"),
        dict(activation="tanh"),
        dict(dtype="float64", bias=False),
        dict(dropout=0.2, accumulate=2, batch_size=4),
        dict(n_layer=6, n_embd=16, recompute=True),
        dict(schedule="constant", warmup=0, lr=3e-3),
        dict(batch_size=1, log_interval=1, steps=140),  # so few words teach too little in the 150 that judge a level
    ],
    ids=str,
)
def test_other_settings(train, others):
    assert train(**others).said == []
