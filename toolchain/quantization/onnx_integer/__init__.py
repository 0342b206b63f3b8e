"""An int8 .tflite as ONNX that answers as LiteRT does, to the last bit: the network with its own scales for another runtime."""
