/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX in float32, as LiteRT computes it for int8: kernels/internal/optimized/optimized_ops.h, SoftmaxInt8LUT. */
#include "sct_arithmetic.h"

void sct_softmax(int32_t rows, int32_t depth, const float *exponentials, const int8_t *x, int8_t *y) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t largest = INT8_MIN;
    float sum = 0.0f;
    for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < depth; ++i) sum += exponentials[largest - x[i]];
    const float steps = 1.0f / (sum * (1.0f / 256.0f));
    for (int32_t i = 0; i < depth; ++i) {
      const float share = exponentials[largest - x[i]] * steps;
      y[i] = (int8_t)sct_clamp(sct_nearest(share) + INT8_MIN, INT8_MIN, INT8_MAX);
    }
  }
}
