"""Write a .tflite with TensorFlow's converter, at float32, float16, dynamic int8 or static int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from toolchain.artifact import Format
from toolchain.errors import StageError
from toolchain.files import written
from toolchain.keras_function import ModelFunction, open_function
from toolchain.optional import require
from toolchain.stage import Context, Export, Note, Outcome
from toolchain.tflite_file import TfliteFile
from toolchain.verification import as_details, calibration_inputs, one_by_one, verify

Scheme = Literal["float32", "float16", "dynamic_w8", "static_w8a8"]


class Tflite(Export, frozen=True, tag="tflite", kw_only=True):
    """TFLiteConverter on the frozen graph, with a batch of one.

    static_w8a8 is full-integer: int8 weights per channel, int8 activations, int8 inputs and outputs unless `io` says
    otherwise. A float operator in it is an error unless `allow_float`.
    """

    produces: ClassVar[Format] = Format.TFLITE

    scheme: Scheme = "float32"
    io: Literal["int8", "uint8", "float32"] = "int8"
    """Type of the inputs and outputs of static_w8a8."""
    allow_float: bool = False
    """Let operators without an int8 kernel stay in float; each is listed in the report."""

    @property
    def label(self) -> str:
        """`static_w8a8`, followed by what departs from the default."""
        io = f"_io_{self.io}" if self.scheme == "static_w8a8" and self.io != "int8" else ""
        return self.scheme + io + ("_float_fallback" if self.allow_float else "")

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the converter fails or falls back to float, ModelError where the file is wrong."""
        function = open_function(model, trust=context.trust)
        notes: tuple[Note, ...] = ()
        used = {}
        converter = self._converter(function)
        if self.scheme == "static_w8a8":
            inputs, used["calibration"], notes = calibration_inputs(function, context)
            batches = one_by_one(inputs)
            converter.representative_dataset = lambda: iter(batches)
        context.progress(f"export {self.name}", 0, 0)
        try:
            content = converter.convert()
        except Exception as err:  # the converter raises many kinds, all of them about this model
            raise StageError(f"{self.name}: TFLiteConverter failed: {_reason(err)}") from err
        with written(out) as scratch:
            scratch.write_bytes(content)
        notes += self._float_operators(TfliteFile.read(out))
        result, used["comparison"] = verify(out, function, context, exact=self.scheme == "float32")
        return Outcome(notes, used, as_details(result))

    def _converter(self, function: ModelFunction) -> Any:
        tf = require("tensorflow", "tf")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.frozen()])
        if self.scheme == "float32":
            return converter
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if self.scheme == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif self.scheme == "static_w8a8":
            fallback = [tf.lite.OpsSet.TFLITE_BUILTINS] if self.allow_float else []
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, *fallback]
            kind = {"int8": tf.int8, "uint8": tf.uint8, "float32": tf.float32}[self.io]
            converter.inference_input_type = converter.inference_output_type = kind
        return converter

    def _float_operators(self, file: TfliteFile) -> tuple[Note, ...]:
        """Operators of an int8 file that compute in float. Raises StageError for one that was not allowed."""
        if self.scheme != "static_w8a8":
            return ()
        found = [
            f"{op.name} {file.tensors[op.outputs[0]].name}"
            for op in file.operators
            if op.name not in ("QUANTIZE", "DEQUANTIZE") and any(file.tensors[i].dtype == "FLOAT32" for i in op.outputs)
        ]
        if found and not self.allow_float:
            raise StageError(f"{self.name}: stays in float: {', '.join(found[:5])}; set allow_float = true to accept that")
        return tuple(Note(name, "no int8 kernel: computes in float") for name in found)


def _reason(err: Exception) -> str:
    """The line of a converter's message that names the operator, or its first."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "op is neither" in line]
    return (telling or lines or [type(err).__name__])[0][:300]
