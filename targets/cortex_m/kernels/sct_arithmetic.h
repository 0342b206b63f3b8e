/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point arithmetic as TensorFlow Lite defines it (tensorflow/lite/kernels/internal/common.h, gemmlowp
 * fixedpoint/fixedpoint.h). `>>` of a negative number is an arithmetic shift on every compiler for these targets. */
#ifndef SCT_ARITHMETIC_H
#define SCT_ARITHMETIC_H

#include "sct_kernels.h"

static inline int32_t sct_clamp(int32_t value, int32_t minimum, int32_t maximum) {
  return value < minimum ? minimum : value > maximum ? maximum : value;
}

/* round(a * b / 2^31), halves upwards. b is never -2^31. */
static inline int32_t sct_high_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* round(value / 2^exponent), halves away from zero, for exponent >= 0. */
static inline int32_t sct_divide_by_power(int32_t value, int32_t exponent) {
  int32_t sign = (value & -exponent) >> 31; /* -1 where a negative value is divided */
  return (value + sign + (int32_t)((UINT32_C(1) << exponent) >> 1)) >> exponent;
}

/* value * scale with two roundings: MultiplyByQuantizedMultiplier. */
static inline int32_t sct_requantize(int32_t value, const sct_scale *scale) {
  int32_t shifted = (int32_t)((uint32_t)value << scale->left);
  return sct_divide_by_power(sct_high_product(shifted, scale->multiplier), scale->right);
}

/* value * scale with one rounding, halves upwards: what LiteRT's reference FULLY_CONNECTED does. */
static inline int32_t sct_requantize_once(int32_t value, const sct_scale *scale) {
  int32_t total = 31 - scale->left + scale->right;
  return (int32_t)(((int64_t)value * scale->multiplier + (INT64_C(1) << (total - 1))) >> total);
}

/* round(value), halves away from zero; what lies beyond any int8 stops at 1000, and NaN becomes 0. */
static inline int32_t sct_nearest(float value) {
  if (!(value > -1000.0f)) return value <= -1000.0f ? -1000 : 0;
  if (value > 1000.0f) return 1000;
  const int32_t whole = (int32_t)value;
  const float rest = value - (float)whole;
  return rest >= 0.5f ? whole + 1 : rest <= -0.5f ? whole - 1 : whole;
}

#endif
