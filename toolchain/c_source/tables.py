"""The 256 answers of an operator with one 8-bit input, asked of LiteRT's reference kernel, so that no formula is written twice."""

from __future__ import annotations

from toolchain.c_source.graph import Graph
from toolchain.data import Array
from toolchain.runners.litert_operator import answers
from toolchain.tflite_file import Operator


def table_of(graph: Graph, op: Operator) -> Array:
    """The answers in the order of the unsigned byte: `[256]` in the output's type."""
    return answers(graph.file, op, "reference")
