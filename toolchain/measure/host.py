"""Facts about this machine without which a measurement means nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from toolchain.cache import versions
from toolchain.report import HostFacts


def facts() -> HostFacts:
    """Read the processor, memory, system and versions; takes a second."""
    import cpuinfo  # asks the processor itself, slowly

    return HostFacts(
        cpu=cpuinfo.get_cpu_info().get("brand_raw", platform.processor() or "unknown"),
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        governor=governor(),
        versions=versions(),
    )


def governor() -> str:
    """The frequency governor of the first core (Linux cpufreq)."""
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return path.read_text().strip() if path.exists() else "unknown"


def resident_bytes() -> int:
    """Resident size of this process now."""
    return int(psutil.Process().memory_info().rss)


def peak_resident_bytes() -> int:
    """Largest resident size of this process so far.

    Linux: VmHWM of /proc/self/status (proc(5)), which starts anew at exec; elsewhere getrusage, in kilobytes or, on
    macOS, bytes (getrusage(2)).
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
