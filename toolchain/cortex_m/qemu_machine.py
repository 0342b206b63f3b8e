"""An image executed by qemu-system-arm, whose machines have cores that unicorn does not know."""

from __future__ import annotations

import tempfile
from pathlib import Path

from toolchain.cortex_m.image import Image
from toolchain.errors import DependencyError, GuestError
from toolchain.guests import compiler, counting, process


def missing() -> str | None:
    """What has to be installed."""
    try:
        process.find("qemu-system-arm")
    except DependencyError as err:
        return str(err)
    return compiler.missing()


def execute(image: Image, plan: bytes, answers: int, layers: int) -> tuple[bytes, counting.Counts]:
    """Run an image on what `plan` puts at its `outside`; returns the answers, and what was executed.

    Counts are cut each time a layer is done. Raises GuestError for a fault and at a limit.
    """
    del answers, layers  # the guest itself writes its answers, and counting costs little here
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "plan.bin").write_bytes(plan)
        process.run(
            [
                process.find("qemu-system-arm"), "-M", str(image.core.machine), "-display", "none", "-monitor", "none", "-serial", "null",
                "-semihosting-config", "enable=on,target=native", "-kernel", str(image.path),
                "-device", f"loader,file=plan.bin,addr={image.core.memory.outside:#x},force-raw=on",
                *counting.arguments(folder / "counts.txt", (image.layer_done,)),
            ],
            folder,
        )  # fmt: skip
        found = folder / "answers.bin"
        if not found.exists():
            raise GuestError("the guest wrote no answers")
        return found.read_bytes(), counting.read(folder / "counts.txt", "thumb")
