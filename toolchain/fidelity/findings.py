"""What a comparison finds, as one typed document: JSON in and out."""

from __future__ import annotations

from typing import Literal

import msgspec

from toolchain.comparison import Distance
from toolchain.fidelity.noise import lower
from toolchain.measure.accuracy import Score

Kind = Literal[
    "channel_range", "saturation", "zero_point", "scale", "weights", "arithmetic", "not_finite", "accumulated", "none", "unknown"
]
"""Why a layer is off, or that no layer stands out; docs/compare.md tells how each is found."""


class Rung(msgspec.Struct, frozen=True):
    """One file on one engine, against the outputs of the model."""

    file: str
    scheme: str
    engine: str
    runtime: str | None
    reason: str | None
    """Why there are no numbers; None where there are."""
    distance: Distance | None = None
    agreement: float | None = None
    """Share of examples with the same top-1 answer as the model's."""
    score: Score | None = None
    """Against the labels, where there are any."""


class EngineDifference(msgspec.Struct, frozen=True):
    """Two engines on the same file and inputs."""

    file: str
    first: str
    second: str
    values: int
    differing: int
    max_steps: int | None
    """Largest difference of stored integers; None for float outputs."""
    max_difference: float
    """Of real values."""


class Reason(msgspec.Struct, frozen=True):
    """Why a layer alone is as far off as it is, in numbers."""

    kind: Kind
    text: str
    channel: int | None = None
    """The channel that causes it, counted from 0."""


class Own(msgspec.Struct, frozen=True):
    """What one layer adds to the error when its inputs are the model's, in dB of SQNR; None is exact."""

    sqnr_db: float | None
    """Of weights and answer together."""
    channel_sqnr_db: float | None
    """The median of the channels."""
    weights_db: float | None
    """The layer in real numbers with the file's weights, against the model's."""
    output_db: float | None
    """What rounding, saturation and integer arithmetic of the answer add."""
    inputs_db: float | None
    """What the grids of its inputs cost this layer; the layers before it are to blame for that."""


class LayerError(msgspec.Struct, frozen=True):
    """One tensor of a file and the tensor of the model it stands for."""

    name: str
    """Keras layers where the model is a Keras file, otherwise the model's tensor."""
    operator: str
    tensor: str
    shape: tuple[int, ...]
    """One example, in the model's layout."""
    sqnr_db: float | None
    channel_sqnr_db: float | None
    before_db: float | None
    """The lowest level among its inputs; None is exact."""
    own: Own | None
    """None where the layer could not be run alone; `notes` say why."""
    saturated: float | None
    """Share of the model's values that lie beyond the ends of the file's grid; None without a grid."""
    reason: Reason | None

    @property
    def level_db(self) -> float | None:
        """The accumulated error: the whole tensor's SQNR or the median channel's, whichever is lower."""
        return lower(self.sqnr_db, self.channel_sqnr_db)

    @property
    def own_db(self) -> float | None:
        """What the layer alone adds, measured alike; None is exact, or unknown."""
        return None if self.own is None else lower(self.own.sqnr_db, self.own.channel_sqnr_db)


class Anomaly(msgspec.Struct, frozen=True):
    """Channels that do not work."""

    where: str
    kind: Literal["dead", "constant", "saturated", "not finite"]
    channels: tuple[int, ...]
    of: int
    """How many channels there are."""


class Blame(msgspec.Struct, frozen=True):
    """The first layer where the error jumps."""

    layer: str | None
    """None where no layer stands out."""
    reason: Reason
    others: tuple[str, ...] = ()
    """Further layers that stand out, in the order of depth."""


class FileLayers(msgspec.Struct, frozen=True):
    """A file layer by layer."""

    file: str
    examples: int
    layers: tuple[LayerError, ...]
    blame: Blame
    anomalies: tuple[Anomaly, ...]
    unmatched: tuple[str, ...]
    """Layers of the model that have no tensor in the file."""
    unknown: tuple[str, ...]
    """Tensors of the file that are none of the model's."""
    notes: tuple[str, ...]


class Ladder(msgspec.Struct, frozen=True):
    """All files against the model, in the order given; the first rung is the model itself."""

    model: str
    examples: str
    rungs: tuple[Rung, ...]
    engines: tuple[EngineDifference, ...]
    files: tuple[FileLayers, ...]
    anomalies: tuple[Anomaly, ...]
    """Of the model."""
    notes: tuple[str, ...]
