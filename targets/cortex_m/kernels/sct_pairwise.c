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

#if defined(SCT_MVE)
static inline int32x4_t raised_four(int32x4_t values, int32_t zero, sct_scale scale) {
  return sct_requantize_four(vshlq_n_s32(vsubq_n_s32(values, zero), HEADROOM), sct_same_scale(scale));
}

static inline int32x4_t sum_four(const sct_pairwise *p, int32x4_t a, int32x4_t b) {
  return vaddq_s32(raised_four(a, p->first_zero, p->first), raised_four(b, p->second_zero, p->second));
}

static inline int32x4_t difference_four(const sct_pairwise *p, int32x4_t a, int32x4_t b) {
  return vsubq_s32(raised_four(a, p->first_zero, p->first), raised_four(b, p->second_zero, p->second));
}

static inline int32x4_t product_four(const sct_pairwise *p, int32x4_t a, int32x4_t b) {
  return vmulq_s32(vsubq_n_s32(a, p->first_zero), vsubq_n_s32(b, p->second_zero));
}

typedef int32x4_t combine_four(const sct_pairwise *p, int32x4_t a, int32x4_t b);

/* A row of which neither tensor is repeated. */
static inline void row_of_fours(const sct_pairwise *p, combine_four *of, const int8_t *a, const int8_t *b, int8_t *y) {
  for (int32_t left = p->shape[3]; left > 0; left -= 4, a += 4, b += 4, y += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)left);
    const int32x4_t combined = of(p, vldrbq_z_s32(a, some), vldrbq_z_s32(b, some));
    const int32x4_t value = vaddq_n_s32(sct_requantize_four(combined, sct_same_scale(p->out)), p->out_zero);
    vstrbq_p_s32(y, sct_clamp_four(value, p->minimum, p->maximum), some);
  }
}
#define ROW(p, of, a, b, y) \
  if ((p)->first_step[3] == 1 && (p)->second_step[3] == 1) row_of_fours(p, of##_four, a, b, y); else row(p, of, a, b, y)
#else
#define ROW(p, of, a, b, y) row(p, of, a, b, y)
#endif

static inline void row(const sct_pairwise *p, combine *of, const int8_t *a, const int8_t *b, int8_t *y) {
  for (int32_t i = 0; i < p->shape[3]; ++i, a += p->first_step[3], b += p->second_step[3]) {
    const int32_t value = sct_requantize(of(p, *a, *b), &p->out) + p->out_zero;
    y[i] = (int8_t)sct_clamp(value, p->minimum, p->maximum);
  }
}

/* Each row of the result with the rows of both tensors that it is made of; the settings are copied, because writing to
 * bytes could change them as far as the compiler knows. */
#define EACH(of)                                                                                     \
  const sct_pairwise p = *pair;                                                                      \
  for (int32_t i = 0; i < p.shape[0]; ++i)                                                           \
    for (int32_t j = 0; j < p.shape[1]; ++j)                                                         \
      for (int32_t k = 0; k < p.shape[2]; ++k, y += p.shape[3]) {                                    \
        const int8_t *a = first + i * p.first_step[0] + j * p.first_step[1] + k * p.first_step[2];    \
        const int8_t *b = second + i * p.second_step[0] + j * p.second_step[1] + k * p.second_step[2]; \
        ROW(&p, of, a, b, y);                                                                        \
      }

void sct_add(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) { EACH(sum) }

void sct_sub(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) { EACH(difference) }

void sct_mul(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y) { EACH(product) }
