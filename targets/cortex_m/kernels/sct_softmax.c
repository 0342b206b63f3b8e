/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX in fixed point. Arithmetic: reference_ops::Softmax, and gemmlowp's one_over_one_plus_x_for_x_in_0_1. */
#include "sct_arithmetic.h"

/* round(a * b / 2^31), halves upwards. */
static int32_t product(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31); }

/* round(value / 2^exponent) of a value that is not negative and may be INT32_MAX. */
static int32_t divided(int32_t value, int32_t exponent) { return (value >> exponent) + (value >> (exponent - 1) & 1); }

/* 2^31 / (1 + x / 2^31) for 0 <= x < 2^31: three steps of Newton's method from 48/17 - 32/17 * (1 + x) / 2, in 1/2^29. */
static int32_t reciprocal(int32_t x) {
  const int32_t half = (x >> 1) + (INT32_C(1) << 30);
  int32_t y = 1515870810 + product(half, -1010580540);
  for (int i = 0; i < 3; ++i) y += product(y, (1 << 29) - product(half, y)) * 4;
  return y >= 1 << 30 ? INT32_MAX : y * 2;
}

void sct_softmax(int32_t rows, int32_t depth, const int32_t *exponentials, const int8_t *x, int8_t *y) {
  for (int32_t row = 0; row < rows; ++row, x += depth, y += depth) {
    int32_t largest = INT8_MIN, sum = 0; /* sum: in 1/2^19 */
    for (int32_t i = 0; i < depth; ++i) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < depth; ++i) sum += divided(exponentials[largest - x[i]], 12);
    int32_t down = 23 + 12; /* 2^23 is a step of 1/256 */
    for (uint32_t bits = (uint32_t)sum; !(bits >> 31); bits <<= 1) --down;
    const int32_t share = reciprocal((int32_t)(((uint32_t)sum << (35 - down)) & INT32_MAX));
    for (int32_t i = 0; i < depth; ++i) {
      const int32_t steps = down > 31 ? 0 : divided(product(share, exponentials[largest - x[i]]), down);
      y[i] = (int8_t)sct_clamp(steps + INT8_MIN, INT8_MIN, INT8_MAX);
    }
  }
}
