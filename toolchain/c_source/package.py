"""The files of a C package: the model, its constants, the kernels it calls, a Makefile, an example and a README."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from toolchain.c_source.calls import Argument, Call, Constant, Scratch, Settings, Use
from toolchain.c_source.program import Program, Step, nbytes, scratch_name, tensor_name
from toolchain.data import Array
from toolchain.runners.litert_layers import Layers
from toolchain.tflite_file import DTYPES, Tensor

TYPES = {"INT8": "int8_t", "UINT8": "uint8_t", "FLOAT32": "float"}
FILES = {
    "sct_conv.c": ("conv",), "sct_depthwise.c": ("depthwise",), "sct_dense.c": ("dense",), "sct_pairwise.c": ("add", "sub", "mul"),
    "sct_pool.c": ("average_pool", "max_pool", "mean"), "sct_softmax.c": ("softmax",), "sct_move.c": ("copy", "fill"),
    "sct_convert.c": ("table", "dequantize", "quantize"), "sct_resize.c": ("resize_bilinear", "resize_nearest"),
}  # fmt: skip
"""Which kernels each file of targets/cortex_m/kernels holds."""


class Port(msgspec.Struct, frozen=True):
    """An input or output of the generated function."""

    name: str
    macro: str
    type: str
    shape: str
    elements: int
    scale: str | None
    zero_point: int
    is_output: bool
    comment: str


class Cost(msgspec.Struct, frozen=True):
    """What one inference takes on an emulated core, for the README."""

    core: str
    emulator: str
    note: str | None
    """How what was emulated differs from the core."""
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    instructions: int


def sources() -> Path:
    """Where kernels and templates lie."""
    return Path(str(importlib.resources.files("targets"))) / "cortex_m"


def render(template: Path, facts: Mapping[str, Any]) -> str:
    """Fill a template of C or Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template(template.name).render(facts)


def identifier(stem: str) -> str:
    """A C name from a file's: letters, digits and underscores, beginning with a letter."""
    found = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    return found if found[:1].isalpha() else f"model_{found}".rstrip("_")


class Package:
    """A program under the name that its functions and files begin with."""

    def __init__(self, program: Program, name: str) -> None:
        self.program, self.name = program, identifier(name)
        self.ports = [*self._ports(program.inputs, "input", False), *self._ports(program.outputs, "output", True)]
        self._places = self._placed()

    @property
    def kernels(self) -> list[str]:
        """The kernel files that its calls need."""
        return [file for file, held in FILES.items() if set(held) & set(self.program.kernels)]

    def write(self, folder: Path) -> None:
        """Write all that compiles: model, constants, kernels, Makefile and example."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (*self.kernels, *(path.name for path in (sources() / "kernels").glob("*.h"))):
            shutil.copyfile(sources() / "kernels" / file, folder / file)
        steps = [self._step(step) for step in self.program.steps]
        facts = self.facts | {"steps": steps, "buffers": self._buffers()}
        constants = [line for step in self.program.steps for call in self._numbered(step) for line in self._definitions(*call)]
        objects = " ".join(f"{Path(file).stem}.o" for file in (f"{self.name}.c", *self.kernels))
        for template, name, more in (
            ("model.h.j2", f"{self.name}.h", {}),
            ("model.c.j2", f"{self.name}.c", {}),
            ("constants.h.j2", f"{self.name}_constants.h", {"constants": constants}),
            ("example.c.j2", "example.c", {"vectors": self._vectors()}),
            ("Makefile.j2", "Makefile", {"objects": objects}),
        ):
            (folder / name).write_text(render(sources() / "package" / template, facts | more))

    def write_readme(self, folder: Path, costs: Sequence[Cost], unmeasured: Sequence[str], compared: str | None) -> None:
        """Write the README with what was compared and measured, and why something was not."""
        port_bytes = sum(nbytes(tensor) for tensor in (*self.program.inputs, *self.program.outputs))
        compiler = f"ziglang {importlib.metadata.version('ziglang')}" if costs else None
        facts = self.facts | {
            "costs": costs, "unmeasured": unmeasured, "compared": compared, "compiler": compiler,
            "macs": self.program.macs, "port_bytes": port_bytes,
        }  # fmt: skip
        (folder / "README.md").write_text(render(sources() / "package" / "README.md.j2", facts))

    @property
    def facts(self) -> dict[str, Any]:
        """What templates know of it."""
        parameters = ", ".join(f"{'' if port.is_output else 'const '}{port.type} *{port.name}" for port in self.ports)
        return {
            "name": self.name, "NAME": self.name.upper(),
            "source": _safe(self.program.source.name), "version": importlib.metadata.version("secateur"),
            "arena_bytes": self.program.arena.bytes, "ports": self.ports, "parameters": parameters,
            "arguments": ", ".join(port.name for port in self.ports),
        }  # fmt: skip

    def _ports(self, tensors: Sequence[Tensor], kind: str, is_output: bool) -> list[Port]:
        names = [kind] if len(tensors) == 1 else [f"{kind}_{i}" for i in range(len(tensors))]
        return [
            Port(
                name, f"{self.name.upper()}_{name.upper()}", TYPES[t.dtype], " x ".join(map(str, t.shape)), t.elements,
                _float(t.scale[0]) if t.scale else None, t.zero_point[0] if t.zero_point else 0, is_output, _safe(t.name),
            )
            for name, t in zip(names, tensors, strict=True)
        ]  # fmt: skip

    def _placed(self) -> dict[int, str]:
        """The C expression for where each tensor lies."""
        ports = zip(self.ports, (*self.program.inputs, *self.program.outputs), strict=True)
        names = {tensor.index: port.name if port.type == "int8_t" else f"({_const(port)}int8_t *){port.name}" for port, tensor in ports}
        homes = {index: self.program.homes.get(index, index) for index in range(len(self.program.tensors))}
        return {index: names.get(home, tensor_name(home)) for index, home in homes.items()}

    def _step(self, step: Step) -> dict[str, Any]:
        op = step.operator
        output = self.program.tensors[op.outputs[0]]
        return {
            "index": step.index,
            "comment": f"{step.index} {op.name}: {_safe(output.name)}",
            "calls": [f"sct_{call.kernel}({', '.join(self._argument(a, prefix, step) for a in call.arguments)});"
                      for prefix, call in self._numbered(step)],
            "output": self._places[output.index],
            "bytes": nbytes(output),
        }  # fmt: skip

    def _buffers(self) -> list[dict[str, Any]]:
        return [{"name": name, "offset": offset} for name, offset in sorted(self.program.arena.offsets.items(), key=lambda item: item[1])]

    @staticmethod
    def _numbered(step: Step) -> list[tuple[str, Call]]:
        """Each call with the prefix of its constants' names."""
        if len(step.calls) == 1:
            return [(f"layer_{step.index}", step.calls[0])]
        return [(f"layer_{step.index}_{part}", call) for part, call in enumerate(step.calls)]

    def _argument(self, argument: Argument, prefix: str, step: Step) -> str:
        match argument:
            case Use(tensor):
                place = self._places[tensor]
                kind = self.program.tensors[tensor].dtype
                return place.replace("int8_t *", "float *") if kind == "FLOAT32" else place
            case Constant(label):
                return f"{prefix}_{label}"
            case Settings(type):
                return f"&{prefix}_{type.removeprefix('sct_')}"
            case Scratch():
                return scratch_name(step.index)
            case float():
                return _float(argument)
            case int():
                return str(argument)

    def _definitions(self, prefix: str, call: Call) -> list[str]:
        found = []
        for argument in call.arguments:
            match argument:
                case Constant(label, type, values):
                    found.append(f"static const {type} {prefix}_{label}[] = {{{_array(type, values)}}};")
                case Settings(type, fields):
                    members = ", ".join(f".{key} = {_member(value)}" for key, value in fields.items())
                    found.append(f"static const {type} {prefix}_{type.removeprefix('sct_')} = {{{members}}};")
        return found

    def _vectors(self) -> list[str]:
        """A random input and the reference kernels' answer to it."""
        rng = np.random.default_rng(0)
        inputs = [_random(rng, tensor) for tensor in self.program.inputs]
        layers = Layers(self.program.source)
        layers.run(inputs)
        outputs = [layers.tensor(tensor.index) for tensor in self.program.outputs]
        kinds = [(port, values) for port, values in zip(self.ports, (*inputs, *outputs), strict=True)]
        return [
            f"static const {port.type} {'expected_' if port.is_output else ''}{port.name}[] = {{{_array(port.type, values)}}};"
            for port, values in kinds
        ]


def _random(rng: np.random.Generator, tensor: Tensor) -> Array:
    if tensor.dtype == "FLOAT32":
        return rng.uniform(-1, 1, tensor.shape).astype(np.float32)
    limits = np.iinfo(DTYPES[tensor.dtype])
    return rng.integers(limits.min, limits.max + 1, tensor.shape).astype(DTYPES[tensor.dtype])


def _const(port: Port) -> str:
    return "" if port.is_output else "const "


def _member(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        return _member(msgspec.structs.astuple(value))
    return f"{{{', '.join(map(_member, value))}}}" if isinstance(value, tuple) else str(value)


def _array(type: str, values: Array) -> str:
    if type == "float":
        return ", ".join(map(_float, values.ravel().tolist()))
    if values.ndim == 2 and type.startswith("sct_"):
        return ", ".join(f"{{{', '.join(map(str, row))}}}" for row in values.tolist())
    return ", ".join("INT32_MIN" if value == -(2**31) else str(value) for value in values.ravel().tolist())


def _float(value: float) -> str:
    """A float32 literal that reads back as the same bits."""
    return f"{value:.9e}f"


def _safe(text: str) -> str:
    """A name from a file, for a comment."""
    return re.sub(r"[^\w./:;, -]", "_", text, flags=re.ASCII)[:100].replace("/*", "/ *").replace("//", "/ /")
