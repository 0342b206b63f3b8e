"""Facts about a device, as emulators and estimates use them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Cpu(msgspec.Struct, frozen=True):
    """The core that runs the model."""

    core: str
    clock_hz: int
    cores: int = 1
    features: tuple[str, ...] = ()


class Memory(msgspec.Struct, frozen=True):
    """Memory in bytes; what is reserved is not there for the model."""

    sram_bytes: int
    flash_bytes: int | None = None
    """None: the model lies in a file system."""
    reserved_flash_bytes: int = 0
    reserved_sram_bytes: int = 0


class Runtime(msgspec.Struct, frozen=True):
    """What executes the model there."""

    engine: Literal["tflm", "litert"]
    formats: tuple[str, ...]
    dtypes: tuple[str, ...]
    """Types of activations it computes; a float model is refused where float32 is missing, not slowed."""


class Speed(msgspec.Struct, frozen=True):
    """What a layer costs there: what a pruning to a budget of milliseconds counts with. An estimate, never a measurement."""

    channel_step: Annotated[int, msgspec.Meta(ge=1)]
    """Channels that the kernels compute together."""
    macs_per_s: Annotated[float, msgspec.Meta(gt=0)]
    layer_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds that every product of matrices costs beside its multiply-accumulates: one a convolution, six an attention."""


class Device(msgspec.Struct, frozen=True):
    """A device, without the ways to emulate it."""

    name: str
    title: str
    cpu: Cpu
    memory: Memory
    runtime: Runtime
