"""Write a .tflite: float, with integer weights, or with integer weights and activations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec

from toolchain.artifact import Format
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.files import written
from toolchain.keras_function import ModelFunction, open_function
from toolchain.quantization import calibration, converter, remainder, selective
from toolchain.quantization.dense import as_convolutions
from toolchain.quantization.pooling import as_means
from toolchain.quantization.ranges import Estimator, Histogram
from toolchain.stage import Context, Export, Note, Outcome
from toolchain.tflite_file import TfliteFile
from toolchain.verification import as_details, calibration_inputs, one_by_one, verify

Scheme = Literal[
    "float32", "float16", "dynamic_w8", "weight_only_w8", "weight_only_w4", "static_w8a8", "static_w8a16"
]  # fmt: skip
STATIC: dict[str, tuple[converter.Integer, ...]] = {"static_w8a8": ("int8", "uint8", "float32"), "static_w8a16": ("int16", "float32")}
"""Schemes with integer activations, and the types that their inputs and outputs can have; the first is the default."""
WEIGHT_ONLY: dict[str, Literal[4, 8]] = {"weight_only_w8": 8, "weight_only_w4": 4}


class Tflite(Export, frozen=True, tag="tflite", kw_only=True):
    """The frozen graph through TFLiteConverter, with a batch of one; weight-only schemes through litert-quantizer.

    A static scheme is integer from its input to its output; a float operator in it is an error unless `allow_float`.
    """

    produces: ClassVar[Format] = Format.TFLITE

    scheme: Scheme = "float32"
    granularity: Literal["per_channel", "per_tensor"] = "per_channel"
    """Whether every output channel of a kernel has its own scale."""
    activations: Literal["asymmetric", "symmetric"] | None = None
    """Symmetric activations have a zero point of 0, but for the fixed grids of softmax and its like; by default those of
    static_w8a8 have any, those of static_w8a16 have 0."""
    io: converter.Integer | None = None
    """Type of a static scheme's inputs and outputs; by default that of its activations."""
    ranges: Estimator = "minmax"
    """How a static scheme chooses the range of an activation from the calibration values."""
    percentile: Annotated[float, msgspec.Meta(gt=50, le=100)] | None = None
    """Share of the values, in percent, that `ranges = "percentile"` covers; by default 99.99."""
    dense: Literal["convolution", "fully_connected"] = "convolution"
    """What a dense layer of static_w8a8 becomes. TensorFlow Lite Micro and LiteRT's reference kernels round a convolution alike,
    FULLY_CONNECTED not."""
    allow_float: bool = False
    """Let operators without an integer kernel stay in float; each is listed in the report."""

    def __post_init__(self) -> None:
        static = self.scheme in STATIC
        if not static:
            for key, default in (("activations", None), ("io", None), ("ranges", "minmax"), ("allow_float", False)):
                if getattr(self, key) != default:
                    raise ValueError(f"{key} belongs to static_w8a8 and static_w8a16; the activations of {self.scheme} are float")
        elif self.io is not None and self.io not in STATIC[self.scheme]:
            raise ValueError(f"io = {self.io!r}: the inputs of {self.scheme} can be {', '.join(STATIC[self.scheme])}")
        if self.dense != "convolution" and self.scheme != "static_w8a8":
            raise ValueError("dense belongs to static_w8a8; leave it out")
        if self.scheme in ("float32", "float16") and self.granularity == "per_tensor":
            raise ValueError(f"granularity: {self.scheme} has no scales; choose a scheme with integer weights")
        if self.scheme == "static_w8a16" and self.granularity == "per_tensor":
            raise ValueError("granularity: TensorFlow writes 16x8 kernels of depthwise convolutions per channel only; leave it out")
        if self.scheme == "static_w8a16" and self.activations == "asymmetric":
            raise ValueError('activations: int16 kernels take a zero point of 0 only; leave it out, or choose scheme = "static_w8a8"')
        if self.scheme == "static_w8a16" and self.ranges == "entropy":
            raise ValueError('ranges = "entropy" compares histograms at 8 bits; choose "minmax", "percentile" or "mse" for static_w8a16')
        if self.percentile is not None and self.ranges != "percentile":
            raise ValueError(f'percentile belongs to ranges = "percentile", not to {self.ranges!r}')

    @property
    def label(self) -> str:
        """The scheme, followed by what departs from its default: `static_w8a8_per_tensor_io_float32`."""
        defaults = STATIC.get(self.scheme, (None,))[0]
        return "_".join(
            [
                self.scheme,
                *(["per_tensor"] if self.granularity == "per_tensor" else []),
                *(["symmetric"] if self._symmetric and self.scheme == "static_w8a8" else []),
                *([f"io_{self.io}"] if self.io not in (None, defaults) else []),
                *([self.ranges] if self.ranges != "minmax" else []),
                *([f"{self.percentile:.15g}".replace(".", "_")] if self.percentile is not None else []),
                *(["fully_connected"] if self.dense == "fully_connected" else []),
                *(["float_fallback"] if self.allow_float else []),
            ]
        )

    @property
    def source(self) -> Export | None:
        """Weights alone are quantized in the float32 file."""
        return Tflite(of=self.of) if self.scheme in WEIGHT_ONLY else None

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where the converter fails or falls back to float, ModelError where the file is wrong."""
        function = open_function(model, trust=context.trust)
        notes: tuple[Note, ...] = ()
        used: dict[str, str] = {}
        histograms: dict[str, Histogram] = {}
        context.progress(f"export {self.name}", 0, 0)
        with written(out) as scratch:
            if self.scheme in STATIC:
                inputs, used["calibration"], notes = calibration_inputs(function, context)
                content, histograms = self._static(function, one_by_one(inputs))
                scratch.write_bytes(content)
            elif self.scheme in WEIGHT_ONLY:
                assert context.source is not None
                selective.quantize_weights(context.source, scratch, WEIGHT_ONLY[self.scheme], per_tensor=self._per_tensor)
            else:
                scratch.write_bytes(self._weights(function))
            file = TfliteFile.read(scratch)
            notes += self._in_float(file)
            if self.scheme == "static_w8a16":
                notes += (Note(self.name, "XNNPACK has no int16 kernels: on phones and here it is slower than float32"),)
        result, used["comparison"] = verify(out, function, context, exact=self.scheme == "float32")
        table = {"ranges": msgspec.to_builtins(remainder.rows(file, histograms))} if histograms else {}
        return Outcome(notes, used, as_details(result) | table)

    @property
    def _per_tensor(self) -> bool:
        return self.granularity == "per_tensor"

    @property
    def _symmetric(self) -> bool:
        return self.activations == "symmetric" or self.scheme == "static_w8a16"

    def _weights(self, function: ModelFunction) -> bytes:
        if self.scheme == "dynamic_w8":
            return converter.dynamic(function, per_tensor=self._per_tensor)
        return converter.float16(function) if self.scheme == "float16" else converter.float32(function)

    def _static(self, function: ModelFunction, batches: list[list[Array]]) -> tuple[bytes, dict[str, Histogram]]:
        """The integer model, and the calibration values of its activations."""
        calibrated = calibration.calibrate(as_means(converter.prepared(function)), batches)
        histograms = calibration.observe(calibrated, batches, calibration.read_ranges(calibrated))
        bits = 8 if self.scheme == "static_w8a8" else 16
        if self.ranges != "minmax" or self.activations == "symmetric":
            share = 99.99 if self.percentile is None else self.percentile
            ranges = calibration.chosen(histograms, self.ranges, share, bits, self._symmetric)
            calibrated = calibration.write_ranges(calibrated, ranges)
        io = self.io or STATIC[self.scheme][0]
        if bits == 8:
            content = converter.int8(calibrated, per_tensor=self._per_tensor, io=io)
            return (as_convolutions(content)[0] if self.dense == "convolution" else content), histograms
        return converter.int16(calibrated, io=io, allow_float=self.allow_float), histograms

    def _in_float(self, file: TfliteFile) -> tuple[Note, ...]:
        """What stayed in float beside what the scheme leaves there. Raises StageError for an operator that was not allowed to."""
        if self.scheme in STATIC:
            found = remainder.float_operators(file)
            if found and not self.allow_float:
                raise StageError(f"{self.name}: stays in float: {', '.join(found[:5])}; set allow_float = true to accept that")
            return tuple(Note(name, "no integer kernel: computes in float") for name in found)
        if self.scheme in ("float32", "float16"):
            return ()
        return tuple(Note(name, why) for name, why in remainder.float_kernels(file).items())
