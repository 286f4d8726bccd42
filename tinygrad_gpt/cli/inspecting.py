"""`tinygrad-gpt gradcheck`, `tinygrad-gpt op` and `tinygrad-gpt info`."""

import inspect
import os
import platform
import re
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tinygrad_gpt import devices
from tinygrad_gpt.cli.options import DeviceName, PairFiles
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.files.storage import cache_folder, data_folder
from tinygrad_gpt.kernels import catalogue, compiling, registry
from tinygrad_gpt.kernels.contract import contract, file_of
from tinygrad_gpt.styled import show
from tinygrad_gpt.train.reporter import COMPILING
from tinygrad_gpt.train.run import installed
from tinygrad_gpt.train.user_ops import load_pairs


def gradcheck(
    ops: Annotated[list[str] | None, typer.Argument(metavar="[OP]...", help="ops to check", show_default="all")] = None,
    with_: PairFiles = None,
    device: DeviceName = "cpu",
):
    """Check the gradients of every op, in every version of it, against finite differences.

    Versions that round to bfloat16 or TF32 are left out: their rounding is larger than the differences.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tinygrad_gpt.check import OnDevice, check_op

    pairs = load_pairs(with_ or [])
    made = {pair.op for pair in pairs} - {*registry.op_names()}
    names = [name for name in ops or ([] if pairs else registry.op_names()) if name not in made]
    for name in names:
        _check_is_op(name)
    console = Console(highlight=False)
    table = Table("op", "version", "cases", "worst error", "verdict")
    failed = []
    where = devices.device(device)
    versions = [v for name in names for v in registry.versions(name, where.kind) if v.name not in registry.ROUNDING]
    todo = [(v.op, v.name, OnDevice(v, where), None) for v in versions]
    todo += [(pair.op, pair.file.name, pair, pair.cases) for pair in pairs]
    with console.status("checking ...") as status:
        for op, version, pair, cases in todo:
            status.update(escape(f"checking {op}[{version}] ..."))
            with np.errstate(all="ignore"):  # a wrong pair may divide by zero
                report = check_op(op, pair, cases)
            verdict = "[green]right" if report.ok else "[bold red]WRONG" if report.findings else "[red]not checked"
            worst = f"{report.worst_error:.1e}" if any(f.error is not None for f in report.findings) else "-"
            table.add_row(op, escape(version), str(report.cases or "-"), worst, verdict)
            if not report.ok:
                failed.append(report)
    console.print(table)
    for report in failed:
        show([[], *report.lines()])
    return 1 if failed else 0


def op(
    name: Annotated[str | None, typer.Argument(metavar="[OP]", help="an op", show_default="lists all")] = None,
):
    """Show an op: what a pair for it takes and returns, its derivation, and its versions on this machine.

    Without a name, list the ops.
    """
    if name is None:
        _list_ops()
        return
    _check_is_op(name)
    module, takes = registry.reference(name), catalogue.takes(name)
    forward, backward = contract(module).split("; ")
    print(f"{name}: what a pair for it takes and returns\n\n  {forward}\n  {backward}\n")
    settings = [key if x is inspect.Parameter.empty else f"{key}={x!r}" for key, x in takes.settings.items()]
    rows = {
        "arrays": ", ".join(takes.arrays) or f"any number of {takes.many}",
        "settings": ", ".join(settings) or "none",
    }
    if parts := catalogue.parts(name):
        rows["made of"] = f"{', '.join(parts)}: where you choose a pair for one of them, they run instead"
    if whole := [op for op in registry.op_names() if name in catalogue.parts(op)]:
        rows["part of"] = f"{', '.join(whole)}: where you choose a pair for {name}, it runs inside too"
    rows["file"] = file_of(module)
    for what, text in rows.items():
        print(f"  {what:<9} {text}")
    print(f"\n{inspect.getdoc(module)}\n")
    for device in devices.usable():
        with compiling.watched_by(lambda: print(COMPILING)):
            versions = _versions_of(name, device)
        print(f"versions, on float32 arrays on {device.title}:")
        for version, why in versions:
            print(f"  {version}: {why}")
    print(f"\ncheck a pair of yours: {command('tinygrad-gpt', 'gradcheck', '--with', f'my_{name}.py')}")


def _list_ops() -> None:
    """The ops, each with what it is in a line: a table in a terminal, plain lines for a pipe."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    ops = {op: _first_sentence(registry.reference(op)) for op in registry.op_names()}
    if not sys.stdout.isatty():
        width = max(map(len, ops))
        for op, says in ops.items():
            print(f"{op:<{width}}  {says}")
        return
    table = Table("op", "what it is", box=None)
    for op, says in ops.items():
        table.add_row(op, escape(says))
    Console(highlight=False).print(table)
    print("\n`tinygrad-gpt op NAME` shows the contract of one, its derivation and its versions")


def _first_sentence(module) -> str:
    """The first sentence of a docstring, on one line."""
    text = " ".join(inspect.getdoc(module).partition("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".")


def _check_is_op(name: str) -> None:
    if name not in registry.op_names():
        raise UserError(catalogue.no_such_op(name))


def info():
    """Show versions, processor, threads, GPU, and which version of each op runs on this machine."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(show_header=False, box=None)
    rows = facts("tinygrad-gpt", "numpy", "numba", "safetensors", "tokenizers", "matplotlib")
    rows["GPU"] = devices.describe_gpu()
    rows["data folder"] = str(data_folder() or "not set (environment variable TINYGRAD_GPT_DATA)")
    rows["cache"] = str(cache_folder())
    for name, value in rows.items():
        table.add_row(name, escape(value))  # [cuda12] is not markup
    console.print(table)
    for device in devices.usable():
        table = Table("op", "runs", "why not the others", title=f"versions, on float32 arrays on {device.title}")
        with compiling.watched_by(lambda: console.print(COMPILING)):  # kernels are compiled to see that they run
            for op, version, why in versions_on(device):
                table.add_row(op, version, escape(why))
        console.print(table)


def facts(*packages: str) -> dict[str, str]:
    """Facts about the machine: system, versions of these packages, processor, BLAS, what kernels chose, threads."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # that it may use
    no_kernels, no_rounding = registry.no_kernels("cpu"), registry.cannot_round("bfloat16")
    if no_kernels is None:
        from tinygrad_gpt.kernels.numba import chosen, rounds_by
        from tinygrad_gpt.kernels.numba.machine import threads

        how = {"chosen": chosen(), "threads": threads.describe()}
    else:
        how = {"threads": f"NumPy's, for the reference versions: {no_kernels}"}
    return {
        "system": f"Python {platform.python_version()}, {platform.platform()}",
        "packages": "  ".join(f"{name} {installed(name) or 'not installed'}" for name in packages),
        "processor": f"{_processor()}, {cores} cores",
        "BLAS": f"{blas['name']} {blas['version']}",
        **how,
        "bfloat16": f"no: {no_rounding}" if no_rounding else f"{rounds_by()} found, for train --dtype bfloat16",
    }


def versions_on(device):
    """(op, version that runs on a typical float32 input on the device, why those before it do not) for every op."""
    for op in registry.op_names():
        rows = _versions_of(op, device)
        runs = next(name for name, why in rows if why == "runs")
        yield op, runs, "; ".join(f"{name}: {why}" for name, why in rows if why not in ("runs", "not needed"))


def _versions_of(op: str, device) -> list[tuple[str, str]]:
    """(version, "runs" or why it does not) of an op, on a typical float32 input on the device."""
    from tinygrad_gpt.cases import cases

    case = cases(op)[0]
    arrays = [a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a for a in case.arrays]
    arrays = [device.move_here(a) if isinstance(a, np.ndarray) else a for a in arrays]
    return registry.explained(op, *arrays, **case.settings)[1]


def _processor() -> str:
    """The processor's name, as the system knows it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    found = re.search("^model name[^:]*:(.*)", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
