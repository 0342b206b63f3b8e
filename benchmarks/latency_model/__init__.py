"""Calibration of the latency profiles in targets/profiles; `__main__` tells what is written."""
