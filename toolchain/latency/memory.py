"""How much of a device's RAM a network's activations need, from the file alone: a bound below and one above.

An engine that writes every output beside its inputs needs `separate_bytes`; one that overwrites an input as soon as nothing
reads it any more needs at least `in_place_bytes`. X-CUBE-AI 8.1 lies between: MobileNetV1 0.25 at 224 pixels takes 207,186 B
(ST's model zoo), the bounds are 200,704 and 405,008.
"""

from __future__ import annotations

import msgspec

from toolchain.tflite_file import Operator, TfliteFile

BYTES = {"FLOAT32": 4, "INT32": 4, "FLOAT16": 2, "INT16": 2, "INT64": 8}


class Activations(msgspec.Struct, frozen=True):
    """Most bytes of activations that are alive at once; weights and other constants do not count."""

    in_place_bytes: int
    separate_bytes: int


def activations(file: TfliteFile) -> Activations:
    """Both bounds over all operators of a file."""
    last = dict.fromkeys(file.outputs, len(file.operators))
    born = dict.fromkeys(file.inputs, 0)
    for place, operator in enumerate(file.operators):
        for index in operator.inputs:
            last[index] = max(last.get(index, 0), place)
        for index in operator.outputs:
            born.setdefault(index, place)
            last.setdefault(index, place)
    size = {i: file.tensors[i].elements * BYTES.get(file.tensors[i].dtype, 1) for i in born if not file.tensors[i].constant}
    separate = [sum(size[i] for i in size if born[i] <= place <= last.get(i, 0)) for place in range(len(file.operators))]
    in_place = [alive - _overlap(op, place, size, last) for place, (op, alive) in enumerate(zip(file.operators, separate, strict=True))]
    return Activations(max(in_place, default=0), max(separate, default=0))


def _overlap(operator: Operator, place: int, size: dict[int, int], last: dict[int, int]) -> int:
    """Bytes that an operator's output can share with an input that is read for the last time."""
    dying = max((size[i] for i in operator.inputs if i in size and last[i] == place), default=0)
    return min(dying, max((size[i] for i in operator.outputs if i in size), default=0))
