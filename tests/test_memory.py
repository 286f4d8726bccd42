"""The process's memory: what is freed stays, on large pages. Each test has a process of its own, which it changes."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about Linux and glibc")

FREED_STAYS = """
import resource
import numpy as np
from tinygrad_gpt import memory

def pages_brought_in():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(40 << 20, np.int8)  # more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(pages_brought_in() for _ in range(5)))
memory.keep_freed_memory()
print(min(pages_brought_in() for _ in range(5)))
"""

LARGE_PAGES = """
import numpy as np
from tinygrad_gpt import memory

memory.keep_freed_memory()
x = np.ones(3 << 20, np.int8)
inside, flags = False, []
for line in open("/proc/self/smaps"):
    first, *rest = line.split()
    if "-" in first and ":" not in first:
        begin, end = [int(part, 16) for part in first.split("-")]
        inside = begin < memory.address(x) + x.nbytes <= end  # it may begin in memory that was there before
    if inside and first == "VmFlags:":
        flags = rest
print("hg" in flags)
"""


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@linux
def test_what_is_freed_is_not_brought_in_anew():
    anew, kept = map(int, run(FREED_STAYS))
    if anew < 10:
        pytest.skip("this system keeps freed memory by itself")
    assert kept < anew / 5


@linux
def test_arrays_lie_where_large_pages_were_asked_for():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("not glibc")
    try:
        setting = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        pytest.skip("this kernel has no large pages for arrays")
    if "[never]" in setting:
        pytest.skip("large pages are switched off")
    assert run(LARGE_PAGES) == ["True"]
