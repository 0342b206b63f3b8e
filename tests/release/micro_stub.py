"""Headers with the part of TensorFlow Lite Micro's API that the C++ example uses, to compile it where the library is not.

Declarations as in micro_interpreter.h, micro_mutable_op_resolver.h and schema_generated.h of tensorflow/tflite-micro.
The interpreter here answers with its input, so that what stands around it can be run.
"""

HEADERS = {
    "tensorflow/lite/schema/schema_generated.h": """
#pragma once
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model { unsigned version() const { return 3; } };
inline const Model *GetModel(const void *) { static Model model; return &model; }
}
""",
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """
#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
class MicroOpResolver {};
template <unsigned int kOperators> class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddConv2D() { return added(); }
  TfLiteStatus AddDepthwiseConv2D() { return added(); }
  TfLiteStatus AddAveragePool2D() { return added(); }
  TfLiteStatus AddSoftmax() { return added(); }
  TfLiteStatus AddReshape() { return added(); }
 private:
  TfLiteStatus added() { return ++count_ > kOperators ? kTfLiteError : kTfLiteOk; }
  unsigned int count_ = 0;
};
}
""",
    "tensorflow/lite/micro/micro_interpreter.h": """
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model *, const MicroOpResolver &, uint8_t *arena, size_t bytes) : arena_(arena), bytes_(bytes) {}
  TfLiteStatus AllocateTensors() { return reinterpret_cast<uintptr_t>(arena_) % 16 || bytes_ < 1024 ? kTfLiteError : kTfLiteOk; }
  template <class T> T *typed_input_tensor(int) { return reinterpret_cast<T *>(arena_); }
  template <class T> T *typed_output_tensor(int) { return reinterpret_cast<T *>(arena_ + 512); }
  TfLiteStatus Invoke() { memcpy(arena_ + 512, arena_, 512); return kTfLiteOk; }
 private:
  uint8_t *arena_;
  size_t bytes_;
};
}
""",
}
