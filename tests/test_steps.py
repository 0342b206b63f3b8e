import pytest

from toolchain.artifact import Artifact
from toolchain.cache import Cache
from toolchain.errors import ModelError
from toolchain.layer_reports import Exported, layer_reports
from toolchain.recipe import load
from toolchain.steps import Run
from toolchain.worker import silent


class Failing:
    """A worker in whose process the comparison goes wrong, but not what needs no model."""

    def __init__(self, error):
        self.error = error

    def call(self, function, argument, returns, what, limit_s=None):
        if argument.compared:
            raise self.error
        return layer_reports(argument, silent)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ModelError("layers: the process crashed (SIGABRT)"), "layers: the process crashed (SIGABRT)"),
        (RuntimeError("layers failed in its process:\nTraceback ...\nValueError: odd shape"), "ValueError: odd shape"),
    ],
)
def test_what_goes_wrong_with_layers_does_not_lose_the_run(error, why, tiny_float, tiny_int8):
    run = Run(Artifact.of(tiny_float), load("static_w8a8"), None, False, 60.0, Cache(), Failing(error))
    found = run.layers([Exported("a.tflite", tiny_int8, tiny_float)])
    assert [row.macs for row in found["a.tflite"]][:3] == [2304, 1296, 432]
    assert [(row.step, row.reason) for row in run.skipped] == [("layers", why)]
    assert [step.name for step in run.steps] == ["layers"]


def test_without_a_tflite_there_is_no_such_step(tiny_float):
    run = Run(Artifact.of(tiny_float), load("static_w8a8"), None, False, 60.0, Cache(), Failing(AssertionError("not called")))
    assert run.layers([]) == {}
    assert run.steps == []
