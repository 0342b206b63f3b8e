"""The licence of a release: an SPDX expression that somebody stated, and its text where one is at hand."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Final

from toolchain.errors import BundleError
from toolchain.optional import require

UNSTATED: Final = "NOASSERTION"
"""SPDX's word for: nobody said (SPDX 2.3, clause 7.13)."""

OWN: Final = "Apache-2.0"
"""The toolchain's own licence, whose text is installed with it."""

_EXAMPLES: Final = "give an SPDX expression: MIT, Apache-2.0, LicenseRef-Ours"


def checked(expression: str) -> str:
    """The expression in SPDX's spelling (`mit` becomes MIT). Raises BundleError for one that is no SPDX expression."""
    if expression == UNSTATED or re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", expression):
        return expression
    licensing = require("license_expression", "release")
    try:
        found = licensing.get_spdx_licensing().parse(expression, validate=True, strict=True, simple=True)
    except licensing.ExpressionError as err:
        raise BundleError(f"--license {expression!r}: {' '.join(str(err).split())}; {_EXAMPLES}") from None
    if found is None:
        raise BundleError(f"--license is empty; {_EXAMPLES}, or leave it out")
    return str(found)


def text(spdx: str) -> bytes:
    """What stands in LICENSE when the user gives no file."""
    if spdx == UNSTATED:
        return b"Nobody stated a licence for these models. Ask whoever gave them to you before you use or pass them on.\n"
    if spdx == OWN and (full := importlib.metadata.distribution("secateur").read_text("licenses/LICENSE")):
        return full.encode()
    lines = (
        f"SPDX-License-Identifier: {spdx}",
        "",
        "The text of the licence is not in this bundle. Texts of licences by their SPDX identifier: https://spdx.org/licenses/",
    )
    return "\n".join((*lines, "")).encode()
