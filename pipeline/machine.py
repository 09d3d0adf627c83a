"""How much work this machine, or the part of it that we are given, takes at once."""

import os
from pathlib import Path

import joblib

# What one worker needs at its peak (measured: 2.9 GB; a call of four hours takes no more).
WORKER_BYTES = 3 << 30
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def workers(calls: int, jobs: int | None, threads: int | None) -> tuple[int, int]:
    """How many processes, and threads in each, to score so many calls with; what is given stays as it is."""
    cores = joblib.cpu_count()
    if jobs is None:
        jobs = max(1, min(cores // (threads or 1), calls, memory() // WORKER_BYTES))
    return jobs, threads or max(1, cores // jobs)


def memory() -> int:
    """Bytes of memory, of the machine or of the container that we run in."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return whole
