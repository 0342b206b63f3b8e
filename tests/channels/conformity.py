"""What every pruned network must satisfy, for one random set of dead channels."""

from __future__ import annotations

import numpy as np

from toolchain.channels import ChannelGraph, Plan
from toolchain.channels.plan import compare


def random_plan(graph: ChannelGraph, seed: int) -> Plan:
    """Another number of channels from each group; symmetric masks would hide a wrong order."""
    rng = np.random.default_rng(seed)
    dead: list[int] = []
    for group in graph.groups:
        count = int(rng.integers(0, len(group.classes)))
        dead += rng.permutation(group.classes)[:count].tolist()
    return Plan(graph, dead)


def check_exact(graph: ChannelGraph, seed: int) -> Plan:
    """The smaller model equals the masked one, and nobody reads what dead channels compute."""
    plan = random_plan(graph, seed)
    smaller, masked = plan.apply(), plan.masked()
    assert compare(masked, smaller, seed + 100) <= 1e-5
    assert compare(masked, plan.masked(np.random.default_rng(seed)), seed + 200) <= 1e-6
    assert smaller.count_params() == plan.params_after
    assert plan.macs_after <= plan.macs_before
    return plan
