"""BERT, with every head, computes what transformers computes from the same files: outputs, losses and gradients.

The weights are of unit scale, as in their_models.py. Both sides read the checkpoint that transformers wrote.
"""

import json
import os
import warnings

import numpy as np
import pytest

from tinygrad_gpt import models, random_stream
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.models import BertConfig, BertForPreTraining, BertModel, load_pretrained
from tinygrad_gpt.optim import AdamW, decay_matrices

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from tests.reference.test_checkpoints_transformers import same_tensors, tensors_in  # noqa: E402
from tests.reference.their_models import BERT_SHAPE, loaded, their_bert  # noqa: E402 (which imports both)

pytestmark = pytest.mark.reference

B, T = 3, 13
SETTINGS = {
    "as published": dict(),
    "one layer, one head, one segment": dict(
        num_hidden_layers=1, num_attention_heads=1, hidden_size=17, intermediate_size=23, type_vocab_size=1
    ),
    "gelu_new, three segments": dict(hidden_act="gelu_new", type_vocab_size=3),
    "relu, large eps, four segments": dict(hidden_act="relu", layer_norm_eps=1e-2, type_vocab_size=4),
    "silu, untied": dict(hidden_act="silu", tie_word_embeddings=False),
    "few tokens, no padding token": dict(
        vocab_size=7, pad_token_id=None, max_position_embeddings=T, hidden_act="swish"
    ),
    "narrow feed-forward": dict(intermediate_size=1, num_hidden_layers=2, classifier_dropout=0.4),
    "deep, narrow, untied": dict(
        num_hidden_layers=6,
        num_attention_heads=3,
        hidden_size=9,
        hidden_act="gelu_pytorch_tanh",
        tie_word_embeddings=False,
    ),
    "small variances": dict(num_hidden_layers=2),
}
HEADS = (
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
)
TORCH = {np.float32: torch.float32, np.float64: torch.float64}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}

heads = pytest.mark.parametrize("head", HEADS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def inputs_for(config, rng) -> dict[str, np.ndarray]:
    """A batch with padding on the right, several segments, and positions in an order of their own."""
    mask = (np.arange(T) < np.array([T, 8, 2])[:, np.newaxis]).astype(np.int64)
    return dict(
        input_ids=np.where(
            rng.random((B, T)) < 0.1, config.pad_token_id or 0, rng.integers(0, config.vocab_size, (B, T))
        ),
        attention_mask=mask,
        token_type_ids=rng.integers(0, config.type_vocab_size, (B, T)),
        position_ids=np.stack([rng.permutation(T) for _ in range(B)]),
    )


def labels_for(head: str, config, rng) -> dict[str, np.ndarray]:
    def some(classes: int, shape) -> np.ndarray:
        labels = rng.integers(0, classes, shape)
        return np.where(rng.random(shape) < 0.4, -100, labels) if len(shape) == 2 else labels

    match head:
        case "BertForPreTraining":
            return dict(labels=some(config.vocab_size, (B, T)), next_sentence_label=some(2, (B,)))
        case "BertForMaskedLM":
            return dict(labels=some(config.vocab_size, (B, T)))
        case "BertForNextSentencePrediction":
            return dict(labels=some(2, (B,)))
        case "BertForSequenceClassification":
            return dict(labels=some(3, (B,)))
        case "BertForTokenClassification":
            return dict(labels=some(3, (B, T)))
        case "BertForQuestionAnswering":  # the second answer was cut off, the third begins before the text does
            return dict(start_positions=np.array([2, T + 5, 0]), end_positions=np.array([4, T, 1]))
    return {}


def tensors(arrays: dict[str, np.ndarray]) -> dict:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def outputs_of(output) -> dict:
    """name -> tensor of everything that a model returned, of ours or of theirs."""
    found = {}
    for name in (
        "last_hidden_state", "pooler_output", "logits", "prediction_logits", "seq_relationship_logits", "start_logits",
        "end_logits", "loss",
    ):  # fmt: skip
        if getattr(output, name, None) is not None:
            found[name] = getattr(output, name)
    for name in ("hidden_states", "attentions"):
        found |= {f"{name}.{i}": x for i, x in enumerate(getattr(output, name))}
    return found


def gradients_of(model) -> dict[str, np.ndarray]:
    """By transformers' names."""
    found = {}
    for name, p in model.named_parameters():
        found |= model.layout.tensors(name, np.asarray(p.grad))
    return found


def their_gradients(model) -> dict[str, np.ndarray]:
    """By the names of a whole model; the bias that is unused there without tied embeddings is left out."""
    prefix = "bert." if type(model).__name__ == "BertModel" else ""
    found = {prefix + name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    if "cls.predictions.decoder.bias" in found:
        found["cls.predictions.bias"] = found.pop("cls.predictions.decoder.bias")
    return found


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
@heads
def test_outputs_hidden_states_attentions_loss_and_gradients(tmp_path, head, settings):
    settings = BERT_SHAPE | settings | (dict(num_labels=3) if "ification" in head else {})
    theirs = their_bert(head, settings, small=settings is SETTINGS["small variances"])
    theirs.save_pretrained(tmp_path)
    for dtype in (np.float64, np.float32):
        ours = getattr(models, head).from_pretrained(tmp_path, dtype=dtype)
        wrong = differences(head, ours, theirs.to(TORCH[dtype]), dtype)
        assert not wrong, wrong


def differences(head: str, ours, theirs, dtype) -> dict[str, float]:
    """Of what both return and of all gradients, by name: those that are too large."""
    rng = np.random.default_rng(1)
    inputs = inputs_for(ours.config, rng)
    given = inputs | labels_for(head, ours.config, rng)
    wanted = dict(output_hidden_states=True, output_attentions=True)
    output, their_output = ours(**given, **wanted), theirs(**tensors(given), **wanted)

    found, expected = outputs_of(output), outputs_of(their_output)
    assert set(found) == set(expected) and len(found) > 2 * ours.config.num_hidden_layers
    errors = {name: np.abs(x.numpy() - expected[name].detach().numpy()).max() for name, x in found.items()}

    theirs.zero_grad()
    if head == "BertModel":
        weights = [rng.normal(size=x.shape).astype(dtype) for x in (output.last_hidden_state, output.pooler_output)]
        ((output.last_hidden_state * weights[0]).sum() + (output.pooler_output * weights[1]).sum()).backward()
        one, other = (torch.from_numpy(w) for w in weights)
        ((their_output.last_hidden_state * one).sum() + (their_output.pooler_output * other).sum()).backward()
    else:
        output.loss.backward()
        their_output.loss.backward()
    gradients, their = gradients_of(ours), their_gradients(theirs)
    assert set(gradients) == set(their)
    # What flows back through a layer is rounded on its way, so that the largest gradient of all is the scale of each.
    scale = max(1.0, *(np.abs(g).max() for g in their.values()))
    for name, gradient in gradients.items():
        errors[f"gradient of {name}"] = np.abs(gradient - their[name]).max() / scale
    return {name: error for name, error in errors.items() if not error <= TOLERANCE[dtype]}


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        (dict(num_labels=1), [0.5, -1.25, 3.0]),
        (dict(num_labels=1), [[0.5], [-1.25], [3.0]]),
        (dict(num_labels=2, problem_type="regression"), [[0.5, 1.0], [-1.25, 0.0], [3.0, 2.0]]),
        (dict(num_labels=4), [3, 0, 3]),
        (dict(num_labels=2, problem_type="single_label_classification"), [1, 0, 1]),
        (dict(num_labels=3, problem_type="multi_label_classification"), [[1.0, 0, 1], [0, 0, 0], [0, 1, 1]]),
        (dict(num_labels=3), [[1.0, 0, 1], [0, 0, 0], [0, 1, 1]]),
    ],
    ids=str,
)
def test_what_the_labels_of_texts_mean(tmp_path, settings, labels):
    theirs = their_bert("BertForSequenceClassification", settings)
    theirs.save_pretrained(tmp_path)
    ours = models.BertForSequenceClassification.from_pretrained(tmp_path, dtype=np.float64)
    assert ours.problem_type == settings.get("problem_type")
    inputs, labels = inputs_for(ours.config, np.random.default_rng(2)), np.array(labels)
    loss = theirs(**tensors(inputs), labels=torch.from_numpy(labels)).loss
    assert ours(**inputs, labels=labels).loss.item() == pytest.approx(loss.item(), rel=1e-12, abs=1e-12)
    ours.save_pretrained(tmp_path / "ours")
    again = loaded("BertForSequenceClassification", tmp_path / "ours", np.float64)
    assert again.config.num_labels == settings["num_labels"]
    assert again.config.problem_type == settings.get("problem_type")


# --- a training of 50 steps -------------------------------------------------------------------------------------------


@dtypes
def test_a_twin_run_has_the_same_loss_at_every_step(tmp_path, dtype):
    """The same weights, batches and AdamW, no dropout. Ours scores masked places only, as in pre-training."""
    settings = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=2)
    their_bert("BertForPreTraining", settings).save_pretrained(tmp_path)
    ours = BertForPreTraining.from_pretrained(tmp_path, dtype=dtype).train()
    theirs = loaded("BertForPreTraining", tmp_path, dtype).train()
    how = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-6)
    optimizer = AdamW(decay_matrices(ours.named_parameters(), 0.01), **how)
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    others = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [dict(params=decayed, weight_decay=0.01), dict(params=others, weight_decay=0.0)]
    their_optimizer = torch.optim.AdamW(groups, **how)
    rng, losses = np.random.default_rng(3), []
    for _ in range(50):
        inputs = inputs_for(ours.config, rng)
        del inputs["position_ids"]
        given = inputs | labels_for("BertForPreTraining", ours.config, rng)
        optimizer.zero_grad()
        loss = ours.loss(**given).total
        loss.backward()
        optimizer.step()
        their_optimizer.zero_grad()
        their_loss = theirs(**tensors(given)).loss
        their_loss.backward()
        their_optimizer.step()
        losses.append((loss.item(), their_loss.item()))
    gaps = [abs(our - their) for our, their in losses]
    assert max(gaps) <= {np.float32: 1e-4, np.float64: 1e-9}[dtype], gaps
    assert losses[-1][0] < losses[0][0], "it learns"


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@heads
def test_theirs_ours_theirs_is_bit_by_bit_the_same(tmp_path, head, tied):
    settings = dict(tie_word_embeddings=tied) | (dict(num_labels=4) if "ification" in head else {})
    theirs = their_bert(head, settings).float()
    if not tied and hasattr(theirs, "cls") and hasattr(theirs.cls, "predictions"):  # which is not computed with
        theirs.cls.predictions.bias.data = theirs.cls.predictions.decoder.bias.data.clone()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_pretrained(tmp_path / "theirs")
    assert type(ours).__name__ == head, "config.json says which model it is"
    ours.save_pretrained(tmp_path / "ours")
    same_tensors(tensors_in(tmp_path / "theirs"), tensors_in(tmp_path / "ours"))
    configs = [json.loads((tmp_path / who / "config.json").read_text(encoding="utf-8")) for who in ("theirs", "ours")]
    assert configs[0] == configs[1]
    again = loaded(head, tmp_path / "ours", np.float32)
    inputs = tensors(inputs_for(theirs.config, np.random.default_rng(0)))
    assert torch.equal(again(**inputs)[0], theirs(**inputs)[0])


@heads
def test_what_was_made_here_computes_the_same_there(tmp_path, head):
    config = BertConfig(41, 30, 2, 5, 37, hidden_act="gelu_new", max_position_embeddings=T, type_vocab_size=3)
    ours = getattr(models, head)(config).to(np.float64).eval()
    rng = np.random.default_rng(5)
    for p in ours.parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    ours.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = loaded(head, tmp_path, np.float64)
    inputs = inputs_for(config, rng)
    expected = outputs_of(theirs(**tensors(inputs), output_hidden_states=True, output_attentions=True))
    found = outputs_of(ours(**inputs, output_hidden_states=True, output_attentions=True))
    assert set(found) == set(expected)
    for name, x in found.items():
        assert np.abs(x.numpy() - expected[name].detach().numpy()).max() <= 1e-11, name


def test_a_new_model_is_drawn_as_theirs_are():
    """Matrices and embeddings normal with standard deviation initializer_range, biases 0, norms 1, padding's row 0."""
    random_stream.manual_seed(1)
    torch.manual_seed(1)  # the smallest matrices have 192 numbers: their spread differs by chance
    shape = dict(hidden_size=96, num_hidden_layers=1, num_attention_heads=2, vocab_size=300, pad_token_id=7)
    shape |= dict(intermediate_size=128, initializer_range=0.05)
    ours, theirs = (
        BertForPreTraining(BertConfig(**shape)),
        transformers.BertForPreTraining(transformers.BertConfig(**shape)),
    )
    drawn = {}
    for name, p in ours.named_parameters():
        drawn |= ours.layout.tensors(name, p.data)
    expected = {name: p.detach().numpy() for name, p in theirs.named_parameters()}
    assert set(drawn) == set(expected)
    for name, array in drawn.items():
        assert array.std() == pytest.approx(expected[name].std(), rel=0.1, abs=1e-12), name
        assert array.mean() == pytest.approx(expected[name].mean(), abs=0.05 / np.sqrt(array.size) * 5), name
    words = "bert.embeddings.word_embeddings.weight"
    assert not drawn[words][7].any() and not expected[words][7].any() and drawn[words][6].any()


def test_every_setting_that_transformers_has_by_default_is_known():
    """Were a new one to change the maths, this is where it shows: look what it does before it is added to the list."""
    config = transformers.BertConfig()
    ours = BertModel.layout.config_from(config.to_dict(), "config.json")
    assert ours == BertConfig() == BertModel.layout.config_from({}, "config.json")
    assert ours == BertModel.layout.config_from(json.loads(config.to_json_string()), "config.json")
    for name in BertModel.layout.settings:
        assert getattr(config, name) == getattr(ours, name), name


# --- real weights -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif("TINYGRAD_GPT_MINILM" not in os.environ, reason="TINYGRAD_GPT_MINILM does not name its folder")
def test_real_weights_give_transformers_numbers_on_a_padded_batch():
    """The encoder all-MiniLM-L6-v2, which is saved without the prefix `bert.`."""
    folder = os.environ["TINYGRAD_GPT_MINILM"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["A man is eating food.", "A man eats something.", "The sky is blue today, they say, and so it is."]
    batch = dict(tokenizer(texts, ["Why?", "He was hungry.", ""], padding=True, return_tensors="np"))
    is_token = batch["attention_mask"] == 1
    for dtype, tolerance in TOLERANCE.items():
        ours, theirs = BertModel.from_pretrained(folder, dtype=dtype), loaded("BertModel", folder, dtype)
        assert ours.num_parameters() == 22_713_216
        expected = theirs(**tensors(batch), output_hidden_states=True)
        output = ours(**batch, output_hidden_states=True)
        for found, right in zip(output.hidden_states, expected.hidden_states, strict=True):
            # At padding, transformers' own float32 is 1e-4 from its float64.
            difference = np.abs(found.numpy() - right.detach().numpy())
            assert (difference if dtype == np.float64 else difference[is_token]).max() <= tolerance
        assert np.abs(output.pooler_output.numpy() - expected.pooler_output.detach().numpy()).max() <= tolerance


def test_a_tokenizer_and_a_model_that_go_together_there(tmp_path):
    tokenizer = WordPieceTokenizer.train(["the cat sat on the mat", "a dog sat on a log"], 60)
    config = BertConfig(tokenizer.vocab_size, 30, 2, 5, 37, max_position_embeddings=T, pad_token_id=tokenizer.pad_id)
    ours = BertForPreTraining(config).eval()
    ours.save_pretrained(tmp_path, tokenizer)
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoModelForPreTraining.from_pretrained(tmp_path).eval()
    batch = their_tokenizer(["the cat"], ["a dog"], return_tensors="pt")
    ids, segments = tokenizer.pair(tokenizer.encode("the cat"), tokenizer.encode("a dog"))
    assert batch["input_ids"][0].tolist() == ids.tolist() and batch["token_type_ids"][0].tolist() == segments.tolist()
    logits = ours(ids[np.newaxis], None, segments[np.newaxis]).prediction_logits
    assert np.abs(logits.numpy() - theirs(**batch).prediction_logits.detach().numpy()).max() <= 1e-5
