import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toolchain import losses
from toolchain.channels import ChannelGraph
from toolchain.channels.criteria import CRITERIA, Evidence, Scoring, scores
from toolchain.errors import StageError
from toolchain.task import Task

pytestmark = pytest.mark.tensorflow

KERNEL = np.array([[3.0, 0.0, 1.0], [4.0, 2.0, 0.0]], np.float32)  # two inputs, three channels
READ = np.array([[1.0], [2.0], [0.5]], np.float32)


@pytest.fixture
def graph(keras):
    """2 -> 3 (relu) -> 1, weights as above."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, activation="relu", use_bias=False), keras.layers.Dense(1, use_bias=False)]
    )
    model.set_weights([KERNEL, READ])
    return ChannelGraph(model)


INPUTS = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]], np.float32)
HIDDEN = np.maximum(INPUTS @ KERNEL, 0)


def raw(graph, criterion, evidence=None):
    found = scores(graph, criterion, Scoring(normalization="none"), 0, evidence)
    return [found[number] for number in graph.groups[0].classes]


def test_each_criterion_by_hand(graph):
    evidence = Evidence(graph, INPUTS)
    assert raw(graph, "l1") == [7, 2, 1]
    assert raw(graph, "l2") == [5, 2, 1]
    distances = [np.sqrt(13) + np.sqrt(20), np.sqrt(13) + np.sqrt(5), np.sqrt(20) + np.sqrt(5)]
    assert raw(graph, "fpgm") == pytest.approx(distances, rel=1e-5)
    assert raw(graph, "activation_mean", evidence) == pytest.approx(HIDDEN.mean(0).tolist())
    assert raw(graph, "apoz", evidence) == [0.5, 0.25, 0.25]
    level = np.quantile(HIDDEN, 0.9)
    assert raw(graph, "quantile", evidence) == (level < HIDDEN).mean(0).tolist()
    assert raw(graph, "contribution", evidence) == pytest.approx((HIDDEN.std(0) * READ[:, 0]).tolist(), rel=1e-5)
    assert raw(graph, "random") == raw(graph, "random")


def test_taylor_by_hand(graph):
    labels = np.array([[1.0], [0.0], [0.0], [0.0]], np.float32)
    evidence = Evidence(graph, INPUTS, labels, losses.label_loss(Task.REGRESSION, False))
    error = 2 * (HIDDEN @ READ - labels) / 4  # d mean squared error / d output
    gradient = INPUTS.T @ (error @ READ.T * (HIDDEN > 0))
    assert raw(graph, "taylor", evidence) == pytest.approx(((KERNEL * gradient).sum(0) ** 2).tolist(), rel=1e-4)


def test_gamma_of_the_normalization_that_follows(keras):
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(3, 1), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)])
    model.layers[1].set_weights([np.array(v, np.float32) for v in ([0.5, -2.0, 1.0], [0, 0, 0], [0, 0, 0], [1, 1, 1])])
    graph = ChannelGraph(model)
    assert raw(graph, "bn_gamma") == [0.5, 2.0, 1.0]


def test_normalization_makes_groups_comparable_and_l2_speaks_where_a_criterion_is_silent(graph):
    found = scores(graph, "l2", Scoring(normalization="mean"), 0)
    assert np.mean([found[n] for n in graph.groups[0].classes]) == pytest.approx(1.0)
    assert raw(graph, "bn_gamma") == raw(graph, "l2")


def test_what_is_missing_is_said(graph):
    with pytest.raises(StageError, match=r"no 'l3' in criteria; choose from l1, l2, random"):
        raw(graph, "l3")
    with pytest.raises(StageError, match="needs data"):
        raw(graph, "apoz")
    with pytest.raises(StageError, match="taylor needs labelled data"):
        raw(graph, "taylor", Evidence(graph, INPUTS))
    assert all(function.__doc__ for function in CRITERIA.values())


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("how", "expected"), [("none", [3, 2, 1]), ("mean", [1.5, 1, 0.5]), ("max", [1, 2 / 3, 1 / 3]), ("share", [1, 2 / 5, 1 / 6])]
)
def test_scores_are_made_comparable_by_hand(keras, how, expected):
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, use_bias=False), keras.layers.Dense(1)])
    net.layers[-2].set_weights([np.array([[-3.0, 2.0, 1.0]])])
    graph = ChannelGraph(net)
    found = scores(graph, "l1", Scoring(normalization=how), 0)
    assert [found[number] for number in graph.groups[0].classes] == pytest.approx(expected)
