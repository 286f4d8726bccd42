"""How many cores kernels may count on: those of this process, or less where a container has a quota.

Other work on the machine does not count: a thread whose core is busy takes less of a kernel's work, and nobody waits
for it (pool.py).

Affinity. The cores that this process may run on (sched_getaffinity, where the system has it).

Quota. Linux gives a group of processes so many seconds of processor time in each period (man 7 cgroups): `cpu.max` of
version 2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1. When they are used up, the system stops all threads
of the group until the next period. A group has its parents' limits too; the least counts, rounded up.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple


class Choice(NamedTuple):
    """How many threads to compute with, and why they are fewer than the cores, as a clause, or ""."""

    threads: int
    why: str


def choose(cores: int, quota: float | None = None) -> Choice:
    """The rule (see the top of this file), for this many cores and a quota in cores."""
    if quota is None or quota >= cores:
        return Choice(cores, "")
    return Choice(min(cores, max(1, math.ceil(quota))), f"the container's quota is {quota:.3g} of {cores} cores")


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


def allowed_cores() -> set[int]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def choose_here() -> Choice:
    """The choice for this process."""
    return choose(len(allowed_cores()), quota())
