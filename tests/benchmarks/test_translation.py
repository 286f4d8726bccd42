"""The benchmark of translation: what it times, and that all sides compute the same."""

import harness
import numpy as np
import pytest
import translation

SMALL = translation.Size(
    translation.shape(2, 16, 2, 24, vocab_size=97, dropout=0.1), tokens=300, sentences=3, written=6
)  # fmt: skip
LEARN, SEARCH = translation.tasks({"small": SMALL})


def test_batches_hold_all_pairs_in_like_lengths_and_as_many_tokens_as_allowed():
    given = translation.batches(SMALL)
    assert sum(len(batch["input_ids"]) for batch in given) == 300 // 4
    sizes = [max(batch["input_ids"].size, batch["labels"].size) for batch in given]
    assert max(sizes) <= 300 and min(sizes[:-1]) > 300 - translation.LONGEST
    longest = [max(batch["input_ids"].shape[1], batch["labels"].shape[1]) for batch in given]
    assert longest == sorted(longest) and longest[-1] <= translation.LONGEST
    assert any((batch["labels"] == -100).any() for batch in given)
    for batch in given:
        real = batch["labels"] != -100
        assert (batch["decoder_input_ids"][:, 0] == translation.PAD).all()
        assert (batch["decoder_input_ids"][:, 1:] == np.where(real, batch["labels"], 0)[:, :-1]).all()
        for ids, mask in ((batch["input_ids"], batch["attention_mask"]), (batch["labels"] * real, real)):
            lengths = mask.sum(axis=1)
            assert lengths.min() >= translation.SHORTEST and (ids[mask == 0] == translation.PAD).all()
            assert (ids[np.arange(len(ids)), lengths - 1] == translation.END).all()
            assert (ids == translation.END).sum() == len(ids)


@pytest.mark.long
def test_our_side_learns_and_translates(tmp_path):
    translation.write_random(tmp_path, SMALL)
    with harness.Peer(translation.OURS, harness.PEERS / "ours_translation.py", str(tmp_path)) as ours:
        losses = ours.ask(**LEARN["request"], check=True)
        assert np.allclose(losses, np.log(97), atol=1) and ours.ask(**LEARN["request"])["ms"] > 0
        texts = np.array(ours.ask(**SEARCH["request"], check=True))
        assert texts.shape == (3, 6) and (texts[:, -1] == translation.END).all()
        assert ours.ask(**SEARCH["request"])["cpu_ms"] > 0


@pytest.mark.reference
def test_all_sides_compute_the_same(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    translation.write_random(tmp_path, SMALL)
    records = [translation.measure(task, tmp_path, 2) for task in (LEARN, SEARCH)]
    assert [len(record["ms"]["ratio"]) for record in records] == [4, 3]
    assert translation.table(records).count("\n| ") == 5
