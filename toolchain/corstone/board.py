"""The board in QEMU: its DDR is a file, into which the model and an input are put before a boot and from which outputs are read.

QEMU runs without semihosting, network and monitor, so the guest reaches nothing of this machine but that file. It ends
when the firmware resets the board. One boot is one inference: 0.1 to 0.3 s for the MLPerf Tiny models.
Addresses: the firmware's `MainLoop` and `RunInferenceHandler` (Arm's ML Embedded Evaluation Kit 25.12, Corstone-300).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from toolchain.corstone import console
from toolchain.errors import GuestError
from toolchain.guests import process

PROGRAM = "qemu-system-arm"
_DDR, _DDR_BYTES = 0x6000_0000, 2 << 30
_MODEL, _MODEL_BYTES = 0x9000_0000, 32 << 20
_INPUT, _OUTPUT, _BUFFER_BYTES = 0x9200_0000, 0x9300_0000, 16 << 20


class Answer(msgspec.Struct, frozen=True):
    """What one boot left."""

    report: console.Report
    output: bytes
    """All outputs, one after the other."""


class Board:
    """A board with a model in its memory."""

    def __init__(self, firmware: bytes, model: bytes, folder: Path, limits: process.Limits) -> None:
        """Puts firmware and memory into `folder`. Raises GuestError for a model that is too large, DependencyError without QEMU."""
        if len(model) > _MODEL_BYTES:
            raise GuestError(f"the firmware keeps {_MODEL_BYTES:,} B for the model; the file has {len(model):,}")
        self._folder, self._limits, self._memory = folder, limits, folder / "ddr.bin"
        self._command = [
            process.find(PROGRAM), "-machine", "mps3-an547,memory-backend=ddr",
            "-object", f"memory-backend-file,id=ddr,size={_DDR_BYTES},mem-path=ddr.bin,share=on",
            "-display", "none", "-monitor", "none", "-nic", "none", "-serial", "stdio", "-no-reboot", "-kernel", "firmware.axf",
        ]  # fmt: skip
        (folder / "firmware.axf").write_bytes(firmware)
        with self._memory.open("wb") as memory:
            memory.truncate(_DDR_BYTES)  # sparse: only what is written takes room
            memory.seek(_MODEL - _DDR)
            memory.write(model)

    def infer(self, inputs: bytes, options: Sequence[str] = ()) -> Answer:
        """Boot and compute once; `inputs` as the model stores them, one after the other. `options` are QEMU's.

        Raises GuestError for what the firmware refuses, a crash, or a limit.
        """
        if len(inputs) > _BUFFER_BYTES:
            raise GuestError(f"the firmware keeps {_BUFFER_BYTES:,} B for inputs; the model takes {len(inputs):,}")
        with self._memory.open("r+b") as memory:
            memory.seek(_INPUT - _DDR)
            memory.write(inputs)
        with process.Guest([*self._command, *options], self._folder, self._limits) as guest:
            try:
                status = guest.wait()
            except GuestError as err:
                raise GuestError(_cause(guest) or str(err)) from None
        if status:
            raise GuestError(f"{PROGRAM} ended with exit status {status}: {guest.errors.strip()[-300:]}")
        report = console.parse(guest.output, len(inputs))
        if report.output_bytes > _BUFFER_BYTES:
            raise GuestError(f"the firmware reports {report.output_bytes:,} B of outputs and keeps {_BUFFER_BYTES:,}")
        with self._memory.open("rb") as memory:
            memory.seek(_OUTPUT - _DDR)
            return Answer(report, memory.read(report.output_bytes))


def _cause(guest: process.Guest) -> str:
    """QEMU's reason for a crash of the guest, which it puts before a dump of all registers."""
    fatal = next((line for line in guest.errors.splitlines() if "fatal" in line), "")
    said = [line.strip() for line in guest.output.splitlines() if line.strip()]
    return fatal and f"the firmware crashed ({fatal}) after it said: {said[-1] if said else 'nothing'}"
