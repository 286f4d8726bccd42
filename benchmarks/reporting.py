"""The results of a benchmark: written, and merged with those that are there, so that no part takes a whole's place.

A row is worth what it was measured with: the sides, and the rounds. It gives way to a new one that has at least as many
rounds, and every side and number that it has. On the same machine with the same versions the new rows that do join the
table, and its others stay. From elsewhere, a table is taken whole or not at all. What is not taken goes beside it.
"""

import datetime
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import harness
import isa

RESULTS = harness.FOLDER / "results"


def write_json(file: Path, result: dict | list) -> None:
    """Write what `--json` asks for. Of a pinned benchmark there is an account of each side with it, see `account`."""
    if isa.pinned():
        result = {"isa": isa.pinned(), "seen": account(), "results": result}
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def write_results(
    name: str,
    facts: dict[str, str],
    records: list[dict],
    table: Callable[[list[dict]], str],
    key: tuple[str, ...],
    file: Path | None = None,
    picture: tuple[str, Callable[[list[dict], Path], None]] | None = None,
) -> None:
    """Write benchmarks/results/NAME.json, and NAME.md with the table, the machine and the commands that made them;
    NAME_intel with `--machine intel`, NAME_avx2 where the benchmark is pinned to AVX2, NAME_intel_avx2 with both.

    key      the fields that tell a record from the others
    file     instead, write the records there
    picture  how a picture's file ends, and what draws the records into it

    Where the files are there, they become what both make together (`merge`). A run in which something is missing for
    that goes into NAME_part as well, and a line on standard output says so.
    """
    if file:
        return write_json(file, records)
    name = f"{name}_{harness.MACHINE}" if harness.MACHINE else name
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    if isa.pinned():
        name, facts = f"{name}_{isa.pinned()}", facts | {"every side pinned to": isa.title(isa.pinned())}
    made_by = {"command": command, "date": datetime.date.today().isoformat()}
    new = {"machine": facts, "seen": account(), "records": [r | made_by for r in records]}
    new, there = json.loads(json.dumps(new)), RESULTS / f"{name}.json"  # as it will be read again
    old = json.loads(there.read_text(encoding="utf-8")) if there.exists() else None
    together, missing = merge(old, new, key)
    RESULTS.mkdir(exist_ok=True)
    if together is not old:
        _write(name, together, table, key, picture)
    for part in RESULTS.glob(f"{name}_part.*"):
        part.unlink()
    if missing:
        _write(f"{name}_part", new, table, key, picture)
        print(f"results/{name}.md keeps what this run has not, which is in {name}_part.md: {'; '.join(missing)}")


def _write(name: str, results: dict, table: Callable, key: tuple[str, ...], picture: tuple | None) -> None:
    """The files of results."""
    records, commands = results["records"], {}
    for record in records:
        commands.setdefault(f"`{record['command']}`, {record['date']}", []).append(label(record, key))
    rows = [f"{command}: {'; '.join(rows)}" if len(commands) > 1 else command for command, rows in commands.items()]
    text = [*rows, harness.one_line(results["machine"]), table(records), *described(results["seen"])]
    if picture:
        ending, draw = picture
        try:
            draw(records, RESULTS / f"{name}{ending}")
            text.append(f"![as a picture]({name}{ending})")
        except ImportError:
            print('no picture: it takes matplotlib (pip install "tinygrad-gpt[plot]")')
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")


# --- a run and the table that is there ---------------------------------------------------------------------------


def merge(old: dict | None, new: dict, key: tuple[str, ...]) -> tuple[dict, list[str]]:
    """What is there and a run together, and what is missing for all of the run to be in it: a clause for each row.

    old, new  {"machine": ..., "seen": ..., "records": [...]}; old ones may have no "seen"
    """
    if old is None:
        return new, []
    before = {label(r, key): {"command": old.get("command"), "date": "undated"} | r for r in old["records"]}
    now = {label(r, key): r for r in new["records"]}
    elsewhere = old["machine"] != new["machine"]
    missing = {row: why for row, r in before.items() if (elsewhere or row in now) and (why := lacks(r, now.get(row)))}
    reasons = [f"{row}: {why}" for row, why in missing.items()]
    if elsewhere:
        return (old, reasons) if missing else (new, [])
    records = before | {row: r for row, r in now.items() if row not in missing}
    return new | {"seen": old.get("seen", {}) | new["seen"], "records": [*records.values()]}, reasons


def label(record: dict, key: tuple[str, ...]) -> str:
    """What tells this record from the others, in words."""
    values = (record[field] for field in key if record.get(field) is not None)
    return ", ".join(" ".join(map(str, v.values())) if isinstance(v, dict) else str(v) for v in values)


def lacks(old: dict, new: dict | None) -> str | None:
    """What the old record has and the new one has not, as a clause, or None."""
    if new is None:
        return "not measured"
    for name, value in old.items():
        if name == "left_out" or value is None:  # a side that could not run then may do so now
            continue
        if new.get(name) is None:
            return f"no {name}"
        if name == "rounds" and new[name] < value:
            return f"{new[name]} rounds, not {value}"
        if isinstance(value, list) and len(new[name]) < len(value):
            return f"{len(new[name])} {name}, not {len(value)}"
        if isinstance(value, dict) and (why := lacks(value, new[name])):
            return why
    return None


# --- what the sides of a pinned benchmark computed with ----------------------------------------------------------


def account() -> dict[str, dict]:
    """side -> what it was seen to compute with (isa.seen), `most` that a core's arithmetic allows, and `errors`: why
    that is not what all are pinned to. Errors are printed, too."""
    if not isa.pinned():
        return {}
    sides, most, found = {**harness.SEEN}, _gflops_in_registers(), {}
    for side, seen in sides.items():
        found[side] = seen | {"most": most, "errors": isa.disobeys(isa.pinned(), seen, most)}
        print("".join(f"error: {side} does not obey: {why}\n" for why in found[side]["errors"]), end="")
    return found


def described(account: dict[str, dict]) -> list[str]:
    """The account as paragraphs of Markdown."""
    if not account:
        return []
    lines = []
    for side, found in account.items():
        said = [f"{library} {isa.title(name)}" for library, name in found["said"].items()]
        rates = [f"{library} {rate:.0f}" for library, rate in found["gflops"].items()]
        lines.append(f"- {side}: {', '.join(said)}; {', '.join(rates)} of {found['most']:.0f} GFLOP/s")
        lines += [f"- **error: {side} does not obey: {why}**" for why in found["errors"]]
    intro = (
        "What each side was seen to compute with: what its libraries say, and how fast they multiply float32 matrices"
    )
    return [f"{intro}, on one core, of what its arithmetic allows:", "\n".join(lines)]


@functools.cache
def _gflops_in_registers() -> float:
    with harness.Peer("peaks", harness.PEERS / "peaks.py") as peaks:
        return peaks.ask("registers")
