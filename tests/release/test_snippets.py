import ast
import os
import re
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from conftest import shapes
from micro_stub import HEADERS
from released import HOSTILE, hostile, manifest_of, measured, model_of

from toolchain.c_source.package import Package
from toolchain.c_source.program import compile_file
from toolchain.emulator import EmulatorResult
from toolchain.guests.compiler import build
from toolchain.release import c_array, snippets
from toolchain.release.manifest import Golden, ModelFile, OperatorFacts, TensorFacts
from toolchain.release.templates import c_string, kotlin_string
from toolchain.report import TargetReport
from toolchain.runners.litert import LiteRT

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")


def golden(tolerance=1.0):
    return Golden(
        ("golden/m.input_0.npy",),
        ("golden/m.output_0.npy",),
        3,
        "litert 2 reference",
        0.0,
        tolerance,
        "other kernels round by one step",
        3,
        3,
    )


def bundle(folder, path, model, manifest, inputs, outputs):
    """The part of a bundle that the script reads; its path has a blank and an umlaut."""
    root = folder / "a bündle"
    for name in ("models", "golden", "examples"):
        (root / name).mkdir(parents=True)
    shutil.copyfile(path, root / model.path)
    np.save(root / "golden" / "m.input_0.npy", inputs)
    np.save(root / "golden" / "m.output_0.npy", outputs)
    script = root / "examples" / f"{snippets.script(model)}.py"
    script.write_bytes(snippets.python(model, manifest))
    return script


def run(script, *arguments):
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False, cwd=script.parent.parent)


@pytest.fixture(params=["tiny_int8", "tiny_float"])
def tflite(request, tmp_path):
    """A script, the runner of its file, and golden arrays."""
    path = request.getfixturevalue(request.param)
    model = model_of(path, golden=golden(1.0 if request.param == "tiny_int8" else 1e-6))
    runner = LiteRT(path)
    inputs = runner.quantize([shapes(3)[0].astype(np.float32) / 255])[0]
    return bundle(tmp_path, path, model, manifest_of(model), inputs, runner.predict_raw([inputs])), runner


def test_python_reproduces_the_golden_answers(tflite):
    script, _ = tflite
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert "largest difference of a stored value: 0;" in done.stdout
    assert done.stdout.count("golden example") == 3


@pytest.mark.parametrize("wrong", [2, np.nan])
def test_python_says_where_answers_differ(tflite, wrong):
    script, _ = tflite
    path = script.parent.parent / "golden" / "m.output_0.npy"
    outputs = np.load(path).astype(np.float64)
    outputs[1, 0] += wrong
    np.save(path, outputs)
    done = run(script)
    assert done.returncode == 1
    assert re.search(r"largest difference of a stored value: (2|2\.\d+|nan); ", done.stdout)


def test_python_normalizes_an_example_of_the_data_set(tflite, tmp_path):
    script, runner = tflite
    example = shapes(1, seed=5)[0][0]
    np.save(tmp_path / "example.npy", example)
    answers = runner.predict([example[None].astype(np.float32) / 255])[0]
    done = run(script, tmp_path / "example.npy")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{('cat', 'dog', 'owl')[answers.argmax()]} ({answers.max():.4f})\n"


def test_python_without_golden_examples_asks_for_one(tiny_int8, tmp_path):
    model = model_of(tiny_int8)
    script = bundle(tmp_path, tiny_int8, model, manifest_of(model, data=None), np.zeros(1), np.zeros(1))
    done = run(script)
    assert done.returncode == 1
    assert "give an example" in done.stderr
    assert "not stated" in script.read_text()


@pytest.mark.parametrize("integer", [True, False])
def test_python_runs_onnx(tmp_path, integer):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.INT8 if integer else onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Softmax", ["a"], ["b"])]
    if integer:
        nodes = [
            helper.make_node("DequantizeLinear", ["x", "s", "z"], ["a"]),
            *nodes,
            helper.make_node("QuantizeLinear", ["b", "s", "z"], ["y"]),
        ]
    names = ("x", "y") if integer else ("a", "b")
    constants = [helper.make_tensor("s", onnx.TensorProto.FLOAT, [], [1 / 64]), helper.make_tensor("z", onnx.TensorProto.INT8, [], [-3])]
    ports = [helper.make_tensor_value_info(name, kind, [1, 3]) for name in names]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants if integer else [])
    path = tmp_path / "static_w8a8.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    dtype, scale, zero = ("int8", 1 / 64, -3) if integer else ("float32", None, None)
    tensors = [TensorFacts(name, (1, 3), dtype, scale, zero) for name in names]
    facts = measured(path.name, "static_w8a8", "0", 1)
    model = ModelFile(
        f"models/{path.name}",
        "onnx",
        "static_w8a8",
        "0",
        (tensors[0],),
        (tensors[1],),
        (OperatorFacts("Softmax", 17, 1),),
        None,
        golden(),
        facts,
    )
    inputs = np.array([[1, 2, 3], [60, 0, -60], [5, 5, 5]], dtype)
    real = (inputs.astype(np.float64) + 3) / 64 if integer else inputs.astype(np.float64)
    answers = np.exp(real) / np.exp(real).sum(-1, keepdims=True)
    outputs = (np.round(answers * 64) - 3 if integer else answers).astype(dtype)
    done = run(bundle(tmp_path, path, model, manifest_of(model), inputs, outputs))
    assert done.returncode == 0, done.stderr + done.stdout
    assert snippets.c(model, manifest_of(model)) is None
    assert snippets.kotlin(model, manifest_of(model)) is None


def numbers(text):
    """The answers that a C program printed, and the labels beside them."""
    rows = [line.split(maxsplit=1) for line in text.splitlines()]
    return np.array([float(row[0]) for row in rows], np.float32), [row[1] for row in rows if len(row) > 1]


def test_c_with_the_package_answers_as_the_reference(tiny_int8, tmp_path, compiled_once):
    pytest.importorskip("ziglang")
    model = model_of(tiny_int8)
    made = Package(compile_file(tiny_int8), "tiny")
    made.write(tmp_path)
    suffix, program = snippets.c(model, manifest_of(model), made.name)
    kept = [f"{made.name}.c", *made.kernels]
    sources = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".h" or path.name in kept} | {
        f"run{suffix}": program
    }
    binary = build(["-std=c99", "-O1", *STRICT, "-Wconversion", f"run{suffix}", *kept, "-lm"], sources, "run")
    examples = shapes(4, seed=7)[0]
    done = subprocess.run([binary], input=" ".join(map(str, examples.ravel())), text=True, capture_output=True, check=True)
    values, names = numbers(done.stdout)
    expected = LiteRT(tiny_int8, kernels="reference").predict([examples.astype(np.float32) / 255])
    assert np.array_equal(values.reshape(4, 3), expected)
    assert names == ["cat", "dog", "owl"] * 4


@pytest.mark.prove
def test_c_for_micro_compiles_against_its_api_and_prepares_its_input(tiny_int8, compiled_once):
    pytest.importorskip("ziglang")
    result = EmulatorResult(emulator="tflm", how="executed", status="ok", reason=None, arena_bytes=3000)
    model = model_of(tiny_int8)
    facts = msgspec.structs.replace(model.measurements, targets=(TargetReport("b", True, (), 1, 1, (result,)),))
    model = msgspec.structs.replace(model, measurements=facts)
    suffix, program = snippets.c(model, manifest_of(model, labels=HOSTILE[:3]))
    assert b"kArenaBytes = 3760;" in program  # 3000 * 1.25, rounded up to 16
    array = c_array.sources("tiny_int8", tiny_int8.read_bytes(), model.inputs, model.outputs)
    stubs = {name.replace("/", "_"): text.encode() for name, text in HEADERS.items()}
    included = {f"run{suffix}": _flat(program), **{name: _flat(text) for name, text in stubs.items()}, **array}
    binary = build(["-O0", *STRICT, f"run{suffix}", "tiny_int8.c"], included, "run")
    example = np.arange(64) * 4
    done = subprocess.run([binary], input=" ".join(map(str, example)), capture_output=True, check=True, text=True)
    values, _ = numbers(done.stdout.split("\n", 1)[0] + "\n")
    assert values == pytest.approx([(0 + 128 - 128) * model.outputs[0].scale])
    assert HOSTILE[0] in done.stdout


def _flat(source):
    """With the headers of one folder: sources of the compiler have no folders."""
    return re.sub(rb'"(tensorflow/[^"]*)"', lambda found: b'"' + found[1].replace(b"/", b"_") + b'"', source)


def test_there_is_no_c_for_a_file_without_an_array(tiny_float):
    model = model_of(tiny_float)
    assert not snippets.has_array(model)
    assert snippets.c(model, manifest_of(model)) is None


def test_there_is_no_c_for_operators_of_somebodys_own(tiny_int8):
    model = msgspec.structs.replace(model_of(tiny_int8), operators=(OperatorFacts("MyOperator", 1, 1),))
    assert snippets.c(model, manifest_of(model)) is None


def test_micro_names_of_operators():
    given = (
        "CONV_2D",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "RESIZE_NEAREST_NEIGHBOR",
        "SPLIT_V",
        "L2_NORMALIZATION",
        "PRELU",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    )
    found = (
        "Conv2D",
        "FullyConnected",
        "BatchMatMul",
        "ResizeNearestNeighbor",
        "SplitV",
        "L2Normalization",
        "Prelu",
        "UnidirectionalSequenceLSTM",
    )
    assert tuple(map(snippets._micro_name, given)) == found


@pytest.mark.parametrize("text", HOSTILE)
def test_names_stay_values_in_python(text):
    manifest = hostile(text)
    script = snippets.python(msgspec.structs.replace(manifest.models[0], golden=golden()), manifest).decode()
    held = {
        node.targets[0].id: node.value
        for node in ast.parse(script).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(held["LABELS"]) == [text] * 3
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call)}
    assert not calls & {"alert", "exec", "import"}


def test_labels_are_those_of_the_model_in_c_and_kotlin(tiny_int8):
    model = model_of(tiny_int8)
    manifest = manifest_of(model, labels=HOSTILE[:3])
    for label in HOSTILE[:3]:
        assert c_string(label) in snippets.c(model, manifest)[1].decode()
        assert kotlin_string(label) in snippets.kotlin(model, manifest).decode()


def without_literals(text):
    """Code without comments and strings."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', "", text, flags=re.DOTALL)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_stay_values_in_c_and_kotlin(text):
    manifest = hostile(text)
    plain = manifest_of(msgspec.structs.replace(manifest.models[0], operators=(OperatorFacts("CONV_2D", 1, 1),)))
    named = msgspec.structs.replace(manifest, models=plain.models)
    for write in (
        lambda m: snippets.c(m.models[0], m)[1],
        lambda m: snippets.c(m.models[0], m, "p")[1],
        lambda m: snippets.kotlin(m.models[0], m),
    ):
        assert without_literals(write(named).decode()) == without_literals(write(plain).decode())


KOTLIN = """
package android.content.res
class AssetManager
"""
LITERT = """
package com.google.ai.edge.litert
import android.content.res.AssetManager
enum class Accelerator { CPU }
open class JniHandle : AutoCloseable { override fun close() {} }
class TensorBuffer : JniHandle() {
    fun writeInt(data: IntArray) {}
    fun writeFloat(data: FloatArray) {}
    fun writeInt8(data: ByteArray) {}
    fun readInt(): IntArray = IntArray(0)
    fun readFloat(): FloatArray = FloatArray(0)
    fun readInt8(): ByteArray = ByteArray(0)
}
class Environment
class CompiledModel : JniHandle() {
    class Options(vararg val accelerators: Accelerator)
    fun createInputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf()
    fun createOutputBuffers(signatureIndex: Int = 0): List<TensorBuffer> = listOf()
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {}
    companion object {
        fun create(assetManager: AssetManager, assetName: String, options: Options, optionalEnv: Environment? = null) = CompiledModel()
    }
}
"""
KOTLINC = os.environ.get("KOTLINC") or shutil.which("kotlinc")


@pytest.mark.prove
@pytest.mark.skipif(not KOTLINC, reason="no kotlinc; npm pack kotlin-compiler has one, name it in KOTLINC")
def test_kotlin_compiles_against_the_api_of_litert(tiny_int8, tiny_float, tmp_path):
    """The declarations are those of Model.kt and TensorBuffer.kt in google-ai-edge/LiteRT."""
    named = model_of(tiny_int8)
    several = msgspec.structs.replace(
        named,
        path="models/several.tflite",
        inputs=(*named.inputs, TensorFacts("ids", (1, 4), "int32")),
        outputs=(*named.outputs, TensorFacts("y", (1,), "float32")),
    )
    files = {"AssetManager.kt": KOTLIN, "LiteRT.kt": LITERT}
    for model in (named, model_of(tiny_float), several):
        files[f"{snippets.script(model)}.kt"] = snippets.kotlin(model, manifest_of(model, labels=HOSTILE)).decode()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run([KOTLINC, *files, "-Werror", "-d", "out"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_kotlin_holds_the_models_values(tiny_int8):
    model = model_of(tiny_int8)
    code = snippets.kotlin(model, manifest_of(model)).decode()
    for shown in (
        "com.google.ai.edge.litert:litert:",
        "https://developers.google.com/edge/litert",
        "class TinyInt8(",
        "SCALE = 0.00392156863f",
        '"owl",',
    ):
        assert shown in code
    bare = without_literals(code)
    assert all(bare.count(first) == bare.count(last) for first, last in ("()", "{}", "[]"))
    assert snippets.kotlin(msgspec.structs.replace(model, inputs=(TensorFacts("x", (1,), "int16", 1.0, 0),)), manifest_of(model)) is None
