"""Describe the machine that the figures were measured on."""

import os
import platform
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns

from benchmarks import peer


def cpu_model() -> str:
    """Return the processor's name as the system reports it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float:
    """Return the physical memory in GiB."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def fsync_ms(folder: Path, times: int = 200) -> float:
    """Return the median time of one 8 KiB append and fdatasync in `folder`, in ms."""
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(times):
            start = perf_counter_ns()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            taken.append(perf_counter_ns() - start)
    return round(statistics.median(taken) / 1e6, 3)


def describe(folder: Path) -> dict[str, str | int | float]:
    """Return the machine and the Python packages; `folder` is where the database will be."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory_gib(),
        "kernel": f"{platform.system()} {platform.release()}",
        "fdatasync_ms": fsync_ms(folder),
        "load_before": round(os.getloadavg()[0], 2),
        "django": version("django"),
        "gunicorn": version("gunicorn"),
        "snappass": peer.locked_version("snappass"),
    }
