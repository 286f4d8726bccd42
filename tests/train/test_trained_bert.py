"""Trained BERTs by place: a run that pre-trained one, a Hugging Face folder; and who can do what with them."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.checkpoints import bert_folder, gpt2_folder, random_tensors
from tests.helpers import assert_one_line_error
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    load_pretrained,
)
from tinygrad_gpt.models.bert import count_parameters
from tinygrad_gpt.models.hf.pretrained import NewWeightsWarning
from tinygrad_gpt.train.checkpoint import save_checkpoint
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import find_model, open_model

TEXT = ["the cat sat on the mat", "a dog sat on a log", "the dog and the cat"]
BOTH = ("gpt", "bert")
IDS = np.array([[2, 5, 6, 7, 3]])


@pytest.fixture
def tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer.train(TEXT, 60)


@pytest.fixture
def run(tmp_path, tokenizer) -> Path:
    """The folder of a run that pre-trained a BERT, after its last step."""
    tg.manual_seed(1)
    config = BertConfig(tokenizer.vocab_size, 8, 2, 2, 12, max_position_embeddings=9, pad_token_id=tokenizer.pad_id)
    model, folder = BertForPreTraining(config), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    tokenizer.save(folder.tokenizer)
    shape = dataclasses.asdict(config)
    written = {
        "task": {"name": "masked-lm", "corpus": "texts"},
        "preset": "bert-tiny",
        "corpus": {"path": None},
        "model": {name: value for name, value in shape.items() if name != "vocab_size"},
        "train": dataclasses.asdict(TrainConfig()),
        "own_pairs": [],
        "vocab_size": shape["vocab_size"],
        "parameters": model.num_parameters(),
        "tokenizer": tokenizer.fingerprint(),
    }
    folder.config.write_text(json.dumps(written), encoding="utf-8")
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    save_checkpoint(folder.checkpoint, arrays | {"optimizer.0": np.zeros(3)}, {"step": 1})
    return folder.path


@pytest.fixture
def cli(capsys):
    """Runs the command: (status, output, errors)."""

    def call(*arguments: str):
        capsys.readouterr()
        status = main(list(arguments))
        return status, *capsys.readouterr()

    return call


def edit(run: Path, **changes) -> None:
    file = run / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# --- what it is -------------------------------------------------------------------------------------------------------


def test_a_run_that_pre_trained_one(run, tokenizer):
    source = find_model(str(run), BOTH)
    assert (source.kind, source.settings.preset, source.train) == ("bert", "bert-tiny", TrainConfig())
    assert isinstance(source.config, BertConfig) and source.config.hidden_size == 8
    model = source.load()
    assert type(model) is BertForPreTraining and not model.training
    assert source.parameters == model.num_parameters() == count_parameters(source.config)
    np.testing.assert_array_equal(source.encoder()(IDS).pooler_output.data, model.bert(IDS).pooler_output.data)
    assert source.tokenizer().encode("the cat").tolist() == tokenizer.encode("the cat").tolist()
    assert set(source.sha256) == {"config.json", "checkpoint.safetensors"} == set(source.record()["sha256"])


def test_a_folder_of_transformers(tmp_path):
    source = find_model(str(bert_folder(tmp_path)), BOTH)
    assert source.kind == "bert" and source.train is None and source.hf_config["model_type"] == "bert"
    assert type(source.load()) is BertForPreTraining
    assert type(source.encoder()) is BertModel and source.encoder().pooler is not None
    assert source.parameters == count_parameters(source.config, heads=False)
    with pytest.raises(UserError, match="has no tokenizer: give one with --tokenizer PATH"):
        source.tokenizer()


def test_a_folder_gives_the_fullest_model_that_it_holds(tmp_path):
    for kind in (BertForMaskedLM, BertForSequenceClassification, BertModel):
        kind(BertConfig(13, 6, 1, 2, 10)).save_pretrained(tmp_path / kind.__name__)
        assert type(find_model(str(tmp_path / kind.__name__), BOTH).load()) is kind
    with pytest.warns(NewWeightsWarning, match="has no bert.pooler"):
        assert find_model(str(tmp_path / "BertForMaskedLM"), BOTH).encoder().pooler is not None


def test_a_vocabulary_alone_is_a_tokenizer(tmp_path, tokenizer):
    """As in old folders of transformers, which have no tokenizer.json."""
    folder = tmp_path / "hf"
    BertModel(BertConfig(tokenizer.vocab_size, 6, 1, 2, 10)).save_pretrained(folder, tokenizer)
    (folder / "tokenizer.json").unlink()
    assert (folder / "vocab.txt").exists()
    own = find_model(str(folder), BOTH).tokenizer()
    assert own.encode("the cat sat").tolist() == tokenizer.encode("the cat sat").tolist()


# --- who can do what --------------------------------------------------------------------------------------------------


def test_what_can_only_write_says_so_in_a_line(run, tmp_path, cli):
    for arguments in (["sample", run], ["sample", bert_folder(tmp_path / "hf")]):
        name = arguments[1]
        result = cli(*map(str, arguments))
        assert_one_line_error(
            result, f"{name} holds a BERT, which cannot write text: try `tinygrad-gpt predict {name} "
        )


def test_a_gpt_is_no_bert(tmp_path):
    folder = gpt2_folder(tmp_path)
    with pytest.raises(UserError, match="holds a GPT, and this needs a BERT"):
        find_model(str(folder), ("bert",))
    with pytest.raises(UserError, match="holds a GPT"):
        find_model(str(folder)).encoder()
    assert find_model(str(folder), BOTH).kind == "gpt"


def test_load_gives_model_and_tokenizer_and_writes_nothing(run):
    loaded = tg.load(run)
    model, tokenizer = loaded
    assert type(model) is BertForPreTraining and isinstance(tokenizer, WordPieceTokenizer)
    with pytest.raises(UserError, match="sample: a BertForPreTraining reads a text on both sides of each token"):
        loaded.sample("The cat")


def test_export_writes_a_folder_of_transformers(run, tmp_path, cli):
    status, output, _ = cli("export", str(run), str(tmp_path / "out"))
    assert status == 0 and "transformers.BertForPreTraining.from_pretrained" in output
    assert {"config.json", "model.safetensors", "vocab.txt"} <= {file.name for file in (tmp_path / "out").iterdir()}
    model, tokenizer = tg.load(tmp_path / "out")
    assert type(model) is type(load_pretrained(tmp_path / "out")) is BertForPreTraining
    before, own = tg.load(run)
    np.testing.assert_array_equal(model(IDS).prediction_logits.data, before(IDS).prediction_logits.data)
    assert tokenizer.encode("a dog sat").tolist() == own.encode("a dog sat").tolist()


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dict(vocab_size="many"), "vocab_size"),
        (dict(vocab_size=10**9), "its settings make a model of"),
        (dict(model={"hidden_size": 7, "num_attention_heads": 2}), "hidden_size should be a multiple"),
        (dict(train={"steps": 0}), "steps should be at least 1"),
        (dict(parameters=3), "parameters, not 3"),
    ],
    ids=str,
)
def test_settings_that_are_damaged(run, changes, says):
    edit(run, **changes)
    with pytest.raises(UserError, match=says) as error:
        find_model(str(run), BOTH)
    assert str(run / "config.json") in str(error.value) and "\n" not in str(error.value)


def test_a_setting_that_this_version_does_not_know(run):
    """The same line as where the run is resumed: it is not damaged."""
    edit(run, model={"n_embd": 7})
    with pytest.raises(UserError, match=r"was made by another version of tinygrad-gpt \(settings: n_embd\)"):
        find_model(str(run), BOTH)


def test_a_checkpoint_or_tokenizer_of_another_run(run, tokenizer):
    arrays = random_tensors({"model.bert.pooler.bias": (8,)})
    save_checkpoint(run / "checkpoint.safetensors", arrays, {"step": 1})
    with pytest.raises(UserError, match=r"checkpoint\.safetensors does not fit this run"):
        find_model(str(run), BOTH).load()
    WordPieceTokenizer.train(["quite another text"], 40).save(run / "tokenizer.json")
    with pytest.raises(UserError, match="is not the tokenizer that this run was started with"):
        find_model(str(run), BOTH).tokenizer()


def test_a_model_that_memory_cannot_hold_is_not_made(run, tmp_path):
    huge = BertConfig(10**9, 10**5, 1, 1)
    with pytest.raises(UserError, match="not enough memory: training"):
        check_training(huge, TrainConfig())
    with pytest.raises(UserError, match="not enough memory: training on 1 x 12 windows of 1,000,000,000 tokens"):
        check_training(BertConfig(13, 6, 1, 2, 10), TrainConfig(), window=10**9)
    check_training(BertConfig(), TrainConfig(batch_size=2), window=128)


def test_another_dtype_is_that_of_the_run_alone(run):
    written = json.loads((run / "config.json").read_text(encoding="utf-8"))
    edit(run, train=written["train"] | {"dtype": "float64"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _ = tg.load(run)
    assert model.bert.pooler.weight.dtype == np.float64 and tg.zeros(1).dtype == np.float32
    open_model(str(run), kinds=BOTH)
