"""Reports of any size for the page's tests, the same every time: a model, its files, three targets and everything a run can tell."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np

from toolchain.emulator import EmulatorResult, Layer
from toolchain.pictures import as_uri
from toolchain.report import (
    Answers,
    ArtifactReport,
    AttemptReport,
    Changed,
    DataReport,
    HostFacts,
    Latency,
    LayerReport,
    ModelReport,
    Report,
    Skipped,
    StepReport,
    TargetReport,
    Verdict,
)  # fmt: skip

CLASSES = 10
EXAMPLES = 100
"""Of each class."""
ROUNDS = 10
SCHEMES = ("float32", "static_w8a8", "dynamic_w8", "float16", "static_w8a16")
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MAX_POOL_2D", "MEAN")
HOSTILE = """<img src=x onerror=alert(1)>"'</script>{{7*7}}"""


def report(files: int = 30, layers: int = 200, seed: int = 0) -> Report:
    """A run that made `files` files of `layers` operators each."""
    rng = np.random.default_rng(seed)
    artifacts = tuple(artifact(rng, index, layers) for index in range(files))
    return Report(
        secateur="0.1.0",
        recipe="edge_int8",
        settings={"name": "edge_int8", "max_accuracy_drop": 0.01, "stages": [{"use": "prune_channels", "ratio": 0.5}]},
        model=ModelReport("net.keras", "keras", "0" * 64, 2_400_000, 2_100_000, 550_000, 550_000, "top1", 0.95, (0.935, 0.962), answers(rng, 50, 0, 0)),
        data=DataReport("digits", "1" * 64, 4000, 500, CLASSES * EXAMPLES, 1 / 255, 0.0, 0, tuple(f"digit {n}" for n in range(CLASSES))),
        host=HostFacts("A processor", 4, 16_000_000_000, "Linux", "3.11.7", "performance", {"tensorflow": "2.21.0", "toolchain": "a" * 64}),
        artifacts=artifacts,
        skipped=(
            Skipped("1 prune_channels", "head/conv;head/bias", "10 channels frozen: the softmax mixes them"),
            *(Skipped(f"{row.name} on board", "corstone", "refused: there is no firmware for this core") for row in artifacts),
        ),
        steps=steps(artifacts, layers),
        attempts=(
            AttemptReport("plain", (), 1.5, "top1", 0.95, 0.90, 0.05, False, artifact="attempt_plain.tflite"),
            AttemptReport("rounded", ("adaround",), 2.5, reason="no kernel has a bias"),
            AttemptReport("balanced", ("equalize", "correct_bias"), 12.0, "top1", 0.95, 0.949, 0.001, True, artifact=artifacts[0].name, chosen=True),
        ),
        gate=(
            Verdict(artifacts[0].name, None, "max_bytes", "absolute", 3_000_000, artifacts[0].bytes, None, "passed", "the file's size"),
            Verdict(artifacts[0].name, None, "max_accuracy_drop", "original", 0.01, 0.012, (-0.004, 0.028), "inside", "12 lost, 0 gained of 1,000"),
            Verdict(artifacts[1].name, "board", "must_fit", "absolute", True, False, None, "failed", "needs too much flash"),
        ) if files > 1 else (),
        pictures={str(index): as_uri(rng.random((8, 8, 1)), 0, 1) for index in range(5)},
    )  # fmt: skip


def artifact(rng: np.random.Generator, index: int, layers: int) -> ArtifactReport:
    """One file; every fifth is an ONNX, which no microcontroller runs."""
    format = "onnx" if index % 5 == 4 else "tflite"
    scheme = SCHEMES[index % len(SCHEMES)]
    size = int(2_200_000 / (1 + index % 7))
    lost, gained = int(rng.integers(0, 25)), int(rng.integers(0, 8))
    macs = rng.integers(10_000, 90_000, layers)
    milliseconds = float(0.1 + rng.random())
    given = answers(rng, 50, lost, gained)
    return ArtifactReport(
        name=f"variant_{index:02}_{scheme}.{format}", path=f"variant_{index:02}_{scheme}.{format}", format=format, scheme=scheme,
        digest=f"{index:064}", how="measured", bytes=size, gzip_bytes=int(size * 0.8), zstd_bytes=int(size * 0.78), parameters=550_000,
        nonzero_parameters=550_000 - 9_000 * index, macs=int(macs.sum()), operators=dict.fromkeys(OPERATORS, layers // 5), metric="top1",
        accuracy=sum(given.hits) / sum(given.support), accuracy_interval=(0.92, 0.96), accuracy_examples=sum(given.support),
        other_metrics={"top5": 0.999}, agreement=0.98, max_error=0.1, mean_error=0.01, latency=latency(rng, milliseconds, format),
        peak_memory_bytes=61_000_000, base_memory_bytes=39_000_000, answers=given,
        layers=tuple(layer(rng, place, int(macs[place])) for place in range(layers)) if format == "tflite" else (),
        targets=tuple(on_target(rng, name, index, size, format, macs) for name in ("board", "phone")),
        notes=("the file is larger than the original's",) if index == 0 else (),
    )  # fmt: skip


def answers(rng: np.random.Generator, wrong: int, lost: int, gained: int) -> Answers:
    """Of an original with `wrong` mistakes, after `lost` and `gained` others."""
    missed = rng.multinomial(wrong + lost - gained, [1 / CLASSES] * CLASSES)
    confusion = [[int(EXAMPLES - missed[c]) if c == other else 0 for other in range(CLASSES)] for c in range(CLASSES)]
    for c in range(CLASSES):
        confusion[c][(c + 1) % CLASSES] += int(missed[c])
    right = np.concatenate([np.arange(EXAMPLES) >= missed[c] for c in range(CLASSES)])
    return Answers(
        support=(EXAMPLES,) * CLASSES,
        hits=tuple(int(EXAMPLES - count) for count in missed),
        confusion=tuple(map(tuple, confusion)),
        right=base64.b64encode(np.packbits(right).tobytes()).decode(),
        lost=lost,
        gained=gained,
        differing=lost + gained,
        changed=tuple(Changed(place, place % CLASSES, place % CLASSES, (place + 1) % CLASSES) for place in range(min(lost, 8))),
    )


def latency(rng: np.random.Generator, milliseconds: float, format: str) -> Latency:
    """Durations with a tail."""
    samples = np.round(milliseconds * (1 + 0.05 * rng.gamma(1.5, 1.0, 40 * ROUNDS)), 6)
    p50, p90, p99 = (float(value) for value in np.percentile(samples, [50, 90, 99]))
    return Latency(
        how="measured", runtime="litert 2.3.0 xnnpack" if format == "tflite" else "onnxruntime 1.32.0 cpu", threads=1, p50_ms=p50, p90_ms=p90,
        p99_ms=p99, min_ms=float(samples.min()), interval_ms=(p50 * 0.99, p50 * 1.01), rounds=ROUNDS, load_before=0.5, load_after=0.75,
        samples_ms=tuple(map(float, samples)),
    )  # fmt: skip


def layer(rng: np.random.Generator, place: int, macs: int) -> LayerReport:
    """A chain with a shortcut over every fourth operator."""
    reads = (place - 1, place - 4) if place % 4 == 3 else (place - 1,)
    return LayerReport(
        place, f"block_{place // 4}/layer_{place}", OPERATORS[place % 5], reads, (1, 8, 8, 16), 2_000, 1_500, macs, 16, 24,
        float(20 + 30 * rng.random()), float(15 + 10 * rng.random()),
    )  # fmt: skip


def on_target(rng: np.random.Generator, name: str, index: int, size: int, format: str, macs: Any) -> TargetReport:
    """A microcontroller that executes and estimates, and a phone of which nothing is known."""
    if name == "phone":
        missing = EmulatorResult(
            emulator="aarch64", how="executed", status="unavailable", reason="there is no QEMU; run: apt-get install qemu-user"
        )
        return TargetReport("phone", None, ("aarch64: there is no QEMU",), None, None, (missing,), (), "A phone (Cortex-A76, 2.4 GHz)")
    fits = format == "tflite" and size < 1_000_000
    costs = (2.5 * macs).astype(int)
    placed = [(place, OPERATORS[place % 5], f"block_{place // 4}/layer_{place};x", int(count)) for place, count in enumerate(macs)]
    executed = EmulatorResult(
        emulator="cortex_m", how="executed", status="ok", reason=None, engine="c_source on cortex-m7 (qemu)", arena_bytes=20_000 + index,
        flash_bytes=size, ram_bytes=21_000, outputs_match=True, outputs_against="litert 2.3.0 reference", outputs_differing=0,
        outputs_max_difference=0.0, examples=34, accuracy=0.97, instructions=int(costs.sum()),
        instructions_per_layer=tuple(
            Layer(index=place, operator=operator, output=output, macs=count, instructions=int(cost))
            for (place, operator, output, count), cost in zip(placed, costs, strict=True)
        ),
        notes=("RAM as linked",),
    )  # fmt: skip
    estimated = EmulatorResult(
        emulator="latency_model", how="estimated", status="ok", reason=None, engine="X-CUBE-AI", ms=float(costs.sum()) / 216_000,
        interval_ms=(float(costs.sum()) / 300_000, float(costs.sum()) / 150_000), profile="x-cube-ai/cortex-m7",
        ms_per_layer=tuple(
            Layer(index=place, operator=operator, output=output, macs=count, ms=float(cost) / 216_000)
            for (place, operator, output, count), cost in zip(placed, costs, strict=True)
        ),
    )  # fmt: skip
    refused = EmulatorResult(emulator="corstone", how="executed", status="refused", reason="there is no firmware for this core")
    reasons = () if fits else (f"needs {size:,} B of flash, the target has 1,048,576",)
    results = (executed, estimated, refused) if format == "tflite" else ()
    return TargetReport(
        "board", fits, reasons, size + 131_072, 88_000 + index, results, ("operators: CMSIS-NN: CONV_2D",), "A board (Cortex-M7, 216 MHz)", 1_048_576, 327_680
    )  # fmt: skip


def steps(artifacts: tuple[ArtifactReport, ...], layers: int) -> tuple[StepReport, ...]:
    """Every kind of details that the page knows."""
    counts = {"before": 987_654, "after": 123_456}
    groups = {
        f"conv_{place}": {"layers": [f"conv_{place}", f"shortcut_{place}"], "before": 64, "after": 48} for place in range(layers // 4 or 1)
    }
    cost = {"core": "cortex-m4", "flash_bytes": 99_000, "ram_bytes": 21_000, "stack_bytes": 600, "instructions": 1_234_567}
    row = {"int16": ["conv_7"], "float32": [], "cost": 0.312, "drop": 0.0021, "sqnr_db": 31.46, "bytes": 98_765}
    alone = {"layer": "conv_9;x", "operator": "CONV_2D", "work": 5, "sqnr_db": 41.37, "drop": 0.0}
    ranges = [
        {"tensor": f"relu_{n}", "min": 0.0, "max": 5.875, "scale": 0.02304, "zero_point": -128, "clipped": 0.00012} for n in range(layers)
    ]
    return (
        StepReport("1 prune_channels", 28.5, False, {"training": "4,000 of 4,000"}, {"groups": groups, "macs": counts, "params": counts}),
        StepReport("export c_source", 1.0, True, {}, {"package": {"costs": [cost]}}),
        StepReport("export static_mixed.tflite", 2.0, False, {}, {"pareto": [row], "sensitivity": [alone]}),
        StepReport(f"export {artifacts[0].name}", 2.0, False, {"calibration": "200 of 4,000"}, {"ranges": ranges}),
    )


def hostile(kind: Any = Report, value: Any = None) -> Any:
    """The report `value` with HOSTILE in the place of every text that its type does not fix, also of names that are keys."""
    return msgspec.convert(_poisoned(msgspec.inspect.type_info(kind), msgspec.to_builtins(value)), kind)


def _poisoned(kind: Any, value: Any) -> Any:
    match kind:
        case msgspec.inspect.StrType() if value is not None:
            return HOSTILE
        case msgspec.inspect.StructType() if value is not None:
            return {
                field.encode_name: _poisoned(field.type, value[field.encode_name]) for field in kind.fields if field.encode_name in value
            }
        case msgspec.inspect.DictType():
            return {
                key if isinstance(kind.value_type, msgspec.inspect.AnyType) else HOSTILE + key: _poisoned(kind.value_type, one)
                for key, one in value.items()
            }
        case msgspec.inspect.VarTupleType() if value is not None:
            return [_poisoned(kind.item_type, one) for one in value]
        case msgspec.inspect.UnionType() if value is not None:
            inner = next((one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)), None)
            return _poisoned(inner, value)
        case msgspec.inspect.AnyType():
            return _untyped(value)
    return value


def _untyped(value: Any) -> Any:
    """Details of steps: their texts, and the names of groups."""
    if isinstance(value, dict):
        return {(HOSTILE + key if key.startswith("conv_") else key): _untyped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_untyped(one) for one in value]
    return HOSTILE if isinstance(value, str) else value
