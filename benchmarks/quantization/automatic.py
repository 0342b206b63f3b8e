"""The recipe that tries plain quantization first and then more, run as a user runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolchain import pipeline
from toolchain.data import DataSettings
from toolchain.report import Report

RECIPE = "static_w8a8_auto"


def quantized(model: Path, data: Path, settings: DataSettings, out: Path, changes: Sequence[str] = ()) -> Report:
    """The report of a run; its files lie in `out`."""
    scaling = [f'data.scale="{settings.scale}"', f"data.offset={settings.offset}"]
    return pipeline.run(RECIPE, model=model, data=str(data), out=out, changes=[*scaling, *changes])


def attempts(found: Report) -> list[dict[str, Any]]:
    """Every attempt in its order: what it lost on the validation split, its top-1 on the test split, and why it gave no file."""
    measured = {row.name: row for row in found.artifacts}
    return [
        {
            "attempt": one.name,
            "file": one.artifact,
            "stages": list(one.stages),
            "seconds": one.seconds,
            "metric": one.metric,
            "validation_drop": one.drop,
            "chosen": one.chosen,
            **({"reason": one.reason} if one.artifact is None else {"test": measured[one.artifact].accuracy}),
        }
        for one in found.attempts
    ]


def chosen(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """The attempt whose file is shipped."""
    return next(one for one in tried if one["chosen"])
