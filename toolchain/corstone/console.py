"""What the firmware says on its serial port: the arena it used, the operators it found, or why it stopped."""

from __future__ import annotations

import re

import msgspec

from toolchain.errors import GuestError

_FAILURE = re.compile(r"ERROR|[Ff]ailed|not supported|Didn't find op|insufficient|not equal to supported version")
_ALWAYS_THERE = "hal_display_init failed"
"""The display is not part of the machine; nothing depends on it."""


class Report(msgspec.Struct, frozen=True):
    """One inference as the firmware reports it."""

    arena_bytes: int
    operators: tuple[str, ...]
    output_bytes: int
    """Of all outputs together, one after the other."""


def parse(printed: str, input_bytes: int) -> Report:
    """Read the log of a boot that was to take `input_bytes` of input. Raises GuestError with the firmware's reason."""
    lines = [line.removeprefix("INFO - ").strip() for line in printed.splitlines() if line.strip()]
    failures = [line for line in lines if _FAILURE.search(line) and _ALWAYS_THERE not in line]
    if failures:
        raise GuestError("the firmware stopped: " + " | ".join(dict.fromkeys(failures))[:400])
    text = "\n".join(lines)
    taken = int(_found(r"input tensor/s populated with (\d+) bytes", text))
    if taken != input_bytes:
        raise GuestError(f"the firmware read {taken:,} B of input, not {input_bytes:,}")
    operators = tuple(re.findall(r"Operator \d+: (\S+)", text))
    if len(operators) != int(_found(r"Number of operators: (\d+)", text)):
        raise GuestError("the firmware's list of operators is not whole")
    report = Report(
        int(_found(r"tensor arena\) size used: (\d+)", text)),
        operators,
        int(_found(r"output tensor/s worth (\d+) bytes copied", text)),
    )
    _found("(program terminating)", text)
    return report


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise GuestError(f"the firmware ended early; its last words: {text.splitlines()[-1] if text else 'none'}")
    return found.group(1)
