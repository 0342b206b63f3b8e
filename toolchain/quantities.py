"""Numbers as files may hold them: what lies outside was never counted or measured, and would break whoever calculates with it."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Bytes, operations, examples; up to where every reader of JSON has whole numbers (RFC 8259, section 6)."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=1e-6, le=1e9)]
"""From a nanosecond, which no clock here resolves, to eleven days."""
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""Seconds, a part of a time, the load of a machine."""
Real = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
"""Leaves room for percentages and sums."""
