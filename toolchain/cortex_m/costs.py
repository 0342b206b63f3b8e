"""What one inference of a package takes on a core: linked sizes, stack and instructions, as its README states them."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.c_source.package import Cost, Package
from toolchain.c_source.reference import differing
from toolchain.cortex_m import qemu_machine, unicorn_machine
from toolchain.cortex_m.cores import core_of
from toolchain.cortex_m.execution import Machine, execute
from toolchain.cortex_m.image import build
from toolchain.data import Array
from toolchain.errors import DependencyError, ModelError


def cost_of(package: Package, core_name: str, rows: Sequence[list[Array]]) -> Cost:
    """Execute `rows` (inputs as stored) and compare every layer; the instructions are those of the first.

    Raises TargetError for an unknown core, DependencyError for what is missing, GuestError where the guest fails, and
    ModelError where an answer differs from the reference kernels'.
    """
    core, program = core_of(core_name), package.program
    machine: Machine = "unicorn" if core.unicorn else "qemu"
    if missing := unicorn_machine.missing() if core.unicorn else qemu_machine.missing():
        raise DependencyError(missing)
    image = build(package, core)
    found = execute(program, image, list(rows), len(rows), machine)
    if different := differing(program, rows, found.layers):
        raise ModelError(f"answers on {core.name} differ from the reference kernels': {different}")
    instructions = sum(found.counts.instructions(segment) for segment in range(len(program.steps)))
    return Cost(core.name, machine, core.note, image.flash_bytes, image.ram_bytes, found.stack_bytes, instructions)
