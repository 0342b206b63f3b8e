/* SPDX-License-Identifier: Apache-2.0 */
/* FULLY_CONNECTED, requantized with one rounding as the reference kernel of LiteRT 2.3 does. */
#include "sct_arithmetic.h"
#include "sct_dot.h"

void sct_dense(const sct_dense_shape *shape, const int8_t *x, const int8_t *weights, const int32_t *bias,
               const sct_fine_scale *scale, int8_t *y) {
  const int32_t length = shape->in_features, features = shape->out_features;
  for (int32_t row = 0; row < shape->rows; ++row, x += length, y += features) {
    for (int32_t c = 0, count; c < features; c += count) {
      count = features - c < 4 ? features - c : 4;
      const int32_t step = count < 4 ? 0 : length;
      if (count < 4) count = 1;
      int32_t sums[4] = {0};
      sct_dot(x, weights + c * length, step, length, sums);
      for (int32_t i = 0; i < count; ++i) {
        const int32_t value = sct_requantize_once(sums[i] + bias[c + i], &scale[c + i]) + shape->out_zero;
        y[c + i] = (int8_t)sct_clamp(value, shape->minimum, shape->maximum);
      }
    }
  }
}
