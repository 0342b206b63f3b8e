"""A .tflite with one more entry of metadata, whose own bytes stay together as they are.

Reading a model into objects and writing it again would lose the alignment of constants, which the generated code of
schema.fbs does not keep. So a new root table is put before the old bytes. It refers to the old tables, and to a longer list
of buffers and of metadata; the old bytes move by a multiple of sixteen, and so keep whatever alignment they had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from toolchain.errors import ModelError

ALIGNMENT: Final = 16
"""Of constants (schema.fbs: `force_align: 16`), and so of what they are moved by."""

KEPT: Final = (1, 2, 3, 5, 7)
"""Fields of Model that stay as they are: operator_codes, subgraphs, description, metadata_buffer, signature_defs. Written anew
are version (0), buffers (4) and metadata (6)."""


def grafted(content: bytes, name: bytes, added: bytes) -> bytes:
    """The model with `added` as the metadata `name`. Raises ModelError where it has fields that are not known here, and over 2 GB.

    Flatbuffers are written from their end, and a reference only points forward: old tables can be part of a new one.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    if any(model.Buffers(i).Offset() > 1 for i in range(model.BuffersLength())):
        raise ModelError("a .tflite over 2 GB keeps its constants behind the model and counts from its beginning; it cannot be moved")
    builder = flatbuffers.Builder(len(content) + len(added) + 4096)
    builder.Prep(ALIGNMENT, len(content))
    _place(builder, content)
    end = builder.Offset()

    def moved(position: int) -> int:
        """Where something old lies for the builder, which counts from the end."""
        return int(end - position)

    builder.StartVector(1, len(added), ALIGNMENT)
    _place(builder, added)
    stored = builder.EndVector()
    schema.BufferStart(builder)
    schema.BufferAddData(builder, stored)
    buffer = schema.BufferEnd(builder)
    text = builder.CreateString(name)
    schema.MetadataStart(builder)
    schema.MetadataAddName(builder, text)
    schema.MetadataAddBuffer(builder, model.BuffersLength())
    entry = schema.MetadataEnd(builder)
    buffers = vector(builder, [*(moved(model.Buffers(i)._tab.Pos) for i in range(model.BuffersLength())), buffer])
    entries = vector(builder, [*(moved(model.Metadata(i)._tab.Pos) for i in range(model.MetadataLength())), entry])
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, model.Version())
    schema.ModelAddBuffers(builder, buffers)
    schema.ModelAddMetadata(builder, entries)
    for slot, position in _references(model).items():
        builder.PrependUOffsetTRelativeSlot(slot, moved(position), 0)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def vector(builder: Any, offsets: Sequence[int]) -> int:
    """A vector of references to tables."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _place(builder: Any, content: bytes) -> None:
    builder.head -= len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content


def _references(model: Any) -> dict[int, int]:
    """Where the kept fields lead, by their number in schema.fbs."""
    from flatbuffers.number_types import SOffsetTFlags, VOffsetTFlags

    table = model._tab
    vtable = table.Pos - table.Get(SOffsetTFlags, table.Pos)
    places = {slot: table.Offset(4 + 2 * slot) for slot in range((table.Get(VOffsetTFlags, vtable) - 4) // 2)}
    if unknown := [slot for slot, place in places.items() if place and slot > max(KEPT)]:
        raise ModelError(f"the .tflite has fields that are younger than this toolchain, of the numbers {unknown}")
    return {slot: table.Indirect(table.Pos + place) for slot, place in places.items() if place and slot in KEPT}
