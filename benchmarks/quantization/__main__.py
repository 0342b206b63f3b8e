"""`python -m benchmarks.quantization [PART...]`: int8 quantization, measured; one file a part in benchmarks/results/.

Parts, with their minutes: tiny (2), spread_ranges (3, and 25 to train the networks once), peers (2), cost (2). Without
arguments, all. `python -m benchmarks.quantization.table` prints what was found as the README has it.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import msgspec

from benchmarks.structural.networks import missing
from toolchain.files import write
from toolchain.measure import host

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("tiny", "spread_ranges", "peers", "cost")


def main() -> None:
    """Run the parts named on the command line."""
    for part in sys.argv[1:] or PARTS:
        if reason := missing():
            print(f"{part}: skipped, {reason}")
            continue
        found = importlib.import_module(f"benchmarks.quantization.{part}").run() | {"host": host.facts()}
        write(RESULTS / f"quantization_{part}.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        print(f"{part}: wrote benchmarks/results/quantization_{part}.json")


if __name__ == "__main__":
    main()
