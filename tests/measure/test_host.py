import os

import numpy as np

from toolchain.measure import host


def test_the_peak_keeps_what_was_freed():
    before = host.peak_resident_bytes()
    block = np.ones(80_000_000, np.uint8)
    del block
    assert host.peak_resident_bytes() >= max(before, host.resident_bytes())
    assert host.peak_resident_bytes() >= host.resident_bytes() - 1_000_000


def test_facts_name_the_machine_and_the_versions():
    facts = host.facts()
    assert facts.cores == os.cpu_count()
    assert facts.versions["numpy"] == np.__version__
    assert len(facts.versions["toolchain"]) == 64
