"""What Arm's Vela says about a .tflite on an Ethos-U: cycles, memory, and which operators the neural processor computes.

Vela compiles the file and estimates its speed by a model of the processor and of its memories. The configuration decides
the result, and Vela takes a default without a word where none is named, so all three settings have to be given and are
compared with those that Vela reports. Time on the CPU is no part of it: where an operator falls back, no time is given.
"""

from __future__ import annotations

import csv
import importlib.metadata
import math
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import msgspec

from toolchain.data import Array
from toolchain.device import Device
from toolchain.emulator import Emulator, EmulatorResult, How, Layer
from toolchain.errors import DependencyError, GuestError, ModelError
from toolchain.guests.process import Guest, Limits
from toolchain.optional import require
from toolchain.tflite_file import TfliteFile

LIMITS = Limits(seconds=300.0)
CONFIGURATIONS = "Arm/vela.ini"
"""The file that comes with Vela and describes Arm's systems."""
_FALLBACK = re.compile(r"^Warning \(supported operators\) operator: \S+, ofm: '(.*)'\nReason: (.*(?:\n.+)*)", re.MULTILINE)


class Row(msgspec.Struct, frozen=True):
    """A line of Vela's table of layers; several make up one operator of the file."""

    original: str
    name: str
    """Of the tensor it computes."""
    target: str
    cycles: int


class EthosU(Emulator, frozen=True, tag="ethos_u"):
    """Vela for one accelerator in one system; the names are those of `vela --help` and of Arm's vela.ini."""

    how: ClassVar[How] = "vendor"

    accelerator: str
    """Processor and MACs a cycle: `ethos-u55-128`."""
    system_config: str
    """Clock and memories: `Ethos_U55_High_End_Embedded`."""
    memory_mode: str
    """Where weights and activations lie: `Shared_Sram`."""

    def __post_init__(self) -> None:
        family = "_".join(self.accelerator.split("-")[:2])
        if not self.system_config.lower().startswith(f"{family}_"):  # Vela takes the wrong clock and memories without a word
            raise ValueError(f"system_config = {self.system_config!r} does not describe a system with an {self.accelerator}")

    def missing(self, device: Device) -> str | None:
        """The command that installs Vela, where it is missing."""
        try:
            require("ethosu.vela", "ethos-u")
        except DependencyError as err:
            return str(err)
        return None

    def run(self, file: Path, inputs: list[Array], labels: Array | None, device: Device) -> EmulatorResult:
        """Cycles, time, memory and the operators that fall back to the CPU; the examples do not matter."""
        result = EmulatorResult(emulator="ethos_u", how=self.how, status="refused", reason=None)
        if missing := self.missing(device):
            return msgspec.structs.replace(result, status="unavailable", reason=missing)
        engine = f"vela {importlib.metadata.version('ethos-u-vela')}"
        result = msgspec.structs.replace(
            result, engine=engine, profile=f"{engine} {self.accelerator} {self.system_config} {self.memory_mode}"
        )
        with tempfile.TemporaryDirectory() as name:
            try:
                model, folder = TfliteFile.read(file), Path(name)
                printed = self._compile(file, folder)
                summary = self._summary(folder / f"network_summary_{self.system_config}.csv")
                rows = _rows(folder / "network_per-layer.csv")
                return _report(result, model, summary, rows, dict(_FALLBACK.findall(printed)))
            except (ModelError, GuestError) as err:
                return msgspec.structs.replace(result, reason=str(err))

    def _compile(self, file: Path, folder: Path) -> str:
        """Let Vela write its tables into `folder`; what it printed. Raises GuestError with its complaint."""
        shutil.copyfile(file, folder / "network.tflite")
        settings = {"accelerator-config": self.accelerator, "system-config": self.system_config, "memory-mode": self.memory_mode}
        options = [f"--{key}={value}" for key, value in settings.items()]
        status, printed = _vela(
            ["network.tflite", f"--config={CONFIGURATIONS}", "--output-dir=.", "--verbose-performance", *options], folder
        )
        if status:
            said = [line.strip() for line in printed.splitlines() if line.strip()]
            complaint = said[-1][:400] if said else "no message"
            if section := re.search(r"Section (\w+)\.\S* not found in Vela config file", complaint):
                listed = _vela([f"--list-configs={CONFIGURATIONS}"], folder)[1]
                complaint += "; choose from " + ", ".join(re.findall(rf"^\s+{section[1]}\.(\w+)$", listed, re.MULTILINE))
            raise GuestError(f"Vela: {complaint}")
        return printed

    def _summary(self, path: Path) -> dict[str, float]:
        """The numbers of Vela's one-line table. Raises GuestError where it is not the table that was asked for."""
        (line,) = _table(path, 1)
        asked = {
            "accelerator_configuration": self.accelerator.replace("-", "_"),
            "system_config": self.system_config,
            "memory_mode": self.memory_mode,
        }
        for key, value in asked.items():
            if str(line.get(key)).lower() != value.lower():
                raise GuestError(f"Vela was asked for {key} {value} and took {line.get(key)}")
        keys = ("core_clock", "cycles_total", "inference_time", "sram_memory_used", "dram_memory_used",
                "on_chip_flash_memory_used", "off_chip_flash_memory_used")  # fmt: skip
        try:
            numbers = {key: float(line[key]) for key in keys}
        except (KeyError, TypeError, ValueError) as err:
            raise GuestError(f"Vela's summary is not whole ({err})") from None
        if not all(math.isfinite(value) and value >= 0 for value in numbers.values()) or not numbers["core_clock"]:
            raise GuestError(f"Vela's summary holds numbers that cannot be: {numbers}")
        return numbers


def _vela(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run Vela in `folder`: its exit status and what it printed. Raises GuestError at a limit or after a crash."""
    with Guest([sys.executable, "-m", "ethosu.vela", *arguments], folder, LIMITS) as vela:
        try:
            status = vela.wait() or 0
        except GuestError as err:  # it ends in SIGSEGV on some damaged files
            raise GuestError(f"Vela: {err}") from None
        return status, vela.output + vela.errors


def _table(path: Path, rows: int | None = None) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise GuestError(f"Vela wrote no {path.name} that can be read ({type(err).__name__})") from None
    if not found or (rows is not None and len(found) != rows):
        raise GuestError(f"Vela's {path.name} has {len(found)} lines")
    return found


def _rows(path: Path) -> list[Row]:
    try:
        return [Row(row["Original Operator"], row["Name"], row["Target"], int(row["Op Cycles"])) for row in _table(path)]
    except (KeyError, TypeError, ValueError) as err:
        raise GuestError(f"Vela's table of layers is not whole ({err})") from None


def by_operator(model: TfliteFile, rows: list[Row]) -> tuple[list[int], int]:
    """Cycles of each operator of the file, and of rows that belong to none.

    Vela splits operators and names the last piece after the operator's own output; the pieces before it go with it.
    """
    owners = {model.tensors[output].name: index for index, op in enumerate(model.operators) for output in op.outputs}
    cycles, pending = [0] * len(model.operators), list[Row]()
    for row in rows:
        pending.append(row)
        if row.name in owners:
            cycles[owners[row.name]] += sum(piece.cycles for piece in pending if piece.original == row.original)
            pending = []
    return cycles, sum(row.cycles for row in rows) - sum(cycles)


def _report(
    result: EmulatorResult, model: TfliteFile, summary: dict[str, float], rows: list[Row], reasons: dict[str, str]
) -> EmulatorResult:
    """Put Vela's tables into a result. Raises GuestError where they contradict each other, or nothing runs on the NPU."""
    outputs = [model.tensors[op.outputs[0]].name if op.outputs else "" for op in model.operators]
    if len(set(outputs)) != len(outputs):
        raise GuestError("operators of the file compute tensors of the same name, by which Vela names them: give each its own")
    on_cpu = {row.name for row in rows if row.target != "NPU"}
    fallen = [(op, output) for op, output in zip(model.operators, outputs, strict=True) if output in on_cpu]
    why = [f"{op.name} {output}: {' '.join(reasons.get(output, 'Vela gives no reason').split())}" for op, output in fallen]
    if on_cpu - set(outputs):
        raise GuestError(f"Vela puts onto the CPU what is no operator of the file: {', '.join(sorted(on_cpu - set(outputs)))[:300]}")
    cycles, clock_hz, ms = int(summary["cycles_total"]), summary["core_clock"], summary["inference_time"] * 1e3
    if cycles == 0:
        raise GuestError("no operator runs on the Ethos-U" + (f"; {why[0]}" if why else ""))
    of_rows = sum(row.cycles for row in rows)
    if of_rows != cycles or not math.isclose(ms, cycles / clock_hz * 1e3, rel_tol=1e-6):
        raise GuestError(f"Vela's tables contradict each other: {cycles:,} cycles, {ms:g} ms, {of_rows:,} cycles of all layers")
    shares, left_over = by_operator(model, rows)
    macs = sum(op.macs for op in model.operators)
    npu_macs = macs - sum(op.macs for op, _ in fallen)
    used = {key.removesuffix("_memory_used"): round(value * 1024) for key, value in summary.items() if key.endswith("_memory_used")}
    notes = [
        "an estimate by Vela, which models the processor and its memories; not measured",
        f"{npu_macs / macs:.1%} of the multiply-accumulates run on the NPU" if macs else "the file multiplies nothing",
        "flash and RAM are what Vela places there, without the runtime and the application",
    ]
    if fallen:
        notes.append(f"the NPU's part takes {ms:.3f} ms; the operators on the CPU come on top, so there is no total")
        notes += [f"on the CPU: {line}" for line in why]
    if used["dram"]:
        notes.append(f"{used['dram']:,} B of DRAM are used beside the SRAM")
    if left_over:
        notes.append(f"{left_over:,} cycles belong to no single operator of the file")
    layers = tuple(
        Layer(index=i, operator=op.name, output=outputs[i], macs=op.macs, cycles=shares[i], ms=shares[i] / clock_hz * 1e3)
        for i, op in enumerate(model.operators)
    )
    return msgspec.structs.replace(
        result,
        status="ok",
        cycles=cycles,
        cycles_per_layer=layers,
        ms=None if fallen else ms,
        npu_share=1 - len(fallen) / len(model.operators),
        ram_bytes=used["sram"],
        flash_bytes=used["on_chip_flash"] + used["off_chip_flash"] or None,
        notes=tuple(notes),
    )
