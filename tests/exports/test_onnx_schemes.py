"""Every scheme of the ONNX export: written, compared, and refused where the settings make no sense."""

import msgspec
import numpy as np
import pytest
from conftest import SHARED, needs_shared, tiny_model
from quantizable import NETWORKS, application
from quantizable import build as network_of

from toolchain.errors import RecipeError, StageError
from toolchain.exports.onnx import Onnx
from toolchain.measure.fidelity import Fidelity
from toolchain.onnx_file import OnnxFile
from toolchain.quantization.onnx_schemes import computed_in_float, float_kernels, rounded
from toolchain.settings import build
from toolchain.tflite_file import TfliteFile

pytestmark = pytest.mark.tensorflow


def write(export, model_path, tmp_path, context):
    if export.source:
        source = tmp_path / export.source.name
        if not source.exists():
            write(export.source, model_path, tmp_path, context)
        context = msgspec.structs.replace(context, source=source)
    outcome = export.run(model_path, tmp_path / export.name, context)
    return tmp_path / export.name, outcome


def operators(path):
    return [node.op_type for node in __import__("onnx").load(path).graph.node]


@pytest.fixture
def model_path(tmp_path):
    import keras

    tiny_model(keras).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_every_scheme_is_written_and_compared(model_path, tmp_path, context):
    expected = {
        "float16": (Onnx(scheme="float16"), 5e-3),
        "dynamic_w8": (Onnx(scheme="dynamic_w8"), 0.05),
        "dynamic_w8_per_tensor": (Onnx(scheme="dynamic_w8", granularity="per_tensor"), 0.05),
        "weight_only_w8": (Onnx(scheme="weight_only_w8"), 0.05),
        "weight_only_w8_per_tensor": (Onnx(scheme="weight_only_w8", granularity="per_tensor"), 0.05),
        "static_w8a8_per_tensor": (Onnx(scheme="static_w8a8", granularity="per_tensor"), 0.15),
        "static_w8a8_symmetric_percentile_99_5": (
            Onnx(scheme="static_w8a8", activations="symmetric", ranges="percentile", percentile=99.5),
            0.3,
        ),
        "static_w8a8_entropy": (Onnx(scheme="static_w8a8", ranges="entropy"), 0.3),
        "static_w8a16": (Onnx(scheme="static_w8a16"), 0.05),
        "int8_from_tflite_symmetric": (Onnx(scheme="int8_from_tflite", activations="symmetric"), 0.15),
    }
    for name, (export, tolerance) in expected.items():
        path, outcome = write(export, model_path, tmp_path, context)
        assert path.name == f"{name}.onnx"
        assert msgspec.convert(outcome.details["fidelity"], Fidelity).max_error <= tolerance, name
        assert OnnxFile.read(path).scheme == {"int8_from_tflite": "static_w8a8"}.get(export.scheme, export.scheme)
        assert ("bit for bit" in outcome.examples) == (export.scheme == "int8_from_tflite")
    integers, source = tmp_path / "int8_from_tflite_symmetric.onnx", tmp_path / "static_w8a8_symmetric.tflite"
    assert OnnxFile.read(integers).nonzero_parameters == TfliteFile.read(source).nonzero_parameters
    assert float_kernels(tmp_path / "weight_only_w8.onnx") == []
    assert len(float_kernels(tmp_path / "float32.onnx")) == 4, "conv, depthwise, point and dense"
    assert "Conv" not in operators(tmp_path / "dynamic_w8.onnx")
    assert operators(tmp_path / "int8_from_tflite_symmetric.onnx").count("QLinearConv") == 4


def test_what_a_static_file_computes_in_float_is_listed(tmp_path, context):
    import keras

    image = keras.Input((8, 8, 1))
    x = keras.ops.sin(keras.layers.Conv2D(2, 3, name="conv")(image))
    keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x))).save(tmp_path / "model.keras")
    path, outcome = write(Onnx(scheme="static_w8a8"), tmp_path / "model.keras", tmp_path, context)
    assert [found.split()[0] for found in computed_in_float(path)] == ["Sin"]
    assert [(note.what.split()[0], note.reason) for note in outcome.notes] == [("Sin", "no quantizers around it: computes in float32")]


def test_weights_are_rounded_along_their_own_axis():
    """Scales are max |w| / 127 along the axis: 1.27 / 127 = 0.01 and 254 / 127 = 2."""
    weights = np.array([[1.27, 254.0], [-0.504, 3.0]], np.float32)
    stored, scales, axis = rounded(weights, 1, per_tensor=False)
    assert np.allclose(scales, [0.01, 2])
    assert (stored.tolist(), axis) == ([[127, 127], [-50, 2]], 1)
    stored, scale, axis = rounded(weights, 1, per_tensor=True)
    assert (stored.tolist(), float(scale), axis) == ([[1, 127], [0, 2]], 2.0, None)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"scheme": "weight_only_w4"}, 'no int4.*choose "weight_only_w8"'),
        ({"scheme": "float16", "granularity": "per_tensor"}, "float16 has no scales"),
        ({"scheme": "dynamic_w8", "ranges": "entropy"}, "ranges belongs to static_w8a8, static_w8a16, int8_from_tflite"),
        ({"scheme": "float32", "activations": "symmetric"}, "activations belongs to static_w8a8"),
        ({"scheme": "static_w8a8", "ranges": "mse"}, 'or choose scheme = "int8_from_tflite"'),
        ({"scheme": "static_w8a16", "ranges": "entropy"}, "at 8 bits"),
        ({"scheme": "static_w8a8", "percentile": 99.9}, 'percentile belongs to ranges = "percentile"'),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, why):
    with pytest.raises(RecipeError, match=why):
        build(Onnx, settings, "export", RecipeError)


SCHEMES = ("float32", "float16", "dynamic_w8", "weight_only_w8", "static_w8a8", "static_w8a16", "int8_from_tflite")
LARGE = {"MobileNet": 0.25, "MobileNetV2": 0.35}


@pytest.mark.prove
@pytest.mark.parametrize("network", [*NETWORKS, *LARGE, pytest.param("resnet8", marks=needs_shared("mlperf_tiny/ic/pretrainedResnet.h5"))])
def test_every_scheme_runs_on_every_network_or_says_why_not(tmp_path, context, network):
    import keras

    path = SHARED / "mlperf_tiny/ic/pretrainedResnet.h5" if network == "resnet8" else tmp_path / "model.keras"
    if network in LARGE:
        application(keras, network, 96, alpha=LARGE[network]).save(path)
    elif network != "resnet8":
        network_of(network, keras).save(path)
    limits = (0.0, 255.0) if network == "resnet8" else (-1.0, 1.0)
    context = msgspec.structs.replace(context, data=None, synthetic=limits)
    for scheme in SCHEMES:
        if scheme == "int8_from_tflite" and network in ("gru", "lstm"):
            with pytest.raises(StageError, match=r"WHILE .*loop.*unroll=True"):
                write(Onnx(scheme=scheme), path, tmp_path, context)
            continue
        file, outcome = write(Onnx(scheme=scheme), path, tmp_path, context)
        assert outcome.details["fidelity"]["mean_error"] < 0.05, scheme
        OnnxFile.read(file)
