"""Code for other processors: compiled, run in an emulator within limits, and its instructions counted."""
