/* SPDX-License-Identifier: Apache-2.0 */
/* The part of an image under a window, as one contiguous row: im2col for one output pixel. */
#ifndef SCT_PATCH_H
#define SCT_PATCH_H

#include "sct_kernels.h"
#include "sct_simd.h"

#if defined(SCT_MVE)
static inline int8_t *sct_append(int8_t *to, const int8_t *from, int32_t count) {
  int8_t *next = to;
  for (int32_t left = count; left > 0; left -= 16, next += 16, from += 16) {
    const mve_pred16_t some = vctp8q((uint32_t)left);
    vstrbq_p_s8(next, vldrbq_z_s8(from, some), some);
  }
  return to + count;
}

static inline int8_t *sct_append_zeros(int8_t *to, int8_t zero, int32_t count) {
  int8_t *next = to;
  for (int32_t left = count; left > 0; left -= 16, next += 16)
    vstrbq_p_s8(next, vdupq_n_s8(zero), vctp8q((uint32_t)left));
  return to + count;
}
#else
static inline int8_t *sct_append(int8_t *to, const int8_t *from, int32_t count) {
  __builtin_memcpy(to, from, (uint32_t)count);
  return to + count;
}

static inline int8_t *sct_append_zeros(int8_t *to, int8_t zero, int32_t count) {
  __builtin_memset(to, zero, (uint32_t)count);
  return to + count;
}
#endif

/* One row of a window that starts at column `left` of the image's row; pixels outside are `zero`. */
static inline int8_t *sct_append_row(const sct_window *w, const int8_t *row, int32_t left, int8_t zero, int8_t *patch) {
  const int32_t channels = w->in_channels;
  if (left >= 0 && w->dilation_width == 1 && left + w->kernel_width <= w->in_width)
    return sct_append(patch, row + left * channels, w->kernel_width * channels);
  for (int32_t kx = 0; kx < w->kernel_width; ++kx, left += w->dilation_width)
    patch = left < 0 || left >= w->in_width ? sct_append_zeros(patch, zero, channels)
                                            : sct_append(patch, row + left * channels, channels);
  return patch;
}

/* Pixels outside the image are the zero point, which is what padding with real zeros means. */
static inline void sct_patch(const sct_window *w, const int8_t *x, int32_t out_y, int32_t out_x, int8_t *patch) {
  const int32_t left = out_x * w->stride_width - w->pad_left, row_bytes = w->in_width * w->in_channels;
  const int8_t zero = (int8_t)w->in_zero;
  int32_t in_y = out_y * w->stride_height - w->pad_top;
  for (int32_t ky = 0; ky < w->kernel_height; ++ky, in_y += w->dilation_height)
    patch = in_y < 0 || in_y >= w->in_height ? sct_append_zeros(patch, zero, w->kernel_width * w->in_channels)
                                             : sct_append_row(w, x + in_y * row_bytes, left, zero, patch);
}

#endif
