"""`python -m benchmarks.structural [PART...]`: removal of channels, measured; one file a part in benchmarks/results/.

Parts, with their minutes: engine (2), speed (2), criteria (30), recovery (30, and 30 for the teacher once), recovery_long (30),
peers (20; Torch-Pruning where it is installed). Without arguments, all.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import msgspec

from benchmarks.structural import networks
from toolchain.files import write
from toolchain.measure import host

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("engine", "speed", "criteria", "recovery", "recovery_long", "peers")
UNTRAINED = ("engine", "speed")


def main() -> None:
    """Run the parts named on the command line."""
    for part in sys.argv[1:] or PARTS:
        if part not in UNTRAINED and (reason := networks.missing()):
            print(f"{part}: skipped, {reason}")
            continue
        found = importlib.import_module(f"benchmarks.structural.{part}").run() | {"host": host.facts()}
        write(RESULTS / f"structural_{part}.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        print(f"{part}: wrote benchmarks/results/structural_{part}.json")


main()
