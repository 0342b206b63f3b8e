"""`secateur demo`: the main job on real data that a package ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolchain.cli import options


def demo(
    out: options.Out = Path("out/demo"),
    target: Annotated[list[str], typer.Option("--target", help="A device, by name or .toml file; may be repeated")] = ["stm32f746"],  # noqa: B006
) -> None:
    """Train a small CNN on 5,000 MNIST digits, run the recipe edge_int8 on it, bundle the result and verify the bundle.

    \b
    secateur demo
    secateur demo --out elsewhere --target pico
    """
    from toolchain import demonstration
    from toolchain.cli import display
    from toolchain.cli.release import show as show_release
    from toolchain.cli.run import show
    from toolchain.cli.verify import show as show_verified

    with display.progress() as progress:
        report = demonstration.run(out, target, progress)
    show(report, out)
    with display.progress() as progress:
        released, verified = demonstration.ship(out, progress)
    show_release(released)
    show_verified(verified)
    print(f"next: open {out}/report.html, which says what to ship where")
