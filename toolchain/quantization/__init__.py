"""What int8 does to a float model, and how to choose weights, biases and ranges so that it does less (docs/quantization.md)."""
