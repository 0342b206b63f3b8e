/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one value: tables, and the change between int8 and float. */
#include "sct_arithmetic.h"

void sct_table(int32_t count, const int8_t *table, const int8_t *x, int8_t *y) {
  for (int32_t i = 0; i < count; ++i) y[i] = table[(uint8_t)x[i]];
}

void sct_dequantize(int32_t count, const float *table, const int8_t *x, float *y) {
  for (int32_t i = 0; i < count; ++i) y[i] = table[(uint8_t)x[i]];
}

void sct_quantize(int32_t count, float scale, int32_t zero_point, const float *x, int8_t *y) {
  for (int32_t i = 0; i < count; ++i)
    y[i] = (int8_t)sct_clamp(sct_nearest(x[i] / scale) + zero_point, INT8_MIN, INT8_MAX);
}
