"""Why phones and single-board computers get no profile yet: what multiply-accumulates alone can tell, family by family.

`published/phone_results.csv` names networks and counts their multiply-accumulates; the files, and so the operators, are not
there. The only honest model is then milliseconds per multiply-accumulate.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np

FAMILY = re.compile(r"[a-z]+(v\d)?")
"""The first word of a network's name: mobilenetv2, resnet."""


RUNTIMES = {
    "ncnn": "ncnn runs neither .tflite nor .onnx",
    "XNNPACK": "kernels without a runtime",
    "TFLite": "a release of 2019 or 2020 with other kernels than LiteRT has now",
    "TensorFlow": "the release is not stated",
}
"""Why timings with a runtime say little about LiteRT or ONNX Runtime on the same device."""


class Refused(msgspec.Struct, frozen=True):
    """Set-ups of one runtime and type without a profile."""

    setup: str
    rows: int
    setups: int
    """Devices and numbers of threads."""
    errors: tuple[float, float] | None
    """Smallest and largest mean error of a rate of multiply-accumulates on families left out; None: one family only."""
    reason: str


def refused(data: Path) -> list[Refused]:
    """Every runtime and type that was timed on a CPU."""
    groups: dict[tuple[str, str], dict[tuple[str, str], list[tuple[str, float | None]]]] = defaultdict(lambda: defaultdict(list))
    with (data / "published" / "phone_results.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if not row["accelerator"] and not row["runtime"].startswith("Latent AI"):  # those stand in mcu_results.csv, too
                dtype = "int8" if "int8" in row["format"] else "float32"
                rate = float(row["latency_ms"]) / float(row["macs_m"]) if row["macs_m"] else None
                family = FAMILY.match(row["model"].lower())
                groups[row["runtime"].partition(" (")[0].strip(), dtype][row["device"], row["threads"]].append(
                    (family[0] if family else row["model"], rate)
                )
    found = []
    for (runtime, dtype), setups in sorted(groups.items()):
        errors = [error for rows in setups.values() if (error := _leave_families_out(rows)) is not None]
        spread = (min(errors), max(errors)) if errors else None
        found.append(Refused(f"{runtime}, {dtype}", sum(map(len, setups.values())), len(setups), spread, _reason(runtime, spread)))
    return found


def _leave_families_out(rows: list[tuple[str, float | None]]) -> float | None:
    """Mean relative error where a family's rate is the median of the others'; None with fewer than two families."""
    rates = [(family, rate) for family, rate in rows if rate is not None]
    families = sorted({family for family, _ in rates})
    if len(families) < 2:
        return None
    errors = []
    for family in families:
        others = np.median([rate for other, rate in rates if other != family])
        errors += [abs(others / rate - 1) for other, rate in rates if other == family]
    return float(f"{np.mean(errors):.4g}")


def _reason(runtime: str, errors: tuple[float, float] | None) -> str:
    why = next(why for name, why in RUNTIMES.items() if runtime.startswith(name))
    reason = f"{why}; the networks' operators are not published with the timings"
    if errors is not None:
        low, high = (f"{error:.0%}" for error in errors)
        reason += f"; by multiply-accumulates alone, families left out are missed by {low if low == high else f'{low} to {high}'}"
    return reason
