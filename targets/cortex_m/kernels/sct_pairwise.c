/* SPDX-License-Identifier: Apache-2.0 */
/* ADD, SUB and MUL. Arithmetic: reference_integer_ops::AddElementwise, SubElementwise and MulElementwise. */
#include "sct_arithmetic.h"

enum { HEADROOM = 20 }; /* bits by which sums are raised before they are scaled */

static inline int32_t raised(int32_t value, int32_t zero, const sct_scale *scale) {
  return sct_requantize((value - zero) * (1 << HEADROOM), scale);
}

static inline int32_t sum(const sct_pairwise *p, int32_t a, int32_t b) {
  return raised(a, p->first_zero, &p->first) + raised(b, p->second_zero, &p->second);
}

static inline int32_t difference(const sct_pairwise *p, int32_t a, int32_t b) {
  return raised(a, p->first_zero, &p->first) - raised(b, p->second_zero, &p->second);
}

static inline int32_t product(const sct_pairwise *p, int32_t a, int32_t b) {
  return (a - p->first_zero) * (b - p->second_zero);
}

typedef int32_t combine(const sct_pairwise *p, int32_t a, int32_t b);

static inline void each(const sct_pairwise *p, combine *of, const int8_t *first, const int8_t *second, int8_t *y) {
  for (int32_t i = 0; i < p->shape[0]; ++i)
    for (int32_t j = 0; j < p->shape[1]; ++j)
      for (int32_t k = 0; k < p->shape[2]; ++k) {
        const int8_t *a = first + i * p->first_step[0] + j * p->first_step[1] + k * p->first_step[2];
        const int8_t *b = second + i * p->second_step[0] + j * p->second_step[1] + k * p->second_step[2];
        for (int32_t l = 0; l < p->shape[3]; ++l, a += p->first_step[3], b += p->second_step[3]) {
          const int32_t value = sct_requantize(of(p, *a, *b), &p->out) + p->out_zero;
          *y++ = (int8_t)sct_clamp(value, p->minimum, p->maximum);
        }
      }
}

void sct_add(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) {
  each(pair, sum, first, second, y);
}

void sct_sub(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) {
  each(pair, difference, first, second, y);
}

void sct_mul(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) {
  each(pair, product, first, second, y);
}
