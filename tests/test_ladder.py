import msgspec
import numpy as np
import pytest
from c_source.graphs import Net
from conftest import HERE, SHARED, needs_shared, shapes

from toolchain import plots
from toolchain.comparison import Distance
from toolchain.errors import DataError, ModelError
from toolchain.fidelity.findings import Ladder, Rung
from toolchain.ladder import climb, failures, floors
from toolchain.measure.accuracy import Score


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The two small files of tests/data on the images they were made for, compared once; no TensorFlow."""
    x, y = shapes(100)
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / "shapes.npz", x=x, y=y)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECATEUR_CACHE", str(folder / "cache"))
        files = HERE / "data" / "tiny_float32.tflite", [HERE / "data" / "tiny_int8.tflite"]
        return climb(*files, data=str(folder / "shapes.npz"), scale="1/255", examples=40)


def test_every_engine_is_a_rung(tiny):
    assert [(r.file, r.engine) for r in tiny.rungs] == [
        ("tiny_float32.tflite", "model"),
        *(("tiny_int8.tflite", engine) for engine in ("xnnpack", "builtin", "reference", "tflm")),
    ]
    assert tiny.rungs[0].distance.max_difference == 0
    for rung in tiny.rungs[1:]:
        assert rung.reason is None
        assert rung.scheme == "static_w8a8"
        assert rung.distance.sqnr_db > 30
        assert rung.agreement >= 0.8, "untrained: the three outputs are nearly equal"
        assert (rung.score.metric, rung.score.examples) == ("top1", 40)


def test_engines_are_set_side_by_side(tiny):
    pairs = {(d.first, d.second): d for d in tiny.engines}
    assert len(pairs) == 6
    same = pairs["reference", "tflm"]
    assert (same.differing, same.max_steps, same.max_difference, same.values) == (0, 0, 0, 120), "no FULLY_CONNECTED: identical"


def test_the_files_layers_are_all_matched(tiny):
    (file,) = tiny.files
    assert file.examples == 32
    assert [layer.operator for layer in file.layers][1:4] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert file.unmatched == file.unknown == ()
    assert file.notes == ()


def test_random_inputs_beyond_what_calibrated_saturate_the_file(tiny_float, tiny_int8):
    """Uniform noise is brighter than the images that set the ranges."""
    found = climb(tiny_float, [tiny_int8], examples=20)
    assert found.examples == "20 uniform random inputs in [0, 1]"
    assert found.files[0].blame.reason.kind == "saturation"
    assert {r.score for r in found.rungs} == {None}


def test_a_file_with_other_inputs_is_a_rung_with_its_reason(tiny_float, tmp_path):
    net = Net()
    net.operator("RELU", [net.input((1, 5), scale=0.1)], net.output((1, 5), scale=0.1))
    other = net.write(tmp_path / "other.tflite")
    found = climb(tiny_float, [other], examples=4)
    assert {r.reason for r in found.rungs[1:]} == {"takes inputs [[5]], the model [[8, 8, 1]]"}
    assert found.files == ()
    assert [f.engine for f in failures(found, {"sqnr": 1})] == ["xnnpack", "builtin", "reference", "tflm"]


def test_nan_passes_no_floor(tiny):
    with pytest.raises(DataError, match="write MEASURE=NUMBER"):
        floors(["top1=nan"])
    with pytest.raises(DataError, match="write MEASURE=NUMBER"):
        floors(["top1=99"])
    lost = msgspec.structs.replace(tiny.rungs[1], distance=Distance(*[float("nan")] * 4))
    assert failures(msgspec.structs.replace(tiny, rungs=(tiny.rungs[0], lost)), {"sqnr": 1.0})


def test_a_broken_file_is_refused_on_every_engine_and_the_others_are_compared(tiny_float, tiny_int8, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(tiny_int8.read_bytes()[:900])
    found = climb(tiny_float, [broken, tiny_int8], examples=4)
    assert all(r.reason for r in found.rungs if r.file == "broken.tflite")
    assert all(r.distance for r in found.rungs if r.file == "tiny_int8.tflite")


def test_a_crash_of_an_engine_is_a_rung(tiny_float, tiny_int8, monkeypatch):
    """The child aborts while it runs a file, as a segmentation fault in a kernel would end it."""
    from toolchain.worker import Worker

    call = Worker.call

    def killed(self, function, argument, returns, what, limit_s=None):
        if what.endswith("on builtin"):
            function, argument, returns = "worker_jobs:crash", "", str
        return call(self, function, argument, returns, what, limit_s)

    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(Worker, "call", killed)
    found = climb(tiny_float, [tiny_int8], examples=4)
    reasons = {r.engine: r.reason for r in found.rungs}
    assert "SIGABRT" in reasons.pop("builtin")
    assert reasons == dict.fromkeys(("model", "xnnpack", "reference", "tflm"))
    assert found.files[0].layers


def test_what_is_no_model_is_an_error(tmp_path, tiny_int8):
    with pytest.raises(ModelError, match="no such file"):
        climb(tmp_path / "none.tflite", [tiny_int8])


def test_the_plot_is_the_same_for_the_same_numbers(tiny):
    drawn = plots.error_along_depth(tiny)
    assert drawn == plots.error_along_depth(tiny)
    (file,) = tiny.files
    known = [layer for layer in file.layers if layer.level_db is not None]
    assert drawn.count(b'aria-roledescription="point"') >= len(known), "a marker for every layer that is not exact"


class TestFloors:
    def test_by_name(self):
        assert floors(["top1=0.99", "sqnr=20"]) == {"top1": 0.99, "sqnr": 20}

    @pytest.mark.parametrize("text", ["top1", "top1=high", "psnr=3"])
    def test_others_are_refused_with_the_choices(self, text):
        with pytest.raises(DataError, match="top1, sqnr, cosine, accuracy"):
            floors([text])

    def ladder(self, *rungs):
        model = Rung("m.keras", "float32", "keras", "tf", None, Distance(0, 0, None, 1.0), 1.0)
        return Ladder("m.keras", "4 random inputs", (model, *rungs), (), (), (), ())

    def rung(self, engine="xnnpack", **changes):
        return Rung(**{
            "file": "a.tflite", "scheme": "static_w8a8", "engine": engine, "runtime": "litert", "reason": None,
            "distance": Distance(0.1, 0.01, 25.0, 0.999), "agreement": 0.98, "score": Score("top1", 0.9, (0.8, 1), 50), **changes,
        })  # fmt: skip

    def failed(self, *rungs, **wanted):
        return [(f.engine, f.measure, f.found) for f in failures(self.ladder(*rungs), wanted)]

    def test_at_the_floor_is_not_below_it(self):
        assert self.failed(self.rung(), top1=0.98, sqnr=25, cosine=0.999, accuracy=0.9) == []
        below = [("xnnpack", "top1", 0.98), ("xnnpack", "sqnr", 25.0), ("xnnpack", "cosine", 0.999), ("xnnpack", "accuracy", 0.9)]
        assert self.failed(self.rung(), top1=0.99, sqnr=26, cosine=0.9991, accuracy=0.91) == below

    def test_exact_files_pass_and_measures_that_are_missing_fail(self):
        assert self.failed(self.rung(distance=Distance(0, 0, None, 1.0)), sqnr=200) == []
        assert self.failed(self.rung(score=None), accuracy=0.1) == [("xnnpack", "accuracy", None)]

    def test_an_engine_that_refuses_fails_only_a_file_that_no_other_runs(self):
        refused = self.rung("tflm", distance=None, runtime=None, reason="no GELU")
        assert self.failed(self.rung(), refused, sqnr=20) == []
        assert self.failed(refused, sqnr=20) == [("tflm", "sqnr", None)]

    def test_nan_fails(self):
        assert self.failed(self.rung(), self.rung("tflm", distance=None, reason="3 of 9 outputs are NaN"), sqnr=20) == [
            ("tflm", "sqnr", None)
        ]


@pytest.mark.prove
@needs_shared("mlperf_tiny/ic/pretrainedResnet.tflite")
def test_the_official_image_classification_file(tmp_path):
    folder = SHARED / "mlperf_tiny" / "ic"
    found = climb(
        folder / "pretrainedResnet.tflite",
        [folder / "pretrainedResnet_quant.tflite"],
        data=str(SHARED / "cifar10" / "test_a.npz"),
        examples=1000,
    )
    (file,) = found.files
    assert (file.blame.layer, file.blame.reason.kind) == (None, "accumulated")
    assert len(file.layers) == 17
    assert file.unmatched == file.unknown == ()
    assert all(abs(r.score.value - found.rungs[0].score.value) < 0.03 for r in found.rungs)


@pytest.mark.prove
@pytest.mark.tensorflow
@needs_shared("mlperf_tiny/kws/kws_ref_model.keras")
def test_the_official_keyword_file_has_the_weights_of_another_training():
    """Their .tflite is no quantization of their .keras: no layer's weights are the same, though both classify alike."""
    folder = SHARED / "mlperf_tiny" / "kws"
    found = climb(folder / "kws_ref_model.keras", [folder / "kws_ref_model.tflite"], data=str(SHARED / "kws" / "mfcc_a.npz"), examples=200)
    (file,) = found.files
    assert file.blame.layer == "conv2d + batch_normalization + re_lu + dropout"
    assert file.blame.reason.kind == "weights"
    assert "not the model's" in file.blame.reason.text
    assert np.mean([r.score.value for r in found.rungs]) > 0.9
