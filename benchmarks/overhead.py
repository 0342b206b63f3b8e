"""What the toolchain itself costs: `--help`, the list of targets, a cached rerun, and a run against the bare converter calls.

`make bench` writes benchmarks/results/overhead.json. Runs are interleaved; every sample is kept.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from toolchain.measure import host

ROUNDS = 3
RESULT = Path(__file__).parent / "results" / "overhead.json"


def seconds(command: list[str], cache: str) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"SECATEUR_CACHE": cache, "CUDA_VISIBLE_DEVICES": "-1"})
    return time.perf_counter() - begun


def main() -> None:
    secateur = [sys.executable, "-m", "toolchain.cli"]
    samples: dict[str, list[float]] = {"help_s": [], "targets_s": [], "bare_calls_s": [], "run_static_w8a8_s": [], "cached_rerun_s": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = folder / "mobilenet_v2.keras"
        build = f"import keras; keras.applications.MobileNetV2((96, 96, 3), 0.35, weights=None, classes=10).save({str(model)!r})"
        subprocess.run([sys.executable, "-c", build], check=True, capture_output=True)
        for index in range(ROUNDS):
            cache, out = str(folder / f"cache{index}"), folder / f"bare{index}"
            out.mkdir()
            run = [*secateur, "run", "static_w8a8", "--model", str(model), "--out", str(folder / f"out{index}")]
            samples["help_s"].append(seconds([*secateur, "--help"], cache))
            samples["targets_s"].append(seconds([*secateur, "targets"], cache))
            samples["bare_calls_s"].append(seconds([sys.executable, str(Path(__file__).parent / "bare.py"), str(model), str(out)], cache))
            samples["run_static_w8a8_s"].append(seconds(run, cache))
            samples["cached_rerun_s"].append(seconds(run, cache))
    ratios = [run / bare for run, bare in zip(samples["run_static_w8a8_s"], samples["bare_calls_s"], strict=True)]
    result = {
        "what": "MobileNetV2 0.35 at 96x96, Keras 3, no data; bare calls export the same four files and measure nothing",
        "samples": samples,
        "medians": {name: round(statistics.median(values), 3) for name, values in samples.items()},
        "run_over_bare": {"median": round(statistics.median(ratios), 3), "lowest": round(min(ratios), 3), "highest": round(max(ratios), 3)},
        "host": host.facts(),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    print(msgspec.json.format(msgspec.json.encode({k: result[k] for k in ("medians", "run_over_bare")}), indent=1).decode())


main()
