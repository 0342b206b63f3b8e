"""Facts about a device, as emulators and estimates use them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from toolchain.settings import suggest

Positive = Annotated[int, msgspec.Meta(gt=0)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]

FEATURES = {
    "dsp": "Arm's DSP extension: two 16-bit multiply-accumulates in one instruction (SMLAD)",
    "mve": "Arm's M-profile vector extension, Helium",
    "fpu_sp": "hardware for single precision",
    "fpu_dp": "hardware for single and double precision",
    "pie": "vector instructions of the ESP32-S3",
    "neon": "Arm's Advanced SIMD",
    "fp16": "Arm's half-precision arithmetic",
    "dotprod": "Arm's 8-bit dot products (SDOT, UDOT)",
    "i8mm": "Arm's 8-bit matrix products",
    "sve2": "Arm's scalable vectors, version 2",
}
"""What a core can have beside its base instruction set; kernels are chosen by it."""


class Cpu(msgspec.Struct, frozen=True):
    """The core that runs the model."""

    core: str
    """Its name in small letters: `cortex-m4`."""
    clock_hz: Positive
    isa: str | None = None
    """The base instruction set: `Armv7E-M`."""
    cores: Positive = 1
    """How many of this core; other kinds of cores are not counted."""
    features: tuple[str, ...] = ()
    icache_bytes: Positive | None = None
    dcache_bytes: Positive | None = None
    """First-level caches of one core."""
    l2_bytes: Positive | None = None
    """Of one core, or of all where they share it."""
    l3_bytes: Positive | None = None

    def __post_init__(self) -> None:
        for feature in self.features:
            if feature not in FEATURES:
                raise ValueError(f"no {feature!r} in features; {suggest(feature, FEATURES)}")


class Memory(msgspec.Struct, frozen=True):
    """Memory in bytes; what is reserved is not there for the model."""

    sram_bytes: Positive | None = None
    """On the chip. None: the model and its tensors lie in external RAM, under an operating system."""
    contiguous_sram_bytes: Positive | None = None
    """The largest piece of SRAM that one array can take, where the SRAM is not one piece."""
    external_ram_bytes: Positive | None = None
    flash_bytes: Positive | None = None
    """None: the model lies in a file system or in RAM."""
    reserved_flash_bytes: Bytes = 0
    reserved_sram_bytes: Bytes = 0


class Runtime(msgspec.Struct, frozen=True):
    """What executes the model there."""

    engine: Literal["tflm", "litert"]
    """Its facts lie in targets/engines/."""
    formats: tuple[Literal["tflite", "onnx"], ...]
    dtypes: tuple[str, ...]
    """Types of activations it computes; a float model is refused where float32 is missing, not slowed."""


class Npu(msgspec.Struct, frozen=True):
    """A processor for neural networks beside the core."""

    kind: str
    """Family and size: `ethos-u55-256`."""
    clock_hz: Positive | None = None

    @property
    def family(self) -> str:
        """The kind without its size: `ethos-u55`."""
        stem, _, size = self.kind.rpartition("-")
        return stem if size.isdigit() else self.kind


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
    npu: Npu | None = None
