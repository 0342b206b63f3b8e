"""A .tflite is no larger when it is unpacked: what would be is refused before it is.

Offsets in a flatbuffer may point anywhere. A file of a megabyte whose 100,000 subgraphs are all the same one, with 100,000
tensors each, unpacks to ten billion objects. In files that converters write nothing but names and tables of offsets is
shared, so that the parts together are about as large as the file.
"""

from __future__ import annotations

import functools
from typing import Any

_UNIONS = {"Details": "QuantizationDetails", "ArraySegments": "SparseIndexVector", "ArrayIndices": "SparseIndexVector"}
"""Unions in schema.fbs whose fields have another name."""

SHARED = 2
"""How many times the file's size its parts may come to."""


def check_bounds(data: bytes) -> None:
    """Raise ValueError where the parts of a model share their bytes, struct.error or ValueError where they lie outside the file."""
    from ai_edge_litert import schema_py_generated as schema

    left = SHARED * len(data) + 1000
    tables = [schema.Model.GetRootAs(data, 0)]
    while tables:
        table = tables.pop()
        left -= 8  # its place in a vector and that of its fields
        vectors, fields = _accessors(type(table).__name__)
        for name in vectors:
            count = getattr(table, f"{name}Length")()
            left -= count
            if left < 0:
                raise ValueError("its parts share their bytes")
            if count and hasattr(getattr(table, name)(0), "_tab"):
                tables += [getattr(table, name)(index) for index in range(count)]
        for name in fields:
            found = getattr(table, name)()
            if isinstance(found, bytes):
                left -= len(found)
            elif hasattr(found, "_tab"):
                tables.append(found)
            elif hasattr(found, "Bytes") and (kind := _kind(schema, table, name)):
                options = kind()
                options.Init(found.Bytes, found.Pos)
                tables.append(options)


@functools.cache
def _accessors(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A generated class's vectors, and its fields that are no vectors: names, numbers, tables and unions of tables."""
    from ai_edge_litert import schema_py_generated as schema

    made, members = ("Init", "GetRootAs"), vars(getattr(schema, kind))
    names = [n for n in members if n[0] != "_" and not n.startswith(made) and not n.endswith(("IsNone", "BufferHasIdentifier"))]
    vectors = tuple(name.removesuffix("Length") for name in names if name.endswith("Length"))
    derived = {f"{name}{ending}" for name in vectors for ending in ("", "Length", "AsNumpy")}
    return vectors, tuple(name for name in names if name not in derived)


def _kind(schema: Any, table: Any, name: str) -> type[Any] | None:
    """The class of a union's table: `BuiltinOptionsType` names what `BuiltinOptions` holds."""
    number = getattr(table, f"{name}Type")()
    labels = vars(getattr(schema, _UNIONS.get(name, name)))
    return next((getattr(schema, label) for label, value in labels.items() if value == number and label != "NONE"), None)
