"""secateur: trained Keras models made ready for phones and microcontrollers.

`toolchain.run(...)` and `toolchain.bench(...)` do what the commands do and return typed objects. Importing this package
loads no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolchain.benchmark import bench
    from toolchain.pipeline import run

__all__ = ["bench", "run"]


def __getattr__(name: str) -> Any:
    if name == "run":
        from toolchain.pipeline import run

        return run
    if name == "bench":
        from toolchain.benchmark import bench

        return bench
    raise AttributeError(f"module 'toolchain' has no attribute {name!r}")
