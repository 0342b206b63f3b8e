"""report.html: a run on one self-contained page. The decision comes first, the evidence below it."""

from toolchain.page.render import render

__all__ = ["render"]
