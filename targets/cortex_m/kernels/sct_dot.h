/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products of one row of `length` bytes with four, which are `step` bytes apart; added to `sums`.
 * This is where a network spends its time, and all that differs between the cores. */
#ifndef SCT_DOT_H
#define SCT_DOT_H

#include "sct_kernels.h"
#include "sct_simd.h"

#if defined(SCT_MVE)

static inline void sct_dot(const int8_t *row, const int8_t *four, int32_t step, int32_t length, int32_t sums[4]) {
  const int8_t *second = four + step, *third = second + step, *fourth = third + step;
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (int32_t left = length; left > 0; left -= 16) {
    mve_pred16_t some = vctp8q((uint32_t)left); /* lanes past the end load zeros and add nothing */
    int8x16_t shared = vldrbq_z_s8(row, some);
    a = vmladavaq_p_s8(a, shared, vldrbq_z_s8(four, some), some);
    b = vmladavaq_p_s8(b, shared, vldrbq_z_s8(second, some), some);
    c = vmladavaq_p_s8(c, shared, vldrbq_z_s8(third, some), some);
    d = vmladavaq_p_s8(d, shared, vldrbq_z_s8(fourth, some), some);
    row += 16, four += 16, second += 16, third += 16, fourth += 16;
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

#elif defined(SCT_DSP)

/* Four bytes from anywhere: these cores load unaligned words. */
static inline uint32_t sct_word(const int8_t *bytes) {
  uint32_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return word;
}

/* Bytes 0 and 2, and bytes 1 and 3, as two signed halfwords. */
static inline int16x2_t sct_even(uint32_t word) { return __sxtb16((int8x4_t)word); }
static inline int16x2_t sct_odd(uint32_t word) { return __sxtb16((int8x4_t)(word >> 8 | word << 24)); }

static inline int32_t sct_dot_word(uint32_t word, int16x2_t even, int16x2_t odd, int32_t sum) {
  return __smlad(sct_odd(word), odd, __smlad(sct_even(word), even, sum));
}

static inline void sct_dot(const int8_t *row, const int8_t *four, int32_t step, int32_t length, int32_t sums[4]) {
  const int8_t *second = four + step, *third = second + step, *fourth = third + step;
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (int32_t words = length >> 2; words > 0; --words) {
    int16x2_t even = sct_even(sct_word(row)), odd = sct_odd(sct_word(row));
    a = sct_dot_word(sct_word(four), even, odd, a);
    b = sct_dot_word(sct_word(second), even, odd, b);
    c = sct_dot_word(sct_word(third), even, odd, c);
    d = sct_dot_word(sct_word(fourth), even, odd, d);
    row += 4, four += 4, second += 4, third += 4, fourth += 4;
  }
  for (int32_t bytes = length & 3; bytes > 0; --bytes) {
    int32_t shared = *row++;
    a += shared * *four++, b += shared * *second++, c += shared * *third++, d += shared * *fourth++;
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

#else

static inline void sct_dot(const int8_t *row, const int8_t *four, int32_t step, int32_t length, int32_t sums[4]) {
  const int8_t *second = four + step, *third = second + step, *fourth = third + step;
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (int32_t i = 0; i < length; ++i) {
    const int32_t shared = row[i];
    a += shared * four[i], b += shared * second[i], c += shared * third[i], d += shared * fourth[i];
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

#endif

#endif
