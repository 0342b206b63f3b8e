"""What is measured of a finished file: size, accuracy, fidelity, latency. NumPy only; no framework."""
