/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that only move values: PAD, CONCATENATION, TRANSPOSE, STRIDED_SLICE and their kin. */
#include "sct_kernels.h"

static void copy_row(const sct_move *m, const int8_t *x, int8_t *y) {
  if (m->from_step[4] == 1 && m->to_step[4] == 1) {
    __builtin_memcpy(y, x, (uint32_t)m->shape[4]);
    return;
  }
  for (int32_t i = 0; i < m->shape[4]; ++i) y[i * m->to_step[4]] = x[i * m->from_step[4]];
}

void sct_copy(const sct_move *m, const int8_t *x, int8_t *y) {
  for (int32_t a = 0; a < m->shape[0]; ++a)
    for (int32_t b = 0; b < m->shape[1]; ++b)
      for (int32_t c = 0; c < m->shape[2]; ++c)
        for (int32_t d = 0; d < m->shape[3]; ++d)
          copy_row(m, x + m->from_start + a * m->from_step[0] + b * m->from_step[1] + c * m->from_step[2] + d * m->from_step[3],
                   y + m->to_start + a * m->to_step[0] + b * m->to_step[1] + c * m->to_step[2] + d * m->to_step[3]);
}

void sct_fill(int32_t count, int8_t value, int8_t *y) { __builtin_memset(y, value, (uint32_t)count); }
