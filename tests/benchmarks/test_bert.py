"""The benchmark of BERT: what it times, and that all sides compute the same."""

import bert
import harness
import numpy as np
import pytest

SMALL = dict(
    vocab_size=97, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=32,
)  # fmt: skip
TASKS = bert.tasks(3, (2,), length=32)


def folders(folder):
    for name in ("bert-small", "BERT-Mini"):
        bert.write_random(folder / name, SMALL, pretraining=True)
    bert.write_random(folder / "inference", SMALL, pretraining=False)
    return folder


def test_batches_are_padded_and_have_gaps_where_they_should():
    ids, mask = bert.texts(8, 32, 97, padded=True)
    lengths = mask.sum(axis=1)
    assert 8 <= lengths[0] < lengths[-1] < 32 and (ids[mask == 0] == 0).all() and (ids[mask == 1] >= 5).all()
    batch = bert.pairs(64, 32, 97)
    assert 0.1 < (batch["labels"] >= 0).mean() < 0.2 and (batch["labels"][:, 0] == -100).all()
    assert set(np.unique(batch["token_type_ids"])) == {0, 1} and (batch["token_type_ids"][:, 0] == 0).all()


def test_our_side_learns_and_infers(tmp_path):
    folder = folders(tmp_path)
    *trains, infer, padded = [task["request"] for task in TASKS]
    with harness.Peer(bert.OURS, harness.PEERS / "ours_bert.py", str(folder / "BERT-Mini")) as ours:
        for train in trains:
            losses = ours.ask(**train, check=True)
            assert losses[2] < losses[0] and ours.ask(**train)["ms"] > 0
    with harness.Peer(bert.OURS, harness.PEERS / "ours_bert.py", str(folder / "inference")) as ours:
        assert len(ours.ask(**infer, check=True)) == 2 * 32 * 16 and ours.ask(**padded)["cpu_ms"] > 0


@pytest.mark.reference
def test_all_sides_compute_the_same(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    folder = folders(tmp_path)
    train, _, _, padded = TASKS  # each side imports transformers: full texts are a case of padded ones
    records = [bert.measure(task, folder / task["folder"], 2) for task in (train, padded)]
    assert [len(record["ms"]["ratio"]) for record in records] == [4, 2]
    table = bert.table(records)
    assert table.count("they gather too") == 1 and table.count("\n| ") == 4
