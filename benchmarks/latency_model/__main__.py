"""`python -m benchmarks.latency_model [--data DIR] [--out DIR]`: fit latency profiles to published measurements; half a minute.

Writes targets/profiles/ENGINE-VERSION/CORE.json, benchmarks/results/latency_model.json and the tables of docs/latency.md.
The data are `published/*.csv` and `models_for_calibration/*.tflite`, by default in `../shared/data` beside the repository; what
is written goes into the repository, or into a copy of its folders. A second run writes the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the matrices are small


from benchmarks.latency_model import checks, judge, phones, profiles, tables
from benchmarks.latency_model.checks import Check
from benchmarks.latency_model.profiles import Calibration, digits
from benchmarks.latency_model.rows import read, read_operators
from benchmarks.latency_model.written import json_bytes, replace_tables
from toolchain.files import write
from toolchain.latency.profile import Profile

ROOT = Path(__file__).parents[2]
FEW = ("mobilenet v1 0.25 96x96x3", "resnet v1 8 32x32x3")
"""A large profile is cut down to the two networks that MLPerf Tiny also has, to see what a profile of few rows is worth."""


def main() -> int:
    """Run the calibration; 2 where there are no data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency_model")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT)
    data, out = (arguments := parser.parse_args()).data, arguments.out
    if not (data / "published" / "mcu_results.csv").is_file():
        print(f"no published/mcu_results.csv in {data}: give the folder of the measurements with --data", file=sys.stderr)
        return 2
    rows, excluded = read(data)
    groups = (
        profiles.calibrate([row for row in rows if row.core != "cortex-a7"], "network"),
        profiles.calibrate([row for row in rows if row.core == "cortex-a7"], "network"),
        profiles.calibrate(read_operators(data), "operator"),
    )
    accepted: list[Profile] = []
    reasons: dict[str, str] = {}
    for group in groups:
        for name in profiles.names(group):
            if reason := profiles.refusal(group, name):
                reasons[name] = reason
            else:
                accepted.append(profiles.profile(group, name))
    folder = out / "targets" / "profiles"
    for each in accepted:
        path = folder / f"{each.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, json_bytes(each))
    for path in set(folder.glob("*/*.json")) - {folder / f"{each.name}.json" for each in accepted}:
        path.unlink()
    setups = phones.refused(data)
    found = _checks(groups)
    write(out / "benchmarks" / "results" / "latency_model.json", json_bytes(_results(groups, accepted, reasons, setups, excluded, found)))
    document = out / "docs" / "latency.md"
    blocks = {
        "checks": tables.checks(found),
        "profiles": tables.profiles(accepted),
        "extremes": tables.extremes(accepted),
        "networks refused": tables.networks_refused(groups[:1]),
        "refused": tables.refused(reasons, setups),
        "excluded": tables.excluded(excluded),
    }
    write(document, replace_tables(document.read_text(), blocks).encode())
    print(f"wrote {len(accepted)} profiles, {len(reasons)} refused")
    return 0


def _checks(groups: tuple[Calibration, ...]) -> dict[str, Check]:
    microcontrollers, _, pico = groups
    rows, choice = microcontrollers.rows, microcontrollers.choice
    few = judge.thinned(rows, choice.spread, "x-cube-ai-8.1.0/cortex-m7", FEW)
    boards = judge.leave_boards_out(rows, choice.spread)
    return {
        "families of networks left out of all microcontrollers": _families_out(microcontrollers),
        "sizes of image left out of the Pico's operators": _families_out(pico),
        "a large profile cut down to two networks": checks.check(few, lambda _: choice.z),
        "a board estimated from the other one": checks.check(boards, lambda _: choice.z),
    }


def _families_out(group: Calibration) -> Check:
    return checks.check(group.families_out, lambda each: group.choices[each.row.family].z)


def _results(
    groups: tuple[Calibration, ...],
    accepted: list[Profile],
    reasons: dict[str, str],
    setups: list[phones.Refused],
    excluded: dict[str, int],
    found: dict[str, Check],
) -> dict[str, object]:
    return {
        "checks": found,
        "profiles": {each.name: each.errors for each in accepted},
        "refused_profiles": reasons,
        "refused_phones": setups,
        "excluded_rows": excluded,
        "settings": [
            {
                "profiles": profiles.names(group),
                "chosen": group.choice.name,
                "spread": group.posterior.spread,
                "interval_z": digits(group.z),
                "chosen_without_family": {family: [choice.name, digits(choice.z)] for family, choice in group.choices.items()},
                "candidates": {
                    name: [digits(judge.score(held)), digits(judge.mape(held) or 0)] for name, held in group.choice.candidates.items()
                },
            }
            for group in groups
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
