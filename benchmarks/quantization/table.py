"""`python -m benchmarks.quantization.table`: what was found, as the README has it. Nothing in it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
FAMILIES = {"mobilenet_v2": "MobileNetV2 style", "mobilenet_v3": "MobileNetV3 style", "efficientnet": "EfficientNet style"}


def main() -> None:
    """Print a table for each part that has results."""
    for part, rows in {"tiny": tiny, "spread_ranges": spread_ranges, "peers": peers, "cost": cost}.items():
        path = RESULTS / f"quantization_{part}.json"
        if path.exists():
            print("\n".join(rows(json.loads(path.read_bytes()))), end="\n\n")


def tiny(found: dict[str, Any]) -> Iterable[str]:
    """MLPerf Tiny: every file of each model against the float model."""
    yield from _head("MLPerf Tiny", "float", "official int8", "plain int8", "automatic", "taken")
    for name, model in found["models"].items():
        rows = model["rows"]
        files = [rows[what] for what in ("float", "official int8", "plain", model["chosen"])]
        if "top1" in files[0]:
            yield _row(name, *(f"{row['top1']:.2%}" for row in files), model["chosen"])
        else:
            yield _row(f"{name}, squared error", "0", *(f"{row['mse']:.2g}" for row in files[1:]), model["chosen"])


def spread_ranges(found: dict[str, Any]) -> Iterable[str]:
    """Networks with spread channels: what plain quantization leaves, and what is won back."""
    yield from _head(f"channels spread over {found['octaves']} octaves", "float", "plain before", "plain int8", "automatic", "taken")
    for name, model in found["models"].items():
        rows = model["rows"]
        shares = (model["float"], model["plain_before"]["top1"], rows["plain"]["top1"], rows[model["chosen"]]["top1"])
        yield _row(FAMILIES[name], *(f"{share:.2%}" for share in shares), model["chosen"])


def peers(found: dict[str, Any]) -> Iterable[str]:
    """Whose int8 file is how right, large and fast."""
    yield from _head("int8 of", "by", "top-1", "bytes", "p50 ms", "seconds to make")
    for name, rows in found["models"].items():
        for by, row in rows.items():
            yield _row(name, by, f"{row['top1']:.2%}", f"{row['bytes']:,}", f"{row['p50_ms']:.3f}", f"{row['seconds']:.1f}")


def cost(found: dict[str, Any]) -> Iterable[str]:
    """Seconds and memory of an export; what the frameworks hold before is left out."""
    models = found["models"]
    yield from _head("export", *(f"{name}: {what}" for name in models for what in ("s", "MB")))
    for export in next(iter(models.values())):
        cells = []
        for rows in models.values():
            row = rows[export]
            cells += (
                ["refused", ""] if "refused" in row else [f"{row['seconds']:.1f}", f"{(row['peak_bytes'] - row['base_bytes']) / 1e6:.0f}"]
            )
        yield _row(f"`{export}`", *cells)


def _head(*cells: str) -> list[str]:
    return [_row(*cells), _row(*("---" for _ in cells))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
