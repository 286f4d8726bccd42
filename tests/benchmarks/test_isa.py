"""Pinning every side to a lesser instruction set, and seeing whether it obeys."""

import argparse
import os
import subprocess
import sys

import harness
import isa
import pytest

pytest.importorskip("numba")
import llvmlite.binding

here = pytest.mark.skipif("avx2" not in isa.offered(), reason="a processor without AVX2")
wide = pytest.mark.skipif("avx512" not in isa.offered(), reason="a processor without AVX-512")

SETTINGS = {  # of each library that may have vectors of its own
    "Numba": ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"),
    "NumPy": ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"),
    "PyTorch": ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "TORCHINDUCTOR_CPP_MARCH"),
    "JAX": ("XLA_FLAGS",),
}


@pytest.fixture
def processor(monkeypatch):
    """A function that makes this an x86-64 with these features besides AVX2."""

    def become(*features, machine="x86_64"):
        has = dict.fromkeys(["sse2", "avx", "avx2", "fma", "amx-tile", "avx10.1", *isa.ISAS["avx512"].needs], False)
        monkeypatch.setattr(isa.platform, "machine", lambda: machine)
        has |= dict.fromkeys(["sse2", "avx", "avx2", "fma", *features], True)
        monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: has)

    return become


@pytest.fixture
def zen5(processor):
    processor(*isa.ISAS["avx512"].needs, "avx512bf16", "avx512vnni", "avx10.1")


def test_what_a_processor_has_is_offered(processor, zen5):
    assert isa.offered() == ["avx2", "avx512"]
    processor()
    assert isa.offered() == ["avx2"]
    processor("avx512f")  # alone it is no AVX-512 of today
    assert isa.offered() == ["avx2"]
    processor(machine="arm64")
    assert isa.offered() == []


@pytest.mark.parametrize("name", list(isa.ISAS))
def test_every_library_is_told(zen5, name):
    pins = isa.pins(name)
    assert {*pins} == {isa.PINNED, *(variable for variables in SETTINGS.values() for variable in variables)}
    assert pins[isa.PINNED] == name and f"--xla_cpu_max_isa={name.upper()}" in pins["XLA_FLAGS"].split()


def test_what_came_later_is_switched_off(zen5, monkeypatch):
    monkeypatch.setattr(
        "numpy._core._multiarray_umath.__cpu_dispatch__", ["AVX2", "X86_V4", "AVX512_SKX", "AVX512_SPR"]
    )
    lesser, wider = isa.pins("avx2"), isa.pins("avx512")
    features = lesser["NUMBA_CPU_FEATURES"].split(",")
    assert {"+avx2", "+fma", "-avx512f", "-avx512bf16", "-avx10.1", "-amx-tile"} <= {*features}
    assert not [f for f in features if f.startswith("+") and f[1:].startswith(isa.LATER)]
    features = wider["NUMBA_CPU_FEATURES"].split(",")
    assert {"+avx512f", "+avx512vl", "-avx512bf16", "-avx512vnni", "-avx10.1"} <= {*features}
    assert lesser["NPY_DISABLE_CPU_FEATURES"] == "X86_V4 AVX512_SKX AVX512_SPR"
    assert wider["NPY_DISABLE_CPU_FEATURES"] == "AVX512_SPR"


def test_other_flags_of_xla_stay(zen5, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    assert isa.pins("avx2")["XLA_FLAGS"] == "--xla_dump_to=x --xla_cpu_max_isa=AVX2"


def test_what_is_not_there_is_one_line(processor, monkeypatch):
    processor()
    for name in ("avx512", "sse9"):
        with pytest.raises(SystemExit, match=f"^--isa {name}: there is none of that name here; there are: avx2$"):
            isa.pins(name)
    monkeypatch.setattr(sys, "argv", ["x.py", "--isa", "sse9"])
    with pytest.raises(SystemExit, match=r"^--isa sse9: there is none of that name here"):
        harness.parse(argparse.ArgumentParser())


def test_where_nothing_can_be_pinned_it_is_not_offered(processor, monkeypatch, capsys):
    processor(machine="arm64")
    monkeypatch.setattr(sys, "argv", ["x.py", "--isa", "avx2"])
    with pytest.raises(SystemExit):
        harness.parse(argparse.ArgumentParser())
    assert "unrecognized arguments: --isa avx2" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["x.py"])
    assert not hasattr(harness.parse(argparse.ArgumentParser()), "isa")


def test_a_gpu_is_not_pinned(zen5, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x.py", "--device", "cuda", "--isa", "avx2"])
    parser = argparse.ArgumentParser()
    parser.add_argument("--device")
    with pytest.raises(SystemExit, match="--isa avx2: of the CPU only, not with --device cuda"):
        harness.parse(parser)


def test_the_command_starts_itself_anew(zen5, monkeypatch):
    started = []

    def run(command, env):
        started.append((command, env))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(harness.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["x.py", "--isa", "avx2"])
    monkeypatch.delenv(isa.PINNED, raising=False)
    with pytest.raises(SystemExit) as end:
        harness.parse(argparse.ArgumentParser())
    ((command, env),) = started
    assert end.value.code == 7 and command == [sys.executable, "x.py", "--isa", "avx2"]
    assert env == os.environ | isa.pins("avx2")
    monkeypatch.setenv(isa.PINNED, "avx2")
    assert harness.parse(argparse.ArgumentParser()).isa == "avx2" and len(started) == 1, "in there it goes on"


# --- obeying -----------------------------------------------------------------------------------------------------


def test_who_obeys():
    fine = {"said": {"Numba": "avx2", "NumPy": "avx2"}, "gflops": {"NumPy": 70.0}}
    assert isa.disobeys("avx2", fine, 64.0) == []
    assert isa.disobeys("avx2", fine, 32.0) == ["NumPy multiplies at 70 GFLOP/s a core, and its arithmetic allows 32"]
    assert isa.disobeys("avx512", fine, 64.0) == ["Numba uses AVX2", "NumPy uses AVX2"]
    assert isa.disobeys("avx2", {"said": {}, "gflops": {}}, 64.0) == ["nothing shows what it computes with"]


def test_a_rate_is_per_second_of_all_cores(monkeypatch):
    calls = []
    monkeypatch.setattr(isa.time, "process_time", lambda: 0.1 * len(calls))
    assert isa._gflops(lambda: calls.append(0)) == pytest.approx(2e-9 * isa.SIZE**3 / 0.1)
    assert len(calls) > isa.SECONDS / 0.1


SIDE = f"""
import sys
sys.path.insert(0, {str(harness.FOLDER)!r})
import harness, isa
isa._gflops = lambda product: 1.0  # ours would have to be compiled
import numpy
if sys.argv[1:]:
    from tinygrad_gpt.kernels.numba.product import registers
    import tinygrad_gpt.kernels.registry
harness.serve({{}})
"""


def test_a_side_is_looked_at_when_it_is_pinned(tmp_path, monkeypatch):
    script = tmp_path / "side.py"
    script.write_text(SIDE.replace("import numpy\n", ""), encoding="utf-8")
    monkeypatch.setattr(harness, "SEEN", {})
    monkeypatch.delenv(isa.PINNED, raising=False)
    with harness.Peer("it", script):
        pass
    assert harness.SEEN == {}
    monkeypatch.setenv(isa.PINNED, "avx2")
    with harness.Peer("it", script):
        pass
    assert harness.SEEN == {"it": {"said": {}, "gflops": {}}}, "it has loaded nothing"


@here
@pytest.mark.parametrize("name", ["avx2", pytest.param("avx512", marks=[wide, pytest.mark.long])])
def test_a_pinned_side_obeys(tmp_path, monkeypatch, name):
    script = tmp_path / "side.py"
    script.write_text(SIDE, encoding="utf-8")
    monkeypatch.setattr(harness, "SEEN", {})
    pins = isa.pins(name)
    monkeypatch.setenv(isa.PINNED, name)
    with harness.Peer("ours", script, "ours", env=pins):
        pass
    seen = harness.SEEN["ours"]
    assert {"Numba", "our vectors", "NumPy"} <= {*seen["said"]} and {*seen["said"].values()} == {name}
    assert {*seen["gflops"]} == {"NumPy", "tinygrad_gpt"}
    assert isa.disobeys(name, seen, float("inf")) == []


@wide
@pytest.mark.long
def test_a_side_without_its_pins_is_found_out(tmp_path, monkeypatch):
    script = tmp_path / "side.py"
    script.write_text(SIDE, encoding="utf-8")
    monkeypatch.setattr(harness, "SEEN", {})
    for variable in isa.pins("avx2"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(isa.PINNED, "avx2")
    with harness.Peer("ours", script, "ours"):
        pass
    reasons = isa.disobeys("avx2", harness.SEEN["ours"], float("inf"))
    assert {"Numba uses AVX-512", "our vectors uses AVX-512", "NumPy uses AVX-512"} <= {*reasons}


@here
def test_a_shell_is_pinned_by_what_the_script_prints():
    script = str(harness.FOLDER / "isa.py")
    done = subprocess.run([sys.executable, script, "avx2"], capture_output=True, text=True, check=True)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert {*exports} == {*isa.pins("avx2")} and exports["OPENBLAS_CORETYPE"] == "Haswell"
    failed = subprocess.run([sys.executable, script, "mmx"], capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1 and "mmx" in failed.stderr


@pytest.mark.reference
@here
def test_pytorch_obeys(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    script = tmp_path / "side.py"
    script.write_text(SIDE.replace("import numpy\n", "import torch, torch._inductor.compile_fx\n"), encoding="utf-8")
    monkeypatch.setattr(harness, "SEEN", {})
    pins = isa.pins("avx2")
    monkeypatch.setenv(isa.PINNED, "avx2")
    with harness.Peer("theirs", script, env=pins):
        pass
    seen = harness.SEEN["theirs"]
    assert seen["said"]["ATen"] == seen["said"]["torch.compile"] == "avx2" and "PyTorch" in seen["gflops"]
