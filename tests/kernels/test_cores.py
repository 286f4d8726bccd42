"""How many threads a process chooses: the rule, on made-up machines; what it reads, on made-up files."""

import os
import subprocess
import sys

import pytest

from tinygrad_gpt.kernels.numba.machine import cores
from tinygrad_gpt.kernels.numba.machine.cores import choose, quota

# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "machine, threads",
    [
        ((2,), 2),
        ((1,), 1),
        ((8, 2.0), 2),
        ((8, 1.5), 2),
        ((8, 0.3), 1),
        ((2, 2.0), 2),
        ((2, 16.0), 2),
        ((64, 4.0), 4),
    ],
)
def test_the_rule(machine, threads):
    choice = choose(*machine)
    assert choice.threads == threads
    assert bool(choice.why) == (threads < machine[0])


def test_it_says_why():
    assert choose(2).why == ""
    assert choose(8, 1.5).why == "the container's quota is 1.5 of 8 cores"


# --- quotas ----------------------------------------------------------------------------------------------------------


def write(root, files: dict[str, str]):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


QUOTAS = {
    "nothing to read": ({}, None),
    "version 2, in a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
    "no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "the least of a group and its parents": (
        {
            "proc/self/cgroup": "0::/user.slice/job\n",
            "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/other.slice/cpu.max": "10000 100000\n",
        },
        2.0,
    ),
    "version 1, the host's path in a container": (
        {
            "proc/self/cgroup": "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n3:cpuset:/docker/ab\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "1\n",
        },
        0.5,
    ),
    "version 1, mounted under both names": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/job\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
        },
        3.0,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "1:cpu:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "rubbish": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "a lot\n"}, None),
    "a line of another form": ({"proc/self/cgroup": "what\n0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000"}, 1.0),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_quota(name, tmp_path):
    files, expected = QUOTAS[name]
    assert quota(write(tmp_path, files)) == expected


def test_the_choice_for_this_machine_is_one_of_its_cores():
    choice = cores.choose_here()
    assert 1 <= choice.threads <= len(cores.allowed_cores())


# --- in a process ----------------------------------------------------------------------------------------------------

CHOSEN = """
from tinygrad_gpt.kernels.numba.machine import cores
cores.choose_here = lambda: cores.Choice(1, "the container's quota is 0.9 of 2 cores")
import numba
from tinygrad_gpt.kernels.numba.machine import threads
import threading
counts = [threads.count()]
thread = threading.Thread(target=lambda: counts.append(threads.count()))
thread.start()
thread.join()
print(*counts, threads.describe(), threads.why_fewer(), sep="|")
"""


@pytest.mark.parametrize(
    "setting, expected",
    [
        ({}, "1|1|1"),
        ({"NUMBA_NUM_THREADS": "3"}, "3|3|3"),  # the user's word counts
        ({"OMP_NUM_THREADS": "1"}, "1|1|1"),
    ],
)
def test_a_process_takes_the_choice_unless_the_user_set_a_number(setting, expected):
    clean = {name: value for name, value in os.environ.items() if name not in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", CHOSEN], env=clean | setting, capture_output=True, text=True, timeout=120, check=False
    )
    if len(cores.allowed_cores()) < 2 and not setting:
        pytest.skip("one core here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(expected)
    why = done.stdout.strip().rpartition("|")[2]
    if setting:
        assert f"as {next(iter(setting))} says" in done.stdout and why == "None"
    else:
        assert "quota is 0.9" in why and "NUMBA_NUM_THREADS=" in why and why in done.stdout.split("|")[2]
