"""What all benchmarks rest on: processes that answer, peaks of memory, tables."""

import subprocess
import sys

import harness
import numpy as np
import pytest

SERVER = f"""
import sys
sys.path.insert(0, {str(harness.FOLDER)!r})
import harness
print("noise of a library that loads")
count = 0
def add(a, b):
    print("noise of a call")
    return a + b
def turn():
    global count
    count += 1
    return count
def fail():
    raise ImportError("no such thing")
harness.serve({{"add": add, "turn": turn, "fail": fail}})
"""


@pytest.fixture
def server(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    return script


def test_a_peer_answers_whatever_else_is_printed(server):
    with harness.Peer("it", server) as peer:
        assert peer.ask("add", a=2, b=3) == 5
        assert peer.ask("add", a="x", b="y") == "xy"


def test_a_peer_that_fails_says_why(server):
    with harness.Peer("it", server) as peer:
        with pytest.raises(harness.PeerFailed) as failed:
            peer.ask("fail")
        assert failed.value.why == "ImportError: no such thing"
        assert str(failed.value) == "it ended early: ImportError: no such thing"


def test_a_peer_that_does_not_start_says_why(tmp_path):
    script = tmp_path / "peer.py"
    script.write_text("import a_package_that_nobody_has", encoding="utf-8")
    with pytest.raises(harness.PeerFailed, match="No module named 'a_package_that_nobody_has'"):
        harness.Peer("it", script)
    script.write_text("import sys; sys.exit(7)", encoding="utf-8")
    with pytest.raises(harness.PeerFailed, match="status 7"):
        harness.Peer("it", script)


@pytest.mark.long
def test_in_turns_asks_each_after_a_round_to_warm_up(server):
    with harness.Peer("a", server) as a, harness.Peer("b", server) as b:
        assert harness.in_turns([a, b], 2, {"call": "turn"}) == {"a": [2, 3], "b": [2, 3]}
        asked = []

        def request(peer):
            asked.append(peer.name)
            return {"call": "add", "a": peer.name, "b": "!"}

        assert harness.in_turns([a, b], 1, request) == {"a": ["a!"], "b": ["b!"]}
        assert asked == ["a", "b", "a", "b"]


def test_sides_that_differ_are_refused():
    harness.validate({"ours": [4.0, 3.0], "theirs": [4.00005, 3.0]}, "step", 1e-4)
    with pytest.raises(SystemExit, match=r"theirs computes another step than ours: 1\.0e-03 beside it"):
        harness.validate({"ours": [4.0, 3.0], "theirs": [4.0, 3.001]}, "step", 1e-4)
    with pytest.raises(SystemExit, match=r"theirs gives \(1, 2\) numbers for the search, ours \(1, 3\)"):
        harness.validate({"ours": [[5, 6, 1]], "theirs": [[5, 6]]}, "search", 1e-4)


SIDE = f"""
import sys
sys.path.insert(0, {str(harness.FOLDER)!r})
import harness
ms = float(sys.argv[1])
def work(size, check=False):
    return [1.0, ms / 1e6] if check else {{"ms": size * ms, "cpu_ms": 3 * ms}}
harness.serve({{"work": work, "forget_peak": harness.forget_peak, "peak": harness.peak_mib}})
"""


@pytest.mark.long
def test_a_task_is_compared_then_timed_on_all_its_sides(tmp_path):
    (tmp_path / "side.py").write_text(SIDE, encoding="utf-8")
    started = []

    def side(name, ms):
        started.append(harness.Peer(name, tmp_path / "side.py", str(ms)))
        return started[-1]

    starts = [lambda: side("ours", 2), lambda: side("theirs", 5)]
    record = harness.measure("a task", starts, {"call": "work", "size": 10}, 2, 1e-4)
    assert (record["task"], record["rounds"], [*record["peak_mib"]]) == ("a task", 2, ["ours", "theirs"])
    assert record["ms"] == {
        "median": {"ours": 20, "theirs": 50},
        "least": {"ours": 20, "theirs": 50},
        "ratio": {"theirs": 2.5},
    }
    assert record["cpu_ms"]["ratio"] == {"theirs": 2.5} and record["cpu_ms"]["least"] == {"ours": 6, "theirs": 15}
    with pytest.raises(SystemExit, match="theirs computes another a task than ours"):
        harness.measure("a task", starts, {"call": "work", "size": 10}, 2, 1e-9)
    assert all(peer._process.poll() is not None for peer in started), "each is closed, whatever happens"


def test_the_clock_is_of_one_call():
    calls = []
    found = harness.timed(lambda: calls.append(0), 5)
    assert len(calls) == 5 and found.keys() == {"ms", "cpu_ms"}


def test_threads_of_a_peer():
    assert harness.on_threads(None) == {} and harness.on_threads(2)["OMP_NUM_THREADS"] == "2"
    assert "threads" not in harness.machine_of(None) and harness.machine_of(2)["threads"] == "2"


def test_last_words():
    traceback = "Traceback (most recent call last):\n  File x\nKeyError: 1\n\n  and more\n"
    assert harness.last_words(traceback) == "KeyError: 1"
    assert harness.last_words("") == ""


def test_median_ratio_pairs_rounds():
    assert harness.median_ratio([2, 30, 5], [1, 10, 1]) == 3


def test_time_steps_counts():
    calls = []
    ms = harness.time_steps(lambda: calls.append(0), 5)
    assert len(calls) == 5 and 0 <= ms < 50


def test_the_clock_stops_when_all_is_done():
    events = []
    harness.time_steps(lambda: events.append("step"), 2, lambda: events.append("wait"))
    assert events == ["wait", "step", "step", "wait"]


def test_tflops_of_a_product(monkeypatch):
    monkeypatch.setattr(harness, "time_steps", lambda product, steps, synchronize: 2.0)
    assert harness.product_tflops(lambda: None, 1000, harness.nothing) == 2e9 / 2e-3 / 1e12


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands in for nvidia-smi")
def test_what_nvidia_smi_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert harness.gpu_mib() is None and harness.gpu() == {}
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\ncase $1 in *memory.used) echo 1234;; *name) echo Card;; *) echo more;; esac\n")
    script.chmod(0o755)
    assert harness.gpu_mib() == 1234
    assert harness.gpu() == {"gpu": "Card", "gpu memory": "more", "driver": "more"}


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process forget its peak")
def test_the_peak_holds_what_was_freed_until_it_is_forgotten():
    """In a process of its own: one that was told to keep freed memory (memory.keep_freed_memory) would keep this."""
    code = (
        "import harness, numpy as np\n"
        "block = np.ones(25_000_000)\n"  # 191 MiB, touched
        "del block\n"
        "before = harness.peak_mib()\n"
        "harness.forget_peak()\n"
        "print(before - harness.peak_mib())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=harness.FOLDER, capture_output=True, text=True, check=True
    )
    assert float(result.stdout) > 100


def test_a_table():
    assert harness.markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_the_machine_has_a_name_and_versions():
    facts = harness.machine("numpy", "a-package-that-nobody-has")
    assert facts["cpu"] and facts["numpy"] == np.__version__ and "a-package-that-nobody-has" not in facts
