"""How many cores kernels may count on: those of this process, less what a container's quota or other work takes.

All threads of a kernel wait for its slowest one. So a thread that shares its core with other work, or that the system
stops because a container has used up its quota, holds up all the others, and fewer threads are faster.

Affinity. The cores that this process may run on (sched_getaffinity, where the system has it).

Quota. Linux gives a group of processes so many seconds of processor time in each period (man 7 cgroups): `cpu.max` of
version 2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1. A group has its parents' limits too; the least
counts, rounded up.

Other work. Two measurements must agree, since either errs: the cores that others kept busy while this process loaded
Numba (/proc/stat, less its own time), which a short burst raises, and the load average of the last minute, which
remembers what has ended. A core counts as taken from one half on. No fewer than half of the cores are chosen: next to
as much work as there are cores, half of them are this process's fair share. Systems without /proc/stat are taken to be
idle.
"""

import math
import os
import time
from pathlib import Path
from typing import NamedTuple

LEAST_SECONDS = 0.1  # to watch the cores for: /proc/stat counts in hundredths of a second
_IDLE = slice(3, 5)  # idle and iowait, among a line's times
_TIMES = slice(0, 8)  # without guests, whose time is in user and nice already


class Choice(NamedTuple):
    """How many threads, and why.

    threads  to compute with
    most     what it would be on an idle machine
    why      why they are fewer than the cores, as a clause, or ""
    """

    threads: int
    most: int
    why: str


def choose(cores: int, quota: float | None = None, busy: float = 0.0) -> Choice:
    """The rule (see the top of this file), for this many cores, a quota in cores, and cores that others keep busy."""
    most, reasons = cores, []
    if quota is not None and quota < cores:
        most = min(cores, max(1, math.ceil(quota)))
        reasons.append(f"the container's quota is {quota:.3g} of {cores} cores")
    threads = min(most, max(cores - math.floor(busy + 0.5), (cores + 1) // 2))
    if threads < most:
        reasons.append(f"other work keeps {min(busy, cores):.1f} of {cores} cores busy")
    return Choice(threads, most, " and ".join(reasons))


def quota(root: Path = Path("/")) -> float | None:
    """How many cores' time the groups of this process may use, or None without a limit.

    root  where proc/ and sys/ lie
    """
    limits = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if rest.startswith(":"):
            mounts, read = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"], _limit_2
        elif "cpu" in controllers.split(","):
            mounts, read = [root / "sys/fs/cgroup" / name for name in dict.fromkeys((controllers, "cpu"))], _limit_1
        else:
            continue
        group = Path(path.lstrip("/"))
        # In a container the path may be the host's, of which only the end, or nothing, is mounted here.
        limits += [read(mount / part) for mount in mounts for part in (group, *group.parents)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit_2(group: Path) -> float | None:
    return _ratio((_text(group / "cpu.max") or "").split())


def _limit_1(group: Path) -> float | None:
    return _ratio([_text(group / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")])


def _ratio(words: list[str]) -> float | None:
    """Quota / period, of microseconds; None for "max", -1, and whatever else is no limit."""
    try:
        used, period = map(int, words)
    except ValueError:
        return None
    return used / period if used > 0 and period > 0 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not there, or not for us to read
        return None


class Reading(NamedTuple):
    """The clocks at one moment: stat is the text of /proc/stat, or None; seconds have passed; own are this process's
    seconds on all cores."""

    stat: str | None
    seconds: float
    own: float


def read_clocks() -> Reading:
    return Reading(_text(Path("/proc/stat")), time.perf_counter(), time.process_time())


def busy_with_others(before: Reading, after: Reading, allowed: set[int], load: float | None) -> float:
    """How many of the allowed cores others keep busy: between two readings, and by the load average too."""
    busy = [_busy_ticks(reading.stat, allowed) for reading in (before, after)]
    seconds = after.seconds - before.seconds
    if None in busy or load is None or seconds <= 0:
        return 0.0
    ticks = os.sysconf("SC_CLK_TCK")  # in a second
    measured = (busy[1] - busy[0]) / ticks / seconds - (after.own - before.own) / seconds
    return max(0.0, min(measured, load, len(allowed)))


def _busy_ticks(stat: str | None, allowed: set[int]) -> int | None:
    """Ticks that these cores have been busy since the system began; steal counts, as other machines' work."""
    total = None
    for line in (stat or "").splitlines():
        name, *times = line.split() or [""]
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in allowed:
            times = [int(t) for t in times]
            total = (total or 0) + sum(times[_TIMES]) - sum(times[_IDLE])
    return total


def allowed_cores() -> set[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


_first = read_clocks()  # when this file is imported, which is before Numba is


def choose_here() -> Choice:
    """The choice for this process, now."""
    time.sleep(max(0.0, LEAST_SECONDS - (time.perf_counter() - _first.seconds)))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    allowed = allowed_cores()
    return choose(len(allowed), quota(), busy_with_others(_first, read_clocks(), allowed, load))
