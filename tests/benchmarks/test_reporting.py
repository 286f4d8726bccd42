"""What is written of a benchmark, and that no run of a part takes the place of a whole."""

import argparse
import json
import sys

import harness
import isa
import pytest
import reporting

MACHINE = {"cpu": "fast", "numpy": "2"}
KEY = ("config", "dtype")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(harness, "SEEN", {})
    monkeypatch.delenv(isa.PINNED, raising=False)
    return tmp_path / "results"


def row(config, ms, rounds=3, peers=("torch", "jax")):
    return {"config": config, "dtype": "f", "rounds": rounds, "ms": ms, "peers": {name: {"ms": 9.0} for name in peers}}


def table(records):
    return harness.markdown_table(["step", "ms"], [[r["config"], f"{r['ms']:.1f}"] for r in records])


def write(monkeypatch, records, command="x.py --rounds 3", machine=MACHINE):
    monkeypatch.setattr(sys, "argv", command.split())
    reporting.write_results("x", machine, records, table, KEY)


def times(folder, name="x"):
    written = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return {r["config"]: r["ms"] for r in written["records"]}


def test_the_files_of_results(folder, monkeypatch):
    write(monkeypatch, [row("a", 1.5)])
    written = json.loads((folder / "x.json").read_text(encoding="utf-8"))
    (record,) = written["records"]
    command, date = record.pop("command"), record.pop("date")
    assert written["machine"] == MACHINE and written["seen"] == {} and record == row("a", 1.5)
    assert command == "python benchmarks/x.py --rounds 3"
    expected = f"`{command}`, {date}\n\ncpu fast, numpy 2\n\n{table([record])}\n"
    assert (folder / "x.md").read_text(encoding="utf-8") == expected


def test_rows_join_and_replace_their_like(folder, monkeypatch, capsys):
    write(monkeypatch, [row("a", 1.0), row("b", 2.0)])
    write(monkeypatch, [row("b", 3.0, rounds=4), row("c", 4.0)], "x.py --config b")
    assert times(folder) == {"a": 1.0, "b": 3.0, "c": 4.0}
    text = (folder / "x.md").read_text(encoding="utf-8")
    assert text.startswith("`python benchmarks/x.py --rounds 3`, ") and ": a, f\n\n`python" in text
    assert "--config b`, " in text and ": b, f; c, f\n" in text, "which command made which row"
    assert [file.name for file in sorted(folder.iterdir())] == ["x.json", "x.md"] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "poorer, why",
    [
        (row("a", 5.0, rounds=1), "a, f: 1 rounds, not 3"),
        (row("a", 5.0, peers=["torch"]), "a, f: no jax"),
        ({k: v for k, v in row("a", 5.0).items() if k != "peers"}, "a, f: no peers"),
        (row("a", None), "a, f: no ms"),
    ],
)
def test_a_row_stays_where_the_new_one_has_less(folder, monkeypatch, capsys, poorer, why):
    write(monkeypatch, [row("a", 1.0), row("b", 2.0)])
    monkeypatch.setattr(sys.modules[__name__], "table", lambda records: "")
    write(monkeypatch, [poorer, row("b", 3.0)], "x.py --rounds 1")
    assert times(folder) == {"a": 1.0, "b": 3.0}
    assert times(folder, "x_part") == {"a": poorer["ms"], "b": 3.0}
    assert why in capsys.readouterr().out
    write(monkeypatch, [row("a", 6.0)])
    assert times(folder) == {"a": 6.0, "b": 3.0} and not [*folder.glob("x_part.*")], "it is out of date"


def test_from_another_machine_a_table_is_taken_whole_or_not_at_all(folder, monkeypatch, capsys):
    write(monkeypatch, [row("a", 1.0), row("b", 2.0)])
    other = MACHINE | {"numpy": "3"}
    write(monkeypatch, [row("a", 7.0)], machine=other)
    assert times(folder) == {"a": 1.0, "b": 2.0} and times(folder, "x_part") == {"a": 7.0}
    assert "b, f: not measured" in capsys.readouterr().out
    write(monkeypatch, [row("a", 7.0), row("b", 8.0)], machine=other)
    assert times(folder) == {"a": 7.0, "b": 8.0} and not [*folder.glob("x_part.*")]


def test_fewer_seeds_are_less():
    assert reporting.lacks({"seeds": [1, 2, 3]}, {"seeds": [1]}) == "1 seeds, not 3"
    assert reporting.lacks({"seeds": [1, 2]}, {"seeds": [1, 2, 3]}) is None


def test_a_side_that_could_not_run_is_not_missed():
    old = row("a", 1.0, peers=["torch"]) | {"left_out": {"jax": "not installed"}, "ratio": None}
    assert reporting.lacks(old, row("a", 2.0) | {"left_out": {}, "ratio": 2.0}) is None


def test_results_of_before_dates_are_merged_too(folder, monkeypatch):
    folder.mkdir()
    old = {"command": "python benchmarks/x.py", "machine": MACHINE, "records": [row("a", 1.0)]}
    (folder / "x.json").write_text(json.dumps(old), encoding="utf-8")
    write(monkeypatch, [row("b", 2.0)])
    assert times(folder) == {"a": 1.0, "b": 2.0}
    assert "`python benchmarks/x.py`, undated: a, f" in (folder / "x.md").read_text(encoding="utf-8")


def test_settings_tell_rows_apart():
    assert (
        reporting.label({"task": "cola", "settings": {"epochs": 3, "lr": 0.1}}, ("task", "settings")) == "cola, 3 0.1"
    )
    assert reporting.label({"sweep": "T", "value": 64}, ("sweep", "value", "version")) == "T, 64"


def test_a_picture_is_drawn_of_all_rows(folder, monkeypatch, capsys):
    def draw(records, file):
        file.write_text(" ".join(r["config"] for r in records), encoding="utf-8")

    def no_matplotlib(records, file):
        raise ImportError

    monkeypatch.setattr(sys, "argv", ["x.py"])
    for record in (row("a", 1.0), row("b", 2.0)):
        reporting.write_results("x", MACHINE, [record], table, KEY, picture=(".svg", draw))
    assert (folder / "x.svg").read_text(encoding="utf-8") == "a b"
    assert "](x.svg)" in (folder / "x.md").read_text(encoding="utf-8")
    reporting.write_results("x", MACHINE, [row("b", 2.0)], table, KEY, picture=(".svg", no_matplotlib))
    assert "matplotlib" in capsys.readouterr().out


# --- pinned ------------------------------------------------------------------------------------------------------

OBEYS = {"said": {"Numba": "avx2"}, "gflops": {"NumPy": 60.0}}


@pytest.fixture
def pinned(monkeypatch):
    monkeypatch.setenv(isa.PINNED, "avx2")
    monkeypatch.setattr(reporting, "_gflops_in_registers", lambda: 64.0)
    harness.SEEN["ours"] = OBEYS


def test_pinned_results_stand_beside_the_others(folder, monkeypatch, pinned, capsys):
    write(monkeypatch, [row("a", 1.0)])
    assert [file.name for file in sorted(folder.iterdir())] == ["x_avx2.json", "x_avx2.md"]
    text = (folder / "x_avx2.md").read_text(encoding="utf-8")
    assert "cpu fast, numpy 2, every side pinned to AVX2" in text
    assert "- ours: Numba AVX2; NumPy 60 of 64 GFLOP/s" in text and "error" not in text + capsys.readouterr().out


def test_results_of_a_machine_with_a_name_stand_beside_those_of_others(folder, monkeypatch, pinned):
    monkeypatch.setattr(sys, "argv", ["x.py", "--machine", "intel"])
    monkeypatch.setattr(harness, "MACHINE", "")  # as it is again afterwards
    harness.parse(argparse.ArgumentParser())
    reporting.write_results("x", MACHINE, [row("a", 1.0)], table, KEY)
    assert [file.name for file in sorted(folder.iterdir())] == ["x_intel_avx2.json", "x_intel_avx2.md"]
    monkeypatch.setattr(sys, "argv", ["x.py", "--machine", "../x"])
    with pytest.raises(SystemExit):
        harness.parse(argparse.ArgumentParser())


def test_a_side_that_does_not_obey_is_an_error_in_the_results(folder, monkeypatch, pinned, tmp_path, capsys):
    harness.SEEN["theirs"] = {"said": {"ATen": "avx512"}, "gflops": {"PyTorch": 130.0}}
    write(monkeypatch, [row("a", 1.0)])
    lines = [line for line in (folder / "x_avx2.md").read_text(encoding="utf-8").splitlines() if "error" in line]
    assert lines == [
        "- **error: theirs does not obey: ATen uses AVX-512**",
        "- **error: theirs does not obey: PyTorch multiplies at 130 GFLOP/s a core, and its arithmetic allows 64**",
    ]
    assert capsys.readouterr().out.count("error: theirs") == 2
    reporting.write_json(tmp_path / "r.json", [row("a", 1.0)])
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (written["isa"], written["results"]) == ("avx2", [row("a", 1.0)])
    assert written["seen"]["ours"]["errors"] == [] and len(written["seen"]["theirs"]["errors"]) == 2


def test_a_run_of_a_part_keeps_what_the_others_were_seen_to_do(folder, monkeypatch, pinned):
    write(monkeypatch, [row("a", 1.0)])
    monkeypatch.setattr(harness, "SEEN", {"theirs": OBEYS})
    write(monkeypatch, [row("b", 1.0)])
    assert set(json.loads((folder / "x_avx2.json").read_text(encoding="utf-8"))["seen"]) == {"ours", "theirs"}
