"""What an emulated core says about itself.

The engines choose their kernels by it (the cpuinfo library reads /proc/cpuinfo and /sys/devices/system/cpu), and crash
on the description of an x86 processor. qemu's user mode passes the host's files on, so the sysroot's must hide them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Core(msgspec.Struct, frozen=True):
    """A core as Linux describes it."""

    part: int
    """Part number in the Main ID Register (MIDR_EL1): the core's Technical Reference Manual."""
    features: str
    """Names of the hardware capabilities as in /proc/cpuinfo (Linux, Documentation/arm64/elf_hwcaps)."""


_ARMV8_0 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
CORES = {
    "cortex-a53": Core(0xD03, _ARMV8_0),
    "cortex-a72": Core(0xD08, _ARMV8_0),
    "cortex-a76": Core(0xD0B, f"{_ARMV8_0} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs"),
}


def describe(core: str, prefix: Path) -> None:
    """Write the files of a machine with one such core below `prefix`."""
    known = CORES[core]
    facts = {
        "processor": "0",
        "BogoMIPS": "108.00",
        "Features": known.features,
        "CPU implementer": "0x41",
        "CPU architecture": "8",
        "CPU variant": "0x1",
        "CPU part": f"{known.part:#05x}",
        "CPU revision": "0",
    }
    cpu, topology = "sys/devices/system/cpu", "sys/devices/system/cpu/cpu0/topology"
    files = {"proc/cpuinfo": "".join(f"{name}\t: {value}\n" for name, value in facts.items())}
    files |= {f"{cpu}/{name}": "0" for name in ("possible", "present", "online")} | {f"{cpu}/kernel_max": "7"}
    files |= {f"{topology}/{name}": "0" for name in ("physical_package_id", "core_id")}
    for group in ("core_siblings", "cluster_cpus", "package_cpus", "thread_siblings", "core_cpus"):
        files |= {f"{topology}/{group}": "1", f"{topology}/{group}_list": "0"}
    for name, content in files.items():
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text(content + "\n")
