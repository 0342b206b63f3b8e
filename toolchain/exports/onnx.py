"""Write an .onnx: float32 with tf2onnx, int8 with onnxruntime's quantizer, or int8 translated from the .tflite."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from toolchain.artifact import Format
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.exports.tflite import Tflite
from toolchain.files import written
from toolchain.keras_function import ModelFunction, open_function
from toolchain.optional import require
from toolchain.stage import Context, Export, Note, Outcome
from toolchain.verification import as_details, calibration_inputs, one_by_one, verify


class Onnx(Export, frozen=True, tag="onnx", kw_only=True):
    """ONNX with a batch of one and channels last, as the Keras model has it.

    static_w8a8 inserts QuantizeLinear and DequantizeLinear pairs (QDQ) with int8 weights per channel.
    int8_from_tflite keeps the scales of the int8 .tflite and so computes the same answers.
    """

    produces: ClassVar[Format] = Format.ONNX

    scheme: Literal["float32", "static_w8a8", "int8_from_tflite"] = "float32"
    opset: Annotated[int, msgspec.Meta(ge=13, le=18)] = 17
    """Operator set version; tf2onnx 1.17 writes 13 to 18."""

    @property
    def label(self) -> str:
        """The scheme."""
        return self.scheme

    @property
    def source(self) -> Export | None:
        """static_w8a8 quantizes the float32 file, int8_from_tflite translates the int8 .tflite."""
        if self.scheme == "static_w8a8":
            return Onnx(opset=self.opset, of=self.of)
        return Tflite(scheme="static_w8a8", of=self.of) if self.scheme == "int8_from_tflite" else None

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the converter fails, ModelError where the file does not compute the model."""
        require("onnx", "onnx")
        function = open_function(model, trust=context.trust)
        notes: tuple[Note, ...] = ()
        used = {}
        context.progress(f"export {self.name}", 0, 0)
        with written(out) as scratch:
            try:
                if self.scheme == "float32":
                    self._from_keras(function, scratch)
                elif self.scheme == "static_w8a8":
                    inputs, used["calibration"], notes = calibration_inputs(function, context)
                    _quantize(_source(context), scratch, inputs)
                else:
                    self._from_tflite(_source(context), scratch)
            except Exception as err:  # converters raise many kinds, all of them about this model
                raise StageError(f"{self.name}: the converter failed: {str(err).strip().splitlines()[0][:300]}") from err
        result, used["comparison"] = verify(out, function, context, exact=self.scheme == "float32")
        return Outcome(notes, used, as_details(result))

    def _from_keras(self, function: ModelFunction, out: Path) -> None:
        tf2onnx = require("tf2onnx", "onnx")
        tf2onnx.convert.from_function(function.concrete, input_signature=function.specs, opset=self.opset, output_path=str(out))

    def _from_tflite(self, source: Path, out: Path) -> None:
        tf2onnx = require("tf2onnx", "onnx")
        tf2onnx.convert.from_tflite(str(source), opset=self.opset, output_path=str(out))


def _source(context: Context) -> Path:
    assert context.source is not None
    return context.source


def _quantize(source: Path, out: Path, inputs: list[Array]) -> None:
    """Onnxruntime static quantization with min-max ranges, after its own folding of the float graph."""
    quantization = require("onnxruntime.quantization", "onnx")
    preprocess = require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process
    names = [value.name for value in require("onnx", "onnx").load(source).graph.input]

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._batches = iter(one_by_one(inputs))

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(zip(names, batch, strict=True))

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        preprocess(str(source), str(prepared), skip_symbolic_shape=True)
        int8: Any = quantization.QuantType.QInt8
        quantization.quantize_static(
            str(prepared),
            str(out),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=int8,
            weight_type=int8,
        )
