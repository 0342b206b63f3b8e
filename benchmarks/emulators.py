"""What every tier of emulation says about the four MLPerf Tiny int8 models, and how long it takes.

    python -m benchmarks.emulators [DATA]

DATA is a folder with mlperf_tiny/, cifar10/ and kws/ (default: shared/data beside the repository). Writes
benchmarks/results/emulators.json; prints it as Markdown.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from toolchain.benchmark import bench
from toolchain.emulator import EmulatorResult

HERE = Path(__file__).parent
MODELS = {
    "ic": ("mlperf_tiny/ic/pretrainedResnet_quant.tflite", "cifar10/test_a.npz"),
    "kws": ("mlperf_tiny/kws/kws_ref_model.tflite", "kws/mfcc_a.npz"),
    "vww": ("mlperf_tiny/vww/vww_96_int8.tflite", None),
    "ad": ("mlperf_tiny/ad/ad01_int8.tflite", None),
}
TARGETS = (
    "pico", "nucleo_l4r5zi", "stm32f746", "nucleo_u575zi", "mps3_an547", "ethos_u55_256", "ethos_u65_256", "ethos_u85_256",
    "rpi_3b_plus", "rpi_4b", "rpi_5",
)  # fmt: skip


def main(data: Path) -> None:
    results: dict[str, Any] = {"seconds": {}, "host": None, "models": {}}
    for name, (model, examples) in MODELS.items():
        start = time.perf_counter()
        found = bench([data / model], data=None if examples is None else str(data / examples), targets=TARGETS)
        results["seconds"][name] = round(time.perf_counter() - start, 1)
        results["host"] = msgspec.to_builtins(found.host)
        (row,) = found.artifacts
        results["models"][name] = {"macs": row.macs, "targets": {on.target: list(map(_numbers, on.results)) for on in row.targets}}
    path = HERE / "results" / "emulators.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(_table(results))
    print(f"wrote {path}", file=sys.stderr)


def _numbers(result: EmulatorResult) -> dict[str, Any]:
    """Without the layers and the mix, which are long."""
    short = msgspec.structs.replace(
        result, instructions_per_layer=None, cycles_per_layer=None, ms_per_layer=None, instruction_mix=None, notes=()
    )
    found: dict[str, Any] = msgspec.to_builtins(short)
    return found


def _table(results: dict[str, Any]) -> str:
    lines = ["| target | emulator | " + " | ".join(results["models"]) + " |", "| --- | --- |" + " --- |" * len(results["models"])]
    for target in TARGETS:
        columns = [model["targets"][target] for model in results["models"].values()]
        macs = [model["macs"] for model in results["models"].values()]
        for row in zip(*columns, strict=True):
            lines.append(f"| {target} | {row[0]['emulator']} | " + " | ".join(map(_cell, row, macs)) + " |")
    return "\n".join(lines)


def _cell(result: dict[str, Any], macs: int) -> str:
    if result["status"] != "ok":
        return result["status"]
    parts = []
    if "outputs_match" in result:
        parts.append("=" if result["outputs_match"] else f"{result['outputs_differing']} differ")
    if "instructions" in result:
        parts.append(f"{result['instructions'] / 1e6:.3g} M ({result['instructions'] / macs:.2f})")
    if "ms" in result:
        low, high = result.get("interval_ms", (None, None))
        parts.append(f"{result['ms']:.3g} ms" + ("" if low is None else f" ({low:.3g} to {high:.3g})"))
    return ", ".join(parts)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "shared" / "data"
    if not (folder / "mlperf_tiny").is_dir():
        sys.exit(f"{folder} holds no mlperf_tiny/; give the folder of the data")
    main(folder)
