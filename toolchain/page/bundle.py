"""Vega-Lite for the browser: one script that draws every chart, inlined in the page so that it needs no network.

vl-convert (BSD-3-Clause) bundles Vega, Vega-Lite and Vega-Embed in two seconds; the result is kept in the user's cache.
"""

from __future__ import annotations

import functools
from importlib.metadata import version

from toolchain.cache import Cache
from toolchain.files import write

EXPOSED = "window.vegaEmbed = vegaEmbed;"
"""What the page's own script needs of it."""


@functools.cache
def javascript() -> str:
    """The script of the installed version."""
    path = Cache().tools / f"vega-{version('vl-convert-python')}.js"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    import vl_convert  # a page is made without it once the script is kept

    script = str(vl_convert.javascript_bundle(EXPOSED))
    write(path, script.encode())
    return script
