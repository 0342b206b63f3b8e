"""What every operator of a .tflite answers, in LiteRT's reference kernels ("bit-exact at every layer") or in its fast ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolchain.data import Array
from toolchain.errors import ModelError
from toolchain.runners.litert import quantized


class Layers:
    """An interpreter that keeps all tensors of an inference; XNNPACK could not, it leaves out what lies between its operators."""

    def __init__(self, path: Path, kernels: Literal["reference", "builtin"] = "reference") -> None:
        """Raises ModelError where the interpreter refuses the file."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = {"reference": OpResolverType.BUILTIN_REF, "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}[kernels]
        self._path = path
        try:
            self._interpreter: Any = Interpreter(str(path), experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise self._refusal(err) from None
        self._inputs = self._interpreter.get_input_details()

    def stored(self, row: list[Array]) -> list[Array]:
        """Real inputs as the file stores them, each with its batch axis of one."""
        return [quantized(x, detail) for x, detail in zip(row, self._inputs, strict=True)]

    def run(self, row: list[Array]) -> None:
        """One inference on inputs as stored, each with its batch axis of one. Raises ModelError where a kernel or a shape does not fit."""
        try:
            for detail, x in zip(self._inputs, row, strict=True):
                self._interpreter.set_tensor(detail["index"], x)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as err:
            raise self._refusal(err) from None

    def _refusal(self, err: Exception) -> ModelError:
        return ModelError(f"{self._path}: LiteRT cannot run it ({str(err).strip().splitlines()[0][:200]})")

    def run_on_zeros(self) -> None:
        """One inference on zeros: what does not depend on the inputs' values is right after it."""
        self.run([np.zeros(detail["shape"], detail["dtype"]) for detail in self._inputs])

    def tensor(self, index: int) -> Array:
        """The values of a tensor after the last inference, as stored. Raises ModelError where it has none."""
        try:
            found: Array = self._interpreter.get_tensor(index)
        except ValueError as err:
            raise ModelError(str(err)) from None
        return found
