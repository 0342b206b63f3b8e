"""Bundles that a device team can trust: reproducible, described, signed, and checked by `secateur verify`."""
