"""The program that runs on the emulated core, in its own folder: an engine on examples as the file stores them.

Called with the engine, the model's file, how many of the examples in input_0.npy, input_1.npy, ... are run, and how
often the last one is repeated; writes outputs.npy. Only NumPy and the engine are there.

Repetitions lie between calls of a function that nothing else calls; its address, at which an emulator can cut its
counts, stands in mark.txt. The first two calls have nothing between them: what they count is the cost of marking.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np


class LiteRT:
    """XNNPACK where it takes an operator, as in applications."""

    def __init__(self, model: str, row: list[Any]) -> None:
        module = importlib.import_module("ai_edge_litert.interpreter")
        self._interpreter = module.Interpreter(model, num_threads=1)
        for detail, x in zip(self._interpreter.get_input_details(), row, strict=True):
            if tuple(detail["shape"]) != x.shape:
                self._interpreter.resize_tensor_input(detail["index"], x.shape)
        self._interpreter.allocate_tensors()
        self.repeat = self._interpreter.invoke

    def predict(self, row: list[Any]) -> Any:
        """The first output."""
        for detail, x in zip(self._interpreter.get_input_details(), row, strict=True):
            self._interpreter.set_tensor(detail["index"], x)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"])


class OnnxRuntime:
    """The CPU kernels; inputs and outputs stay bound, so that a repetition copies nothing."""

    def __init__(self, model: str, row: list[Any]) -> None:
        module = importlib.import_module("onnxruntime")
        options = module.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = module.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def predict(self, row: list[Any]) -> Any:
        """The first output."""
        for node, x in zip(self._session.get_inputs(), row, strict=True):
            self._binding.bind_cpu_input(node.name, x)
        self.repeat()
        return self._binding.copy_outputs_to_cpu()[0]

    def repeat(self) -> None:
        """Run on what is bound."""
        self._session.run_with_iobinding(self._binding)


def main(engine: str, model: str, examples: int, repetitions: int) -> None:
    """Run the examples, then the last one again."""
    inputs = [np.load(f"input_{index}.npy") for index in range(len(list(Path().glob("input_*.npy"))))]
    rows = [[x[index : index + 1] for x in inputs] for index in range(examples)]
    runner: Any = {"litert": LiteRT, "onnxruntime": OnnxRuntime}[engine](model, rows[0])
    np.save("outputs.npy", np.concatenate([runner.predict(row) for row in rows]))
    mark = ctypes.pythonapi.PyGC_IsEnabled
    Path("mark.txt").write_text(f"{ctypes.cast(mark, ctypes.c_void_p).value:x}")
    mark()
    mark()
    for _ in range(repetitions):
        runner.repeat()
        mark()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
