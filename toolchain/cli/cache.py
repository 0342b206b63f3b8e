"""`secateur cache`: what finished steps take on disk."""

from __future__ import annotations

from typing import Annotated

import typer


def cache(clear: Annotated[bool, typer.Option("--clear", help="Remove every finished step")] = False) -> None:
    """Show where finished steps are kept and how large they are, or clear them.

    \b
    secateur cache
    secateur cache --clear
    """
    from toolchain.cache import Cache

    store = Cache()
    size = store.size_bytes()
    if clear:
        store.clear()
    print(f"{store.root}: {size / 1e6:,.1f} MB{' removed' if clear else ''}")
