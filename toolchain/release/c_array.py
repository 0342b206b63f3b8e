"""A .tflite as a C array, for firmware whose interpreter reads its model from flash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolchain.c_source.package import identifier
from toolchain.release.manifest import TensorFacts
from toolchain.release.templates import Written, comment, environment, real

ALIGNMENT = 16
"""What TensorFlow Lite Micro asks of a model, because kernels read constants in place (schema.fbs aligns them to 16)."""

_PER_LINE = 20


def sources(name: str, content: bytes, inputs: Sequence[TensorFacts], outputs: Sequence[TensorFacts]) -> dict[str, bytes]:
    """`NAME.h` and `NAME.c`, C99 and C++: the bytes, their number, and what turns real values into stored ones and back."""
    symbol = Written(identifier(name))
    facts = {"name": symbol, "NAME": Written(symbol.upper()), "bytes": len(content), "alignment": ALIGNMENT, "source": comment(name)}
    ports = [*_ports("INPUT", inputs), *_ports("OUTPUT", outputs)]
    made = environment("c")
    return {
        f"{symbol}.h": made.get_template("array.h.j2").render(facts, ports=ports).encode(),
        f"{symbol}.c": made.get_template("array.c.j2").render(facts, rows=list(_rows(content))).encode(),
    }


def _ports(kind: str, tensors: Sequence[TensorFacts]) -> Iterator[dict[str, object]]:
    for place, tensor in enumerate(tensors):
        shape = " x ".join("any" if size is None else str(size) for size in tensor.shape)
        yield {
            "macro": Written(kind if len(tensors) == 1 else f"{kind}_{place}"),
            "comment": comment(f"{tensor.name[:60]}: {tensor.dtype} {shape}"),
            "scale": None if tensor.scale is None else real(tensor.scale),
            "zero_point": tensor.zero_point or 0,
        }


def _rows(content: bytes) -> Iterator[Written]:
    for start in range(0, len(content), _PER_LINE):
        yield Written(",".join(map(str, content[start : start + _PER_LINE])))
