"""What int8 quantization loses, wins back, and costs: one command, results kept (README)."""
