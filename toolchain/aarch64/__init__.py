"""The arm64 builds of LiteRT and onnxruntime on this machine: a small arm64 system, the emulated core, and what runs on it."""
