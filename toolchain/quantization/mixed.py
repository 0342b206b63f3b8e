"""The cheapest types, layer by layer, that keep a network's answers: int8 where it does no harm, wider where it does.

Every candidate is a real file that ran; nothing here is predicted from a simulation. Layers are ranked by what int8 does
to the output when nothing else is quantized, for each unit of cost that widening them adds (the greedy order of HAWQ-V2,
Dong et al. 2020, with measured noise in the place of a Hessian's trace).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from toolchain.quantization.selective import Precision
from toolchain.tflite_file import Operator, TfliteFile

WEIGHT = {"INT8": 1, "INT16": 2, "FLOAT32": 4}
"""Cost of one multiply-accumulate: the bytes of its activation, as that many fewer of them fit a SIMD register."""
TYPES: dict[Precision, str] = {"int8": "INT8", "int16": "INT16", "float32": "FLOAT32"}
MOVERS = frozenset(
    ["RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "PAD", "SLICE", "STRIDED_SLICE", "SPLIT", "PACK", "UNPACK", "GATHER", "MAX_POOL_2D"]
)
"""Operators that pass values on; they take the type of what they pass."""


class Layer(msgspec.Struct, frozen=True):
    """An operator that computes, and those behind it that pass its values on. `name` is its first output."""

    name: str
    kind: str
    work: int
    followers: tuple[str, ...] = ()


class Harm(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file does to the outputs. `noise` is the error's power over the signal's, `drop` what the budget limits."""

    noise: float
    drop: float
    loss: float | None = None
    """The task's loss, where there are labels."""


class Trial(msgspec.Struct, frozen=True):
    """A file that was written and run; layers that are not in `wide` are int8."""

    wide: dict[str, Precision]
    cost: float
    """Relative to the float file's."""
    harm: Harm
    bytes: int


Attempt = Callable[[Mapping[str, Precision]], Trial]
"""Write and run the file whose layers not named here are int8."""


def layers(file: TfliteFile) -> list[Layer]:
    """The layers of a float file, in its order."""
    leader: dict[int, int] = {}
    found: list[Layer] = []
    for op in file.operators:
        name = file.tensors[op.outputs[0]].name
        behind = next((leader[i] for i in op.inputs if i in leader), None)
        if op.name in MOVERS and behind is not None:
            found[behind] = msgspec.structs.replace(found[behind], followers=(*found[behind].followers, name))
        else:
            behind = len(found)
            found.append(Layer(name, op.name, _work(file, op)))
        leader |= dict.fromkeys(op.outputs, behind)
    return found


def assignment(all_layers: Sequence[Layer], types: Mapping[str, Precision], default: Precision) -> dict[str, Precision]:
    """The type of every operator, where layers have those in `types` and the others `default`."""
    return {name: types.get(layer.name, default) for layer in all_layers for name in (layer.name, *layer.followers)}


def cost(file: TfliteFile) -> int:
    """Multiply-accumulates, or values computed where there are none, each weighted by the widest activation of its operator."""
    total = 0
    for op in file.operators:
        types = {file.tensors[i].dtype for i in (*op.inputs, *op.outputs) if i >= 0 and not file.tensors[i].constant}
        total += _work(file, op) * max((WEIGHT.get(dtype, 1) for dtype in types), default=1)
    return total


def search(ranked: Sequence[str], allow: Sequence[Precision], budget: float, attempt: Attempt) -> list[Trial]:
    """Trials in the order in which they were made; the first is all int8, and the chosen one the last that is within `budget`.

    The fewest of the layers in `ranked` are widened, the worst first, to the cheapest type in `allow` that suffices; then
    each that can do with less gets it.
    """
    trials = [attempt({})]
    if trials[0].harm.drop <= budget:
        return trials
    for precision in sorted(allow, key=lambda p: WEIGHT[TYPES[p]]):
        best = _fewest(ranked, precision, budget, attempt, trials)
        if best is not None:
            _narrow(best, [p for p in ("int16",) if p in allow and p != precision], budget, attempt, trials)
            break
    return trials


def chosen(trials: Sequence[Trial], budget: float) -> tuple[Trial, bool]:
    """The cheapest trial within the budget, or the one that lost least; and whether it is within it."""
    within = [trial for trial in trials if trial.harm.drop <= budget]
    return (min(within, key=lambda t: t.cost), True) if within else (min(trials, key=lambda t: (t.harm.drop, t.cost)), False)


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in cost and drop at once, the cheapest first."""
    found: list[Trial] = []
    for trial in sorted(trials, key=lambda t: (t.cost, t.harm.drop)):
        if not found or trial.harm.drop < found[-1].harm.drop:
            found.append(trial)
    return found


def _fewest(ranked: Sequence[str], precision: Precision, budget: float, attempt: Attempt, trials: list[Trial]) -> Trial | None:
    """The trial with the fewest of `ranked` widened that is within the budget: doubling, then halving the gap."""

    def widened(count: int) -> Trial:
        trials.append(attempt(dict.fromkeys(ranked[:count], precision)))
        return trials[-1]

    below, count = 0, 1
    while (trial := widened(count)).harm.drop > budget:
        if count == len(ranked):
            return None
        below, count = count, min(2 * count, len(ranked))
    while count - below > 1:
        middle = (below + count) // 2
        tried = widened(middle)
        if tried.harm.drop <= budget:
            count, trial = middle, tried
        else:
            below = middle
    return trial


def _narrow(best: Trial, between: Sequence[Precision], budget: float, attempt: Attempt, trials: list[Trial]) -> None:
    """Give each widened layer int8, or a type between, where the budget still holds; in the order of their ranks."""
    for name in list(best.wide):
        for candidate in ({k: v for k, v in best.wide.items() if k != name}, *(best.wide | {name: p} for p in between)):
            if candidate:
                trials.append(attempt(candidate))
                if trials[-1].harm.drop <= budget:
                    best = trials[-1]
                    break


def _work(file: TfliteFile, op: Operator) -> int:
    return max(op.macs, file.tensors[op.outputs[0]].elements)
