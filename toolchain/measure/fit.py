"""Whether a file fits a target, from facts alone: formats, types, flash, SRAM. Every reason is listed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolchain.artifact import sniff
from toolchain.emulator import EmulatorResult
from toolchain.report import TargetReport
from toolchain.target import Target


def fit(path: Path, activation_dtypes: Sequence[str], target: Target, results: Sequence[EmulatorResult]) -> TargetReport:
    """Judge `path` by the target's facts and by what its emulators found; `activation_dtypes` as in schema.fbs.

    SRAM is the arena plus what is reserved; flash is the file plus what is reserved.
    """
    reasons, unknown = [], []
    memory, runtime = target.device.memory, target.device.runtime
    format = sniff(path).value
    if format not in runtime.formats:
        reasons.append(f"{runtime.engine} runs {', '.join(runtime.formats)}, not {format}")
    if refused := [dtype.lower() for dtype in activation_dtypes if dtype.startswith("FLOAT") and dtype.lower() not in runtime.dtypes]:
        reasons.append(f"computes in {', '.join(refused)}; this target takes {', '.join(runtime.dtypes)}")
    reasons += [f"{result.emulator}: {result.reason}" for result in results if result.status == "refused"]
    unknown += [f"{result.emulator}: {result.reason}" for result in results if result.status == "unavailable"]
    flash_bytes = path.stat().st_size + memory.reserved_flash_bytes
    if memory.flash_bytes is not None and flash_bytes > memory.flash_bytes:
        reasons.append(
            f"needs {flash_bytes:,} B of flash ({memory.reserved_flash_bytes:,} reserved), the target has {memory.flash_bytes:,}"
        )
    arenas = [result.arena_bytes for result in results if result.arena_bytes is not None]
    sram_bytes = max(arenas) + memory.reserved_sram_bytes if arenas else None
    if sram_bytes is not None and sram_bytes > memory.sram_bytes:
        reasons.append(f"needs {sram_bytes:,} B of SRAM ({memory.reserved_sram_bytes:,} reserved), the target has {memory.sram_bytes:,}")
    if sram_bytes is None and not reasons and runtime.engine == "tflm":
        unknown.append("the arena is unknown: no emulator ran the file")
    fits = False if reasons else None if unknown else True
    return TargetReport(target.name, fits, tuple(reasons + unknown), flash_bytes, sram_bytes, tuple(results))
