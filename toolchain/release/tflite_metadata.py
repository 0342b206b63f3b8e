"""What a .tflite says about itself to Android's and MediaPipe's tools: labels, input normalization, a description.

TFLite metadata are a flatbuffer of their own (metadata_schema.fbs of tflite-support, file identifier M001) in a buffer
that the model's entry TFLITE_METADATA names; the files they mention follow the model as an uncompressed ZIP
(https://developers.google.com/edge/litert/conversion/tensorflow/metadata). The schema's tables are written by their
field numbers, because no package for today's Pythons brings its generated code without a framework.

The model itself is not written again (`grafting`), so the described file computes what the file did.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, Final

from toolchain.errors import BundleError, ModelError
from toolchain.release.grafting import grafted, vector

ENTRY: Final = b"TFLITE_METADATA"
LABELS: Final = "labels.txt"
PARSER: Final = "1.0.0"
"""The oldest parser that knows every field written here (metadata_version.cc of MediaPipe)."""

FEATURES, IMAGE = 1, 2
"""Members of the union ContentProperties."""
RGB, GRAYSCALE = 1, 2
AXIS_LABELS = 2
NORMALIZATION = 1
"""Member of the union ProcessUnitOptions."""

_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""The first date a ZIP can hold, so that no clock reaches the bytes."""

Fields = dict[int, int | Callable[[Any, int], None]]
"""A table: by field number an offset, or what adds a scalar there."""


def describe(
    content: bytes,
    *,
    name: str,
    description: str,
    version: str,
    author: str,
    license: str,
    labels: tuple[str, ...],
    scale: float,
    offset: float,
    image: bool,
) -> bytes:
    """The same model with metadata. A file that already carries some, written by its author, stays as it is.

    Examples become the model's input as `x * scale + offset`, which metadata write as `(x - mean) / std`. Labels name the
    last axis of the first output. Raises ModelError where the file cannot hold metadata, BundleError for labels that a
    list of lines cannot hold.
    """
    from ai_edge_litert import schema_py_generated as schema

    listed = lines(labels)
    model = schema.Model.GetRootAs(content, 0)
    entries = [model.Metadata(place) for place in range(model.MetadataLength())]
    if any(entry.Name() == ENTRY for entry in entries):
        return content
    if not scale:
        raise ModelError("inputs multiplied with 0 have no normalization")
    graph = model.Subgraphs(0)
    facts = _Metadata(graph, ((0.0 - offset) / scale, 1 / scale), bool(labels), image)
    described = grafted(content, ENTRY, facts.written(name, description, version, author, license))
    return described + _archive({LABELS: listed}, len(described)) if labels else described


def lines(labels: Sequence[str]) -> bytes:
    """labels.txt: a label a line. Raises BundleError for a label that is empty or no line."""
    for place, label in enumerate(labels):
        if not label.strip() or label.splitlines() != [label]:
            raise BundleError(f"label {place}, {label!r}, is not one line of text; give the labels with --labels FILE, one a line")
    return "".join(f"{label}\n" for label in labels).encode()


class _Metadata:
    """The tables of metadata_schema.fbs for one model."""

    def __init__(self, graph: Any, normalization: tuple[float, float], labelled: bool, image: bool) -> None:
        import flatbuffers

        self._builder: Any = flatbuffers.Builder(1024)
        self._graph, self._normalization, self._labelled, self._image = graph, normalization, labelled, image

    def written(self, name: str, description: str, version: str, author: str, license: str) -> bytes:
        """ModelMetadata as a flatbuffer."""
        graph = self._graph
        inputs = [
            self._tensor(graph.Tensors(graph.Inputs(i)), self._input(graph.Tensors(graph.Inputs(i)))) for i in range(graph.InputsLength())
        ]
        outputs = [self._tensor(graph.Tensors(graph.Outputs(i)), self._output(first=i == 0)) for i in range(graph.OutputsLength())]
        subgraph = self._table(10, {2: self._offsets(inputs), 3: self._offsets(outputs)})
        text = self._builder.CreateString
        stated = {0: name, 1: description, 2: version, 4: author, 5: license, 7: PARSER}
        fields: Fields = {3: self._offsets([subgraph]), **{slot: text(said) for slot, said in stated.items() if said}}
        self._builder.Finish(self._table(8, fields), b"M001")
        return bytes(self._builder.Output())

    def _tensor(self, tensor: Any, fields: Fields) -> int:
        """TensorMetadata, under the tensor's own name."""
        return self._table(7, {0: self._builder.CreateString(tensor.Name() or b"")} | fields)

    def _input(self, tensor: Any) -> Fields:
        """With the normalization, where the input is a real number and no token's."""
        if not _is_real(tensor):
            return {3: self._content(tensor)}
        mean, std = ([value] for value in self._normalization)
        options = self._table(2, {0: self._floats(mean), 1: self._floats(std)})
        unit = self._table(2, {0: _byte(NORMALIZATION), 1: options})
        return {3: self._content(tensor), 4: self._offsets([unit])}

    def _output(self, *, first: bool) -> Fields:
        if not (first and self._labelled):
            return {3: self._content(None)}
        text = self._builder.CreateString
        file = self._table(5, {0: text(LABELS), 1: text("Names of the classes, in the order of the last axis."), 2: _byte(AXIS_LABELS)})
        return {3: self._content(None), 6: self._offsets([file])}

    def _content(self, tensor: Any) -> int:
        """Whether it is an image `[1, height, width, 1 or 3]`, or just numbers."""
        channels = tensor.Shape(3) if tensor is not None and tensor.ShapeLength() == 4 else 0
        if self._image and channels in (1, 3):
            properties = self._table(2, {0: _byte(GRAYSCALE if channels == 1 else RGB)})
            return self._table(2, {0: _byte(IMAGE), 1: properties})
        return self._table(2, {0: _byte(FEATURES), 1: self._table(0, {})})

    def _table(self, slots: int, fields: Fields) -> int:
        self._builder.StartObject(slots)
        for slot, value in fields.items():
            if callable(value):
                value(self._builder, slot)
            else:
                self._builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self._builder.EndObject())

    def _offsets(self, tables: Sequence[int]) -> int:
        return vector(self._builder, tables)

    def _floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())


def _is_real(tensor: Any) -> bool:
    from ai_edge_litert.schema_py_generated import TensorType

    quantization = tensor.Quantization()
    return tensor.Type() in (TensorType.FLOAT32, TensorType.FLOAT16) or (quantization is not None and quantization.ScaleLength() > 0)


def _byte(value: int) -> Callable[[Any, int], None]:
    """Adds an enumerator, which the schema stores as a byte."""
    return lambda builder, slot: builder.PrependUint8Slot(slot, value, 0)


def _archive(files: dict[str, bytes], start: int) -> bytes:
    """A ZIP of stored files that stands at `start` of another file, with offsets counted from that file's beginning."""
    stream = io.BytesIO()
    stream.write(bytes(start))
    with zipfile.ZipFile(stream, "a") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_STORED, 3, 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()[start:]
