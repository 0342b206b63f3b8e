"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str | None,
    typer.Option(help="mnist_5k, digits, fashion_mnist, cifar10, an .npz, a folder of class folders of images, or package.module:function"),
]
Targets = Annotated[
    list[str] | None, typer.Option("--target", help="A device, by name or .toml file; may be repeated. See: secateur targets")
]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that the model file names: Lambda layers and custom classes")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of the runtimes that are timed")]
TimeLimit = Annotated[float, typer.Option(min=1, help="Seconds after which a converter or an interpreter is stopped")]
Out = Annotated[Path, typer.Option(help="Folder for the files, report.json and report.html")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output")]
Scale = Annotated[str, typer.Option(help="Factor on every input, such as 0.5 or 1/255, as the recipe's data.scale")]
Offset = Annotated[float, typer.Option(help="Added to every input after the factor")]
