"""What the engine itself costs: the analysis of a network, the smaller network, and the check that it computes the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from toolchain.channels import ChannelGraph
from toolchain.channels.rebuild import Rebuilt

ROUNDS = 3


def run() -> dict[str, Any]:
    """Seconds, the shortest of `ROUNDS`, for published architectures with 10 classes in Keras 3."""
    import keras

    settings: dict[str, Any] = {"weights": None, "classes": 10}
    networks: dict[str, Callable[[], Any]] = {
        "MobileNetV2 0.35 @96": lambda: keras.applications.MobileNetV2((96, 96, 3), 0.35, **settings),
        "ResNet50 @224": lambda: keras.applications.ResNet50(input_shape=(224, 224, 3), **settings),
        "ConvNeXtTiny @224": lambda: keras.applications.ConvNeXtTiny(input_shape=(224, 224, 3), **settings),
    }
    return {"seconds": {name: _measure(build()) for name, build in networks.items()}}


def _measure(model: Any) -> dict[str, float]:
    plan = ChannelGraph(model).plan(0.5, criterion="l2", scope="layer")
    return {
        "analysis": _shortest(lambda: ChannelGraph(model)),
        "rebuild": _shortest(lambda: Rebuilt(plan.graph, plan.graph.alive(plan.dead))),
        "rebuild_and_check": _shortest(plan.apply),
    }


def _shortest(work: Callable[[], Any]) -> float:
    durations = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begun)
    return round(min(durations), 3)
