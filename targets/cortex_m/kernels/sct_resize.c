/* SPDX-License-Identifier: Apache-2.0 */
/* RESIZE_BILINEAR (reference_ops::ResizeBilinearInteger: two shares of 1/1024) and RESIZE_NEAREST_NEIGHBOR. */
#include "sct_kernels.h"

void sct_resize_bilinear(const sct_resize_shape *shape, const sct_line *rows, const sct_line *columns, const int8_t *x,
                         int8_t *y) {
  const int32_t channels = shape->channels, row_bytes = shape->in_width * channels;
  for (int32_t i = 0; i < shape->out_height; ++i) {
    const int8_t *upper = x + rows[i].lower * row_bytes, *lower = x + rows[i].upper * row_bytes;
    const int64_t down = rows[i].share, up = 1024 - down;
    for (int32_t j = 0; j < shape->out_width; ++j) {
      const int32_t left = columns[j].lower * channels, right = columns[j].upper * channels;
      const int64_t east = columns[j].share, west = 1024 - east;
      for (int32_t c = 0; c < channels; ++c) {
        const int64_t sum = upper[left + c] * up * west + lower[left + c] * down * west + upper[right + c] * up * east +
                            lower[right + c] * down * east;
        *y++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
      }
    }
  }
}

void sct_resize_nearest(const sct_resize_shape *shape, const sct_line *rows, const sct_line *columns, const int8_t *x,
                        int8_t *y) {
  const int32_t channels = shape->channels;
  for (int32_t i = 0; i < shape->out_height; ++i)
    for (int32_t j = 0; j < shape->out_width; ++j, y += channels)
      __builtin_memcpy(y, x + (rows[i].lower * shape->in_width + columns[j].lower) * channels, (uint32_t)channels);
}
