"""How findings are laid out in files: JSON a person can read and compare, tables between markers of a document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

WIDTH = 120


def json_bytes(value: Any) -> bytes:
    """JSON with whatever fits on a line on one line."""
    return (_layout(msgspec.to_builtins(value), "") + "\n").encode()


def _layout(value: Any, indent: str) -> str:
    flat = json.dumps(value)
    if len(indent) + len(flat) <= WIDTH or not isinstance(value, dict | list):
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_layout(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _layout(item, inner) for item in value) + f"\n{indent}]"


def replace_tables(document: str, blocks: Mapping[str, str]) -> str:
    """Put each table between `<!-- table: NAME -->` and `<!-- end -->`. Raises ValueError for a marker that is not there."""
    for name, block in blocks.items():
        before, marker, rest = document.partition(f"<!-- table: {name} -->\n")
        if "<!-- end -->" not in rest:
            raise ValueError(f"the document has no place for the table {name!r}")
        document = before + marker + block + rest[rest.index("<!-- end -->") :]
    return document
