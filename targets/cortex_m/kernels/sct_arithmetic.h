/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point arithmetic as TensorFlow Lite defines it (tensorflow/lite/kernels/internal/common.h, gemmlowp
 * fixedpoint/fixedpoint.h). `>>` of a negative number is an arithmetic shift on every compiler for these targets. */
#ifndef SCT_ARITHMETIC_H
#define SCT_ARITHMETIC_H

#include "sct_kernels.h"
#include "sct_simd.h"

static inline int32_t sct_clamp(int32_t value, int32_t minimum, int32_t maximum) {
  return value < minimum ? minimum : value > maximum ? maximum : value;
}

/* round(a * b / 2^32), halves upwards: one instruction (SMMULR) where the core has the DSP extension. */
static inline int32_t sct_high_product(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
}

/* round(value / 2^exponent), halves away from zero, for exponent >= 0. */
static inline int32_t sct_divide_by_power(int32_t value, int32_t exponent) {
  int32_t sign = (value & -exponent) >> 31; /* -1 where a negative value is divided */
  return (value + sign + (int32_t)((UINT32_C(1) << exponent) >> 1)) >> exponent;
}

/* value * scale with two roundings: MultiplyByQuantizedMultiplier. |value * 2^left| stays below 2^30. */
static inline int32_t sct_requantize(int32_t value, const sct_scale *scale) {
  int32_t doubled = (int32_t)((uint32_t)value << (scale->left + 1));
  return sct_divide_by_power(sct_high_product(doubled, scale->multiplier), scale->right);
}

#if defined(SCT_MVE)
/* Four factors. */
typedef struct {
  int32x4_t multiplier, left, right;
} sct_scale_four;

static inline sct_scale_four sct_same_scale(sct_scale scale) {
  const sct_scale_four four = {vdupq_n_s32(scale.multiplier), vdupq_n_s32(scale.left), vdupq_n_s32(scale.right)};
  return four;
}

/* Those of four neighbouring channels. */
static inline sct_scale_four sct_next_scales(const sct_scale *scale) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), sizeof *scale);
  const sct_scale_four four = {vldrwq_gather_offset_s32(&scale->multiplier, places),
                               vldrbq_gather_offset_s32(&scale->left, places),
                               vldrbq_gather_offset_s32(&scale->right, places)};
  return four;
}

/* sct_requantize of four values. */
static inline int32x4_t sct_requantize_four(int32x4_t values, sct_scale_four scale) {
  const int32x4_t product = vqrdmulhq_s32(vshlq_s32(values, scale.left), scale.multiplier);
  const int32x4_t down = vnegq_s32(scale.right);
  const int32x4_t sign = vshrq_n_s32(vandq_s32(product, down), 31); /* -1 where a negative value is divided */
  return vrshlq_s32(vaddq_s32(product, sign), down);
}

static inline int32x4_t sct_clamp_four(int32x4_t values, int32_t minimum, int32_t maximum) {
  return vminq_s32(vmaxq_s32(values, vdupq_n_s32(minimum)), vdupq_n_s32(maximum));
}
#endif

/* value * scale with one rounding, halves away from zero, for |value * scale| < 2^30: what LiteRT's reference
 * FULLY_CONNECTED answers, which multiplies in double precision. The bits cut off below `low` cannot change a rounding. */
static inline int32_t sct_requantize_once(int32_t value, const sct_fine_scale *scale) {
  const uint32_t size = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
  const uint64_t product = (uint64_t)size * scale->high + ((uint64_t)size * scale->low >> 22);
  const int32_t rounded = (int32_t)((product + (UINT64_C(1) << (scale->shift - 1))) >> scale->shift);
  return value < 0 ? -rounded : rounded;
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
