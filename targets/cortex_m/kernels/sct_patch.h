/* SPDX-License-Identifier: Apache-2.0 */
/* The part of an image under a window, as one contiguous row: im2col for one output pixel. */
#ifndef SCT_PATCH_H
#define SCT_PATCH_H

#include "sct_kernels.h"

static inline int8_t *sct_append(int8_t *to, const int8_t *from, int32_t count) {
  __builtin_memcpy(to, from, (uint32_t)count);
  return to + count;
}

static inline int8_t *sct_append_zeros(int8_t *to, int8_t zero, int32_t count) {
  __builtin_memset(to, zero, (uint32_t)count);
  return to + count;
}

/* Pixels outside the image are the zero point, which is what padding with real zeros means. */
static inline void sct_patch(const sct_window *w, const int8_t *x, int32_t out_y, int32_t out_x, int8_t *patch) {
  const int32_t channels = w->in_channels, top = out_y * w->stride_height - w->pad_top;
  const int32_t left = out_x * w->stride_width - w->pad_left;
  const int32_t row_bytes = w->in_width * channels;
  const int whole = w->dilation_width == 1 && left >= 0 && left + w->kernel_width <= w->in_width;
  for (int32_t ky = 0; ky < w->kernel_height; ++ky) {
    const int32_t in_y = top + ky * w->dilation_height;
    const int8_t *row = x + in_y * row_bytes;
    if (in_y < 0 || in_y >= w->in_height) {
      patch = sct_append_zeros(patch, (int8_t)w->in_zero, w->kernel_width * channels);
    } else if (whole) {
      patch = sct_append(patch, row + left * channels, w->kernel_width * channels);
    } else {
      for (int32_t kx = 0; kx < w->kernel_width; ++kx) {
        const int32_t in_x = left + kx * w->dilation_width;
        const int outside = in_x < 0 || in_x >= w->in_width;
        patch = outside ? sct_append_zeros(patch, (int8_t)w->in_zero, channels)
                        : sct_append(patch, row + in_x * channels, channels);
      }
    }
  }
}

#endif
