"""Published measurements as rows of work and cycles; every row that is left out is counted with its reason."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import msgspec

from benchmarks.latency_model.architectures import DRAWINGS
from toolchain.latency import work
from toolchain.tflite_file import TfliteFile

INTERNAL_BYTES = 524_288
"""STM32H747I-DISCO: contiguous AXI SRAM; X-CUBE-AI puts larger activations into external SDRAM (ST's benchmark logs)."""
CORES = {"Cortex-M4": "cortex-m4", "Cortex-M7": "cortex-m7", "Cortex-M33": "cortex-m33", "Cortex-A7": "cortex-a7"}

FAMILIES = {
    "ad fc-autoencoder": "autoencoder", "kws ds-cnn": "ds_cnn", "ic resnet-8": "resnet", "resnet v1": "resnet",
    "vww": "mobilenet_v1", "fdmobilenet": "fdmobilenet", "ssd mobilenet v1": "mobilenet_v1", "ssd mobilenet v2": "mobilenet_v2",
    "mobilenet v1": "mobilenet_v1", "mobilenet v2": "mobilenet_v2", "efficientnet lc": "efficientnet_lc", "squeezenet": "squeezenet",
    "st mnist": "st_mnist", "yolo lc": "yolo_lc", "yolo_lc": "yolo_lc", "person_detect": "mobilenet_v1", "tiny_yolo": "tiny_yolo",
}  # fmt: skip
"""What networks share: leaving one out leaves out its sizes and its backbone's detectors. The first match counts."""
DRAWN = {
    "ssd mobilenet v1": "ssd_mobilenet_v1", "ssd mobilenet v2": "ssd_mobilenet_v2", "mobilenet v1 0.5": "mobilenet_v1_0.5",
    "mobilenet v2": "mobilenet_v2_0.35", "efficientnet lc": "efficientnet_lc", "squeezenet v1.0": "squeezenet_1.0",
    "squeezenet v1.1": "squeezenet_1.1",
}  # fmt: skip


class Measurement(msgspec.Struct, frozen=True):
    """One network on one board with one engine; submissions of the same are averaged (geometric mean)."""

    profile: str
    engine: str
    """What versions and cores share: x-cube-ai."""
    engine_title: str
    core: str
    board: str
    clock_hz: int
    family: str
    network: str
    work: work.Work
    ms: float
    source: str
    network_macs: int
    """Multiply-accumulates of the network that was measured, of which the row may be one operator."""

    @property
    def cycles(self) -> float:
        """Clock cycles of one inference."""
        return self.ms * self.clock_hz / 1e3


def macs(done: work.Work) -> int:
    """Multiply-accumulates in some work."""
    return sum(units for term, units in done.items() if term.endswith("_mac"))


def read(data: Path) -> tuple[list[Measurement], dict[str, int]]:
    """Rows of `published/mcu_results.csv` that can carry a profile, and the others counted by reason."""
    files: dict[str, work.Work] = {}
    excluded: dict[str, int] = defaultdict(int)
    same: dict[tuple[str, str, str], list[Measurement]] = defaultdict(list)
    with (data / "published" / "mcu_results.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            found = _measurement(row, data, files)
            if isinstance(found, str):
                excluded[found] += 1
            else:
                same[found.profile, found.board, found.network].append(found)
    excluded["another submission of the same network, board and engine (averaged)"] = sum(len(group) - 1 for group in same.values())
    rows = [msgspec.structs.replace(g[0], ms=math.exp(math.fsum(math.log(m.ms) for m in g) / len(g))) for g in same.values()]
    return sorted(rows, key=lambda m: (m.profile, m.board, m.network)), dict(sorted(excluded.items()))


def _measurement(row: dict[str, str], data: Path, files: dict[str, work.Work]) -> Measurement | str:
    core = CORES.get(row["core"])
    if core is None:
        return "a core of another make, or with a single network or submission"
    if row["board"].startswith("xG24"):
        return "xG24: its matrix-vector coprocessor computes, not the Cortex-M33"
    if row["format"] != "int8":
        return "not int8"
    if "max_performance" in row["runtime_version"]:
        return "a special build for one network (max_performance)"
    engine = _engine(row)
    if engine is None:
        return "engine or version not stated"
    name = row["model"].lower()
    family = next((family for part, family in FAMILIES.items() if part in name), None)
    if family is None:
        return "a network that nothing is published about but its MACs"
    peak, used = float(row["peak_live_act_bytes"] or 0), row["activation_ram_kib"]
    if core == "cortex-m7" and (float(used) * 1024 > INTERNAL_BYTES if used else peak * _packing(name) > INTERNAL_BYTES):
        return "STM32H747I-DISCO with more than 512 KiB of activations: external SDRAM"
    work_done = _work(row, data, files)
    if work_done is None:
        return "no model file, and no description of the network that has the published MACs"
    slug, version, title = engine
    board = row["board"].lower().replace("_", "-")
    clock_hz = round(float(row["clock_mhz"]) * 1e6)
    label = f"{name} {row['input']}".replace("mlperftiny ", "").removesuffix(" 640")
    for ending in (" tfs", " fft"):
        label = label.replace(ending, "")
    return Measurement(
        f"{slug}-{version}/{core}", slug, title, core, board, clock_hz, family, label, work_done, float(row["latency_ms"]), row["source"],
        macs(work_done),
    )  # fmt: skip


def read_operators(data: Path) -> list[Measurement]:
    """`published/op_level.csv`: the operators of person_detect on a Raspberry Pi Pico, a family for each size of image.

    The other tables there are of accelerators, of instruction counts without a clock, or of kernels in external memory.
    """
    file = TfliteFile.read(data / "models_for_calibration" / "tflm_person_detect.tflite")
    with (data / "published" / "op_level.csv").open(newline="") as table:
        timed = [row for row in csv.DictReader(table) if row["device"].startswith("Raspberry Pi Pico") and row["threads"] == "1"]
    rows = []
    for row, operator in zip(timed, file.operators, strict=True):
        done = work.of(operator, file.tensors)
        if done:
            shape = file.tensors[operator.outputs[0]].shape
            rows.append(
                Measurement(
                    "tflm-cmsis-nn-pico-dfea53b/cortex-m0plus",
                    "tflm-cmsis-nn",
                    "TensorFlow Lite Micro with CMSIS-NN (pico-tflmicro dfea53b)",
                    "cortex-m0plus",
                    "raspberry-pi-pico",
                    125_000_000,
                    f"{shape[1] if len(shape) == 4 else 1} pixels",
                    f"person_detect operator {row['op_index']:0>2} {row['op']}",
                    done,
                    int(row["time_us"]) / 1e3,
                    row["source"],
                    file.macs or 0,
                )
            )
    return rows


def _packing(name: str) -> float:
    """X-CUBE-AI's activation memory over the peak of live tensors where it is not published: that of the same network at 224 pixels."""
    return 769.12 * 1024 / 1_215_024 if "ssd mobilenet v2" in name else 0.92


def _engine(row: dict[str, str]) -> tuple[str, str, str] | None:
    """Slug, version and title of the engine; None where the row does not say."""
    runtime, version = row["runtime"], row["runtime_version"]
    suite = row["suite"].removeprefix("MLPerf Tiny v").removesuffix(" closed")
    if runtime.startswith("X-CUBE-AI v"):
        return "x-cube-ai", runtime.removeprefix("X-CUBE-AI v"), f"X-CUBE-AI {runtime.removeprefix('X-CUBE-AI v')}"
    if "STM32Cube.AI" in runtime:
        return ("x-cube-ai", version, f"X-CUBE-AI {version}") if version else None
    if runtime.startswith("Plumerai Inference Engine"):
        release = runtime.removeprefix("Plumerai Inference Engine").strip() or f"mlperf-{suite}"
        return "plumerai", release, f"Plumerai Inference Engine {release}"
    if "HALE" in runtime:
        release = runtime.rsplit(" ", 1)[1]
        return "hale", release, f"Bosch HALE {release}"
    if runtime == "microTVM":
        kind = "cmsis-nn" if "cmsis" in version.lower() else "native"
        return f"microtvm-{kind}", "mlperf-1.0", f"microTVM with {kind} kernels (MLPerf Tiny v1.0)"
    if runtime == "ONNC":
        system = version.rsplit("-", 1)[1]
        return f"onnc-{system}", f"mlperf-{suite}", f"ONNC on {system} (MLPerf Tiny v{suite})"
    if runtime == "TensorFlow Lite for Microcontrollers v2.3.1":
        return "tflm-cmsis-nn", "2.3.1", "TensorFlow Lite Micro 2.3.1 with CMSIS-NN"
    if "X-LINUX-AI" in runtime and "5.0.0" in version:
        return "x-linux-ai", "5.0.0", "TensorFlow Lite 2.11.0 (X-LINUX-AI 5.0.0), two threads"
    return None


def _work(row: dict[str, str], data: Path, files: dict[str, work.Work]) -> work.Work | None:
    name = row["model_file"]
    path = data / "models_for_calibration" / name
    if name and path.is_file():
        if name not in files:
            file = TfliteFile.read(path)
            files[name] = work.total([work.of(op, file.tensors) or {} for op in file.operators])
        return files[name]
    drawn = next((drawn for part, drawn in DRAWN.items() if part in row["model"].lower()), None)
    if drawn is None or (drawn, row["input"]) not in DRAWINGS:
        return None
    found = work.total(DRAWINGS[drawn, row["input"]]().parts)
    counted = {
        "macs_conv": found.get("conv_mac", 0) + found.get("narrow_conv_mac", 0),
        "macs_1x1": found.get("pointwise_mac", 0),
        "macs_dw": found.get("depthwise_mac", 0) + found.get("generic_depthwise_mac", 0),
        "macs_fc": found.get("dense_mac", 0),
    }
    return found if all(float(row[key]) == value for key, value in counted.items()) else None
