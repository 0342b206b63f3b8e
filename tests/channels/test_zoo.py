"""Published architectures, six unequal masks each, in both Kerases."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import zoo
from conformity import check_exact, random_plan

from toolchain.channels import ChannelGraph
from toolchain.channels.plan import compare

pytestmark = [pytest.mark.tensorflow, pytest.mark.prove]


@pytest.mark.parametrize("name", list(zoo.large(__import__("keras"))))
def test_a_published_architecture_is_pruned_exactly(keras, name):
    keras.backend.clear_session()
    model = zoo.large(keras)[name]()
    zoo.randomize(model, 1)
    graph = ChannelGraph(model)
    allowed = ("an output of the model", "its statistics would change; inexact = true prunes it")
    if name == "ConvNeXtTiny":  # its LayerScale lies on a residual that LayerNormalization freezes anyway
        allowed = (*allowed, "it is combined with values whose channels are not followed")
    assert all(row.reason.endswith(allowed) for row in graph.frozen), graph.frozen
    plan = check_exact(graph, 0)
    assert compare(model, plan.masked()) > 1e-3
    for seed in range(1, 6):
        random_plan(graph, seed).apply()  # compares itself with the masked original to 1e-5
