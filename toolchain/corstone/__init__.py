"""Arm's firmware for Corstone-300: TensorFlow Lite Micro with CMSIS-NN on a Cortex-M55, run in QEMU as the vendor built it."""
