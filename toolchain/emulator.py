"""What an emulator is: frozen settings in a target's file that turn a model file into a result on that target.

Each kind is one file in `emulators/`; its name is the `kind` in a target's `[[emulator]]` table.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Literal

import msgspec

from toolchain.data import Array


class EmulatorResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one emulator found. Sizes in bytes; fields that do not apply are absent."""

    emulator: str
    how: Literal["executed", "vendor", "estimated", "published"]
    status: Literal["ok", "unavailable", "refused"]
    reason: str | None = None
    """Why it is not `ok`, with the install command where something is missing."""
    engine: str | None = None
    arena_bytes: int | None = None
    outputs_match: bool | None = None
    outputs_against: str | None = None
    """Which kernels the outputs were compared with."""
    outputs_differing: int | None = None
    """How many output values differ, over all examples."""
    outputs_max_difference: float | None = None
    """Largest difference, in steps of the output's scale."""
    examples: int | None = None
    """How many examples were run, compared and scored."""
    accuracy: float | None = None

    @property
    def comparison(self) -> str:
        """The outputs against the kernels they were compared with, in words."""
        if self.outputs_match is None:
            return ""
        if self.outputs_match:
            return f"identical to {self.outputs_against} on {self.examples}"
        steps = "" if self.outputs_max_difference is None else f", by at most {self.outputs_max_difference:g} steps"
        return f"{self.outputs_differing} values differ from {self.outputs_against}{steps}, on {self.examples}"


class Emulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """One way to find out what a file does on a target."""

    @abstractmethod
    def run(self, file: Path, inputs: list[Array], labels: Array | None) -> EmulatorResult:
        """Execute or estimate `file` on examples `[N, ...]`; an unsupported file is a result, not an exception."""
