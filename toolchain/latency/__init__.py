"""Milliseconds on real boards, estimated from published measurements: the work of a file, profiles, and their use."""
