"""Golden vectors as a C header, for the test on a target that has no file system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from toolchain.c_source.package import identifier
from toolchain.data import Array
from toolchain.release.manifest import Golden, TensorFacts
from toolchain.release.templates import Written, comment, environment, real

MOST_VALUES: Final = 100_000
"""Of inputs in one header; a compiler takes seconds for more."""

_TYPES: Final = {"float32": "float", "bool": "uint8_t"} | {
    f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def header(
    name: str,
    golden: Golden,
    inputs: Sequence[TensorFacts],
    outputs: Sequence[TensorFacts],
    arrays: tuple[Sequence[Array], Sequence[Array]],
) -> bytes | None:
    """C99 and C++. None where a type has no name in C (float16)."""
    if any(tensor.dtype not in _TYPES for tensor in (*inputs, *outputs)):
        return None
    symbol = f"golden_{identifier(name)}"
    shown = max(1, min(golden.examples, MOST_VALUES // max(1, sum(array[0].size for array in arrays[0]))))
    ports = [*_ports("input", inputs, arrays[0], shown), *_ports("output", outputs, arrays[1], shown)]
    floating = any(tensor.dtype == "float32" for tensor in outputs)
    rendered: str = (
        environment("c")
        .get_template("golden.h.j2")
        .render(
            name=Written(symbol),
            NAME=Written(symbol.upper()),
            source=comment(name),
            runtime=comment(golden.runtime),
            shown=shown,
            examples=golden.examples,
            same_kernels=real(golden.same_kernels) if floating else int(golden.same_kernels),
            tolerance=real(golden.tolerance) if floating else int(golden.tolerance),
            why=Written(golden.why.replace("*/", "* /")),
            arrays=ports,
        )
    )
    return rendered.encode()


def _ports(kind: str, tensors: Sequence[TensorFacts], arrays: Sequence[Array], shown: int) -> Iterator[dict[str, Any]]:
    for place, (tensor, array) in enumerate(zip(tensors, arrays, strict=True)):
        symbol = kind if len(tensors) == 1 else f"{kind}_{place}"
        flat = np.asarray(array[:shown]).reshape(shown, -1)
        yield {
            "macro": Written(symbol.upper()),
            "symbol": Written(symbol),
            "type": Written(_TYPES[tensor.dtype]),
            "size": flat.shape[1],
            "comment": comment(f"{tensor.name[:60]}: {tensor.dtype} {' x '.join(map(str, array.shape[1:])) or 'scalar'}"),
            "examples": [Written(", ".join(_value(value) for value in row.tolist())) for row in flat],
        }


def _value(value: float | int | bool) -> str:
    if isinstance(value, float):
        return {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN"}.get(str(value)) or real(value)
    return f"({value + 1}LL - 1)" if value == -(2**63) else f"{int(value)}{'LL' if abs(value) > 2**31 - 1 else ''}"
