/* SPDX-License-Identifier: Apache-2.0 */
/* Four patches of an image, and the dot products of a filter with all four: where a convolution spends its time.
 *
 * Helium and plain C read patches as they are, one behind the other. The DSP extension multiplies halfwords: there the
 * patches are widened once and serve all filters, [4 bytes of each patch] by [4 bytes of each patch], each as its even
 * and its odd bytes. */
#ifndef SCT_COLUMNS_H
#define SCT_COLUMNS_H

#include "sct_dot.h"
#include "sct_patch.h"

#if defined(SCT_DSP)

typedef struct {
  uint32_t even, odd;
} sct_halfwords;

/* Up to three bytes; the others are zero. */
static inline uint32_t sct_part(const int8_t *bytes, int32_t count) {
  uint32_t word = 0;
  for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(uint8_t)bytes[i] << (8 * i);
  return word;
}

static inline sct_halfwords sct_widened(uint32_t word) {
  const sct_halfwords pair = {(uint32_t)sct_even(word), (uint32_t)sct_odd(word)};
  return pair;
}

/* Widen one patch of `length` bytes into its place among four. */
static inline void sct_widen(const int8_t *patch, int32_t length, sct_halfwords *to) {
  for (int32_t words = length >> 2; words > 0; --words, patch += 4, to += SCT_COLUMNS) *to = sct_widened(sct_word(patch));
  if (length & 3) *to = sct_widened(sct_part(patch, length & 3));
}

/* `scratch` holds four widened patches and, behind them, one as it is. */
static inline const int8_t *sct_gather(const sct_window *w, const int8_t *x, int32_t pixel, int32_t count, int32_t length,
                                       int pointwise, int8_t *scratch) {
  sct_halfwords *columns = (sct_halfwords *)(void *)scratch;
  int8_t *patch = scratch + SCT_COLUMNS * sizeof(sct_halfwords) * (uint32_t)((length + 3) >> 2);
  for (int32_t i = 0; i < count; ++i) {
    if (!pointwise) sct_patch(w, x, (pixel + i) / w->out_width, (pixel + i) % w->out_width, patch);
    sct_widen(pointwise ? x + (pixel + i) * length : patch, length, columns + i);
  }
  return scratch;
}

static inline int32_t sct_dot_halfwords(sct_halfwords filter, const sct_halfwords *column, int32_t sum) {
  const sct_halfwords x = *column;
  return __smlad((int16x2_t)filter.odd, (int16x2_t)x.odd, __smlad((int16x2_t)filter.even, (int16x2_t)x.even, sum));
}

static SCT_APART void sct_dot_columns(const int8_t *filter, const int8_t *gathered, int32_t length, int32_t sums[4]) {
  const sct_halfwords *column = (const sct_halfwords *)(const void *)gathered;
  const int8_t *const end = filter + (length & ~3);
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (; filter != end; filter += 4, column += SCT_COLUMNS) {
    const sct_halfwords four = sct_widened(sct_word(filter));
    a = sct_dot_halfwords(four, column, a);
    b = sct_dot_halfwords(four, column + 1, b);
    c = sct_dot_halfwords(four, column + 2, c);
    d = sct_dot_halfwords(four, column + 3, d);
  }
  if (length & 3) {
    const sct_halfwords part = sct_widened(sct_part(filter, length & 3));
    a = sct_dot_halfwords(part, column, a);
    b = sct_dot_halfwords(part, column + 1, b);
    c = sct_dot_halfwords(part, column + 2, c);
    d = sct_dot_halfwords(part, column + 3, d);
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

#else

/* Where the image is its own patches, nothing is copied. */
static inline const int8_t *sct_gather(const sct_window *w, const int8_t *x, int32_t pixel, int32_t count, int32_t length,
                                       int pointwise, int8_t *scratch) {
  if (pointwise && count == SCT_COLUMNS) return x + pixel * length;
  for (int32_t i = 0; i < count; ++i)
    sct_patch(w, x, (pixel + i) / w->out_width, (pixel + i) % w->out_width, scratch + i * length);
  return scratch;
}

static inline void sct_dot_columns(const int8_t *filter, const int8_t *gathered, int32_t length, int32_t sums[4]) {
  sct_dot(filter, gathered, length, length, sums);
}

#endif

#endif
