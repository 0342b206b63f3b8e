"""Write an .onnx: float with tf2onnx, smaller numbers with onnxruntime's quantizers, or int8 translated from the .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from toolchain.artifact import Format
from toolchain.data import Array
from toolchain.errors import ModelError, StageError
from toolchain.exports.tflite import Tflite
from toolchain.files import written
from toolchain.keras_function import ModelFunction, open_function
from toolchain.optional import require
from toolchain.quantization import onnx_schemes
from toolchain.quantization.grid import Affine
from toolchain.quantization.onnx_integer.translation import translate
from toolchain.quantization.onnx_schemes import computed_in_float, float_kernels
from toolchain.runners.litert import LiteRT
from toolchain.runners.onnxruntime import OnnxRuntime
from toolchain.stage import Context, Export, Note, Outcome
from toolchain.tflite_file import TfliteFile
from toolchain.verification import EXAMPLES, as_details, calibration_inputs, one_by_one, verify

Scheme = Literal[
    "float32", "float16", "dynamic_w8", "weight_only_w8", "weight_only_w4", "static_w8a8", "static_w8a16", "int8_from_tflite"
]  # fmt: skip
WHOLE = ("static_w8a8", "static_w8a16", "int8_from_tflite")
"""Schemes with integer activations."""


class Onnx(Export, frozen=True, tag="onnx", kw_only=True):
    """ONNX with a batch of one and channels last, as the Keras model has it.

    A static scheme inserts QuantizeLinear and DequantizeLinear pairs (QDQ); what has no quantizer around it computes in float and is
    listed. int8_from_tflite is the int8 .tflite in ONNX: the same answers to the last bit as LiteRT gives with its XNNPACK kernels.
    """

    produces: ClassVar[Format] = Format.ONNX

    scheme: Scheme = "float32"
    granularity: Literal["per_channel", "per_tensor"] = "per_channel"
    """Whether every output channel of a kernel has its own scale."""
    activations: Literal["asymmetric", "symmetric"] | None = None
    """Symmetric activations have a zero point of 0; by default they have any."""
    ranges: Literal["minmax", "percentile", "mse", "entropy"] = "minmax"
    """How a static scheme chooses the range of an activation from the calibration values."""
    percentile: Annotated[float, msgspec.Meta(gt=50, le=100)] | None = None
    """Share of the values, in percent, that `ranges = "percentile"` covers; by default 99.99."""
    opset: Annotated[int, msgspec.Meta(ge=13, le=18)] = 17
    """Operator set version; tf2onnx 1.17 writes 13 to 18."""

    def __post_init__(self) -> None:
        if self.scheme == "weight_only_w4":
            raise ValueError(
                "weight_only_w4: ONNX before opset 21 has no int4, and onnxruntime's MatMulNBits covers no convolution; "
                'choose "weight_only_w8", or use = "tflite"'
            )
        if self.scheme not in WHOLE:
            for key, default in (("activations", None), ("ranges", "minmax")):
                if getattr(self, key) != default:
                    raise ValueError(f"{key} belongs to {', '.join(WHOLE)}; {self.scheme} has no fixed ranges of activations")
        if self.scheme in ("float32", "float16") and self.granularity == "per_tensor":
            raise ValueError(f"granularity: {self.scheme} has no scales; choose a scheme with integer weights")
        if self.scheme == "static_w8a16" and self.ranges == "entropy":
            raise ValueError('ranges = "entropy" compares histograms at 8 bits; choose "minmax" or "percentile" for static_w8a16')
        if self.ranges == "mse" and self.scheme != "int8_from_tflite":
            raise ValueError('ranges = "mse": onnxruntime has "minmax", "percentile" and "entropy"; or choose scheme = "int8_from_tflite"')
        if self.percentile is not None and self.ranges != "percentile":
            raise ValueError(f'percentile belongs to ranges = "percentile", not to {self.ranges!r}')

    @property
    def label(self) -> str:
        """The scheme, followed by what departs from its default: `static_w8a8_per_tensor_entropy`."""
        return "_".join(
            [
                self.scheme,
                *(["per_tensor"] if self.granularity == "per_tensor" else []),
                *(["symmetric"] if self.activations == "symmetric" else []),
                *([self.ranges] if self.ranges != "minmax" else []),
                *([f"{self.percentile:.15g}".replace(".", "_")] if self.percentile is not None else []),
            ]
        )

    @property
    def source(self) -> Export | None:
        """int8_from_tflite translates the int8 .tflite, every other scheme changes the float32 file."""
        if self.scheme == "float32":
            return None
        if self.scheme != "int8_from_tflite":
            return Onnx(opset=self.opset, of=self.of)
        return Tflite(
            scheme="static_w8a8",
            of=self.of,
            granularity=self.granularity,
            activations=self.activations,
            ranges=self.ranges,
            percentile=self.percentile,
        )

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the converter fails, ModelError where the file does not compute the model."""
        require("onnx", "onnx")
        function = open_function(model, trust=context.trust)
        notes: tuple[Note, ...] = ()
        used: dict[str, str] = {}
        context.progress(f"export {self.name}", 0, 0)
        with written(out) as scratch:
            if self.scheme in ("static_w8a8", "static_w8a16"):
                inputs, used["calibration"], notes = calibration_inputs(function, context)
                batches = one_by_one(inputs)
            else:
                batches = []
            try:
                self._write(function, scratch, context, batches)
            except ModelError:
                raise
            except Exception as err:  # converters raise many kinds, all of them about this model
                raise StageError(f"{self.name}: the converter failed: {str(err).strip().splitlines()[0][:300]}") from err
            notes += self._in_float(scratch)
        result, used["comparison"] = verify(out, function, context, exact=self.scheme == "float32")
        if self.scheme == "int8_from_tflite":
            used["bit for bit"] = _require_identical(out, _source(context), function, context.seed)
        return Outcome(notes, used, as_details(result))

    def _write(self, function: ModelFunction, out: Path, context: Context, batches: list[list[Array]]) -> None:
        per_tensor = self.granularity == "per_tensor"
        if self.scheme == "float32":
            convert = require("tf2onnx", "onnx").convert
            convert.from_function(function.concrete, input_signature=function.specs, opset=self.opset, output_path=str(out))
        elif self.scheme == "int8_from_tflite":
            require("onnx", "onnx").save(translate(_source(context), self.opset), out)
        elif self.scheme == "float16":
            onnx_schemes.float16(_source(context), out)
        elif self.scheme == "dynamic_w8":
            onnx_schemes.dynamic(_source(context), out, per_tensor=per_tensor)
        elif self.scheme == "weight_only_w8":
            onnx_schemes.weight_only(_source(context), out, per_tensor=per_tensor)
        else:
            assert self.ranges != "mse"
            onnx_schemes.static(
                _source(context),
                out,
                batches,
                bits=8 if self.scheme == "static_w8a8" else 16,
                per_tensor=per_tensor,
                symmetric=self.activations == "symmetric",
                ranges=self.ranges,
                percentile=99.99 if self.percentile is None else self.percentile,
            )

    def _in_float(self, path: Path) -> tuple[Note, ...]:
        """What computes in float, or keeps float weights, though the scheme is about integers."""
        if self.scheme in ("dynamic_w8", "weight_only_w8"):
            return tuple(Note(name, "its weights stay in float32: onnxruntime has no such integer kernel") for name in float_kernels(path))
        if self.scheme == "static_w8a16":
            return (Note(self.name, "onnxruntime on a CPU computes in float32 between the int16 quantizers: smaller error, no speed"),)
        if self.scheme == "static_w8a8":
            return tuple(Note(name, "no quantizers around it: computes in float32") for name in computed_in_float(path))
        return ()


def _source(context: Context) -> Path:
    assert context.source is not None
    return context.source


def _require_identical(path: Path, tflite: Path, function: ModelFunction, seed: int) -> str:
    """Run both on inputs over their whole range; says how many. Raises ModelError where a bit differs."""
    file, rng = TfliteFile.read(tflite), np.random.default_rng(seed)
    inputs = []
    for tensor, given in zip((file.tensors[index] for index in file.inputs), function.synthetic(EXAMPLES, (0.0, 1.0), seed), strict=True):
        limits = Affine(tensor.scale[0], tensor.zero_point[0]).limits if tensor.scale else None
        inputs.append(given if limits is None else rng.uniform(*limits, given.shape).astype(np.float32))
    expected, found = LiteRT(tflite).predict(inputs), OnnxRuntime(path).predict(inputs)
    if different := int((expected != found).sum()):
        raise ModelError(f"{path.name}: {different:,} of {expected.size:,} outputs differ from {tflite.name} in LiteRT's XNNPACK kernels")
    return f"{EXAMPLES} random inputs"
