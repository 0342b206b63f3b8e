"""What a SavedModel may hold: operators that compute with numbers, and no way to files, network or Python.

Loading a SavedModel builds its graph and runs parts of it. Of TensorFlow's 1,500 operators nearly all that reach outside
take a name as a string, which no model that becomes a .tflite or an .onnx needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from toolchain import untrusted
from toolchain.errors import ModelError
from toolchain.optional import require

_REACHES_OUT = ("PyFunc", "Reader", "Dataset", "Iterator", "Summary", "Debug", "Proto", "Send", "Recv", "Collective", "Remote", "TPU")
_NAMES_A_FILE = frozenset({"ImmutableConst", "RecordInput", "FixedUnigramCandidateSampler", "Copy", "CopyHost"})
"""What reaches outside without a string among its inputs: parts of names, and operators that take a file or a URL as an attribute."""


def check_saved_model(path: Path) -> None:
    """Raise ModelError where a function of the model could reach outside of it, or a file of it is a link to elsewhere."""
    for file in path.rglob("*"):
        untrusted.check_within(file, path, ModelError)
        if not file.is_dir():
            untrusted.check_plain(file, ModelError)
    if found := sorted({node.op for node in _nodes(_parsed(path)) if _reaches_out(node.op)}):
        raise ModelError(
            f"{path}: uses {', '.join(found[:5])}, which reach outside the model or compute with text; "
            "run with --trust if you trust the file"
        )


def _parsed(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    graph = require("tensorflow.core.protobuf.saved_model_pb2", "tf").SavedModel()
    try:
        graph.ParseFromString(untrusted.read(path / "saved_model.pb", untrusted.memory_bytes(), ModelError))
    except DecodeError:
        raise ModelError(f"{path}: saved_model.pb is not readable") from None
    return graph


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes that loading or calling the model can run.

    Every SavedModel has functions that write and read its variables, for tools that ask for them. Only the graph's own
    nodes call these, which nothing runs; a function that another one calls, or that the graph of objects names, is none of
    them: the loader calls some at once, such as the `_initialize` of a resource (tensorflow/python/saved_model/load.py).
    """
    for meta in graph.meta_graphs:
        functions = {function.signature.name: function.node_def for function in meta.graph_def.library.function}
        called = {name for nodes in functions.values() for name in _called(nodes)} | _named(meta.object_graph_def)
        yield from meta.graph_def.node
        for name, nodes in functions.items():
            if name in called or not meta.HasField("object_graph_def"):
                yield from nodes


def _named(objects: Any) -> set[str]:
    """The functions that an object can be asked to run (saved_object_graph.proto)."""
    of_objects = {
        name for node in objects.nodes for name in (*node.function.concrete_functions, node.bare_concrete_function.concrete_function_name)
    }
    return of_objects | set(objects.concrete_functions)


def _called(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        for value in node.attr.values():
            yield from (function.name for function in (value.func, *value.list.func) if function.name)


def _reaches_out(operator: str) -> bool:
    registry = require("tensorflow.python.framework.op_def_registry", "tf")
    string = require("tensorflow.core.framework.types_pb2", "tf").DT_STRING
    known = registry.get(operator)
    named = operator in _NAMES_A_FILE or any(part in operator for part in _REACHES_OUT)
    return known is None or named or any(arg.type == string for arg in known.input_arg)
