"""What a step says about its work, as far as the page tells it. A step may say more; what stands here has this form."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from toolchain.quantities import Amount, Count, Real


class Change(msgspec.Struct, frozen=True):
    """A count before and after a stage."""

    before: Count
    after: Count


class Group(msgspec.Struct, frozen=True):
    """Channels of coupled layers."""

    layers: tuple[str, ...]
    before: Count
    after: Count


class PackageCost(msgspec.Struct, frozen=True):
    """A C package, linked for a core."""

    core: str
    flash_bytes: Count
    ram_bytes: Count
    stack_bytes: Count
    instructions: Count


class Package(msgspec.Struct, frozen=True):
    """What a C package costs."""

    costs: tuple[PackageCost, ...] = ()


class Assignment(msgspec.Struct, frozen=True):
    """Types of layers that no others beat in both cost and loss."""

    int16: tuple[str, ...]
    float32: tuple[str, ...]
    cost: Amount
    drop: Real
    sqnr_db: Real | None
    bytes: Count


class AloneInInt8(msgspec.Struct, frozen=True):
    """What one layer in int8 costs the answers."""

    layer: str
    operator: str
    drop: Real
    sqnr_db: Real | None


class Range(msgspec.Struct, frozen=True):
    """What calibration found for a tensor."""

    tensor: str
    min: Real
    max: Real
    scale: Real
    zero_point: int
    clipped: Real


class Details(msgspec.Struct, frozen=True):
    """Everything that is known by its name."""

    groups: dict[str, Group] | UnsetType = UNSET
    macs: Change | UnsetType = UNSET
    params: Change | UnsetType = UNSET
    package: Package | UnsetType = UNSET
    pareto: tuple[Assignment, ...] | UnsetType = UNSET
    sensitivity: tuple[AloneInInt8, ...] | UnsetType = UNSET
    ranges: tuple[Range, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """What is told together stands together."""
        if self.groups is not UNSET and UNSET in (self.macs, self.params):
            raise ValueError("groups without macs and params")
        if self.pareto is not UNSET and self.sensitivity is UNSET:
            raise ValueError("pareto without sensitivity")
