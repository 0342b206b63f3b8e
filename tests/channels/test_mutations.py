"""Deliberate bugs in the rules: every one must be caught by the small networks, or the test of exactness proves nothing."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import zoo
from conformity import check_exact

from toolchain.channels import ChannelGraph, graph, probes, rebuild, rules
from toolchain.channels.labels import Atoms

pytestmark = [pytest.mark.tensorflow, pytest.mark.prove]


def without_slots(role, layer):
    real = ChannelGraph.slot

    def slot(self, site, weight, axis, labels, given):
        if not (given == role and type(site.layer).__name__ == layer):
            real(self, site, weight, axis, labels, given)

    return ChannelGraph, "slot", slot


def reversed_labels(layer, role):
    real = ChannelGraph.slot

    def slot(self, site, weight, axis, labels, given):
        real(self, site, weight, axis, labels[::-1] if given == role and type(site.layer).__name__ == layer else labels, given)

    return ChannelGraph, "slot", slot


def merges_do_not_unite(graph, node, ins, shapes):
    return ins[0]


def tiled_instead_of_repeated(array, times):
    return np.tile(array, times)


def no_tie(self, vector, parts):
    return None


def never_rescaled(self, site, weight, labels):
    return None


def gates_in_blocks(array, times):
    return np.repeat(array, times)


class Mixed:
    """numpy with one function replaced."""

    def __init__(self, **functions):
        self.functions = functions

    def __getattr__(self, name):
        return self.functions.get(name) or getattr(np, name)


MUTATIONS = {
    "a bias that is not sliced": (without_slots("along", "Dense"), "sequential"),
    "a normalization in reversed order": (reversed_labels("BatchNormalization", "along"), "residual"),
    "a kernel read in reversed order": (reversed_labels("Conv2D", "in"), "residual"),
    "a kernel made in reversed order": (reversed_labels("Dense", "out"), "sequential"),
    "sums whose sides are pruned apart": ((probes, "merged", merges_do_not_unite), "residual"),
    "depthwise multiples in the wrong order": ((rules, "np", Mixed(repeat=tiled_instead_of_repeated)), "depthwise_and_separable"),
    "groups of a convolution that lose different channels": ((ChannelGraph, "tie", no_tie), "grouped_resnext"),
    "gates of an LSTM interleaved": ((rules, "np", Mixed(tile=gates_in_blocks)), "text_lstm"),
    "attention that keeps its scale": ((ChannelGraph, "rescale", never_rescaled), "transformer"),
    "heads in reversed order": (reversed_labels("MultiHeadAttention", "in"), "transformer"),
    "states that are not the units": ((Atoms, "unite", lambda self, first, second: None), "encoder_decoder_states"),
    "outputs that are pruned": ((graph.Atoms, "freeze", lambda self, labels, reason: None), "sequential"),
    "slices at the old places": ((rebuild.Rebuilt, "_changes", lambda self: False), "csp_slices"),
}


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_a_deliberate_bug_is_caught(keras, monkeypatch, name):
    (owner, attribute, bug), network = MUTATIONS[name]
    model = zoo.small(keras)[network]()
    zoo.randomize(model, 1)
    check_exact(ChannelGraph(model), 0)
    monkeypatch.setattr(owner, attribute, bug)
    with pytest.raises(Exception):  # noqa: B017, PT011 (a wrong graph may fail in any layer, or in the comparison)
        for seed in range(6):
            check_exact(ChannelGraph(model), seed)
