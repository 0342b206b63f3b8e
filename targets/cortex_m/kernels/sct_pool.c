/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D, MAX_POOL_2D and MEAN. Arithmetic: reference_integer_ops::AveragePool and MaxPool. */
#include "sct_arithmetic.h"

/* The part of a window that lies inside the image. */
typedef struct {
  int32_t top, bottom, left, right;
} area;

static area inside(const sct_window *w, int32_t out_y, int32_t out_x) {
  const int32_t top = out_y * w->stride_height - w->pad_top, left = out_x * w->stride_width - w->pad_left;
  const area found = {sct_clamp(top, 0, w->in_height), sct_clamp(top + w->kernel_height, 0, w->in_height),
                      sct_clamp(left, 0, w->in_width), sct_clamp(left + w->kernel_width, 0, w->in_width)};
  return found;
}

/* round(sum / count), halves away from zero. */
static int32_t average(int32_t sum, int32_t count) { return (sum > 0 ? sum + count / 2 : sum - count / 2) / count; }

void sct_average_pool(const sct_window *w, const int8_t *x, int8_t *y) {
  const int32_t channels = w->in_channels;
  for (int32_t out_y = 0; out_y < w->out_height; ++out_y)
    for (int32_t out_x = 0; out_x < w->out_width; ++out_x) {
      const area a = inside(w, out_y, out_x);
      for (int32_t c = 0; c < channels; ++c) {
        int32_t sum = 0;
        for (int32_t row = a.top; row < a.bottom; ++row)
          for (int32_t column = a.left; column < a.right; ++column) sum += x[(row * w->in_width + column) * channels + c];
        const int32_t value = average(sum, (a.bottom - a.top) * (a.right - a.left));
        *y++ = (int8_t)sct_clamp(value, w->minimum, w->maximum);
      }
    }
}

void sct_max_pool(const sct_window *w, const int8_t *x, int8_t *y) {
  const int32_t channels = w->in_channels;
  for (int32_t out_y = 0; out_y < w->out_height; ++out_y)
    for (int32_t out_x = 0; out_x < w->out_width; ++out_x) {
      const area a = inside(w, out_y, out_x);
      for (int32_t c = 0; c < channels; ++c) {
        int32_t most = INT8_MIN;
        for (int32_t row = a.top; row < a.bottom; ++row)
          for (int32_t column = a.left; column < a.right; ++column) {
            const int32_t value = x[(row * w->in_width + column) * channels + c];
            most = value > most ? value : most;
          }
        *y++ = (int8_t)sct_clamp(most, w->minimum, w->maximum);
      }
    }
}

void sct_mean(const sct_mean_shape *shape, const int8_t *x, int8_t *y) {
  for (int32_t outer = 0; outer < shape->outer; ++outer, x += shape->reduced * shape->inner)
    for (int32_t inner = 0; inner < shape->inner; ++inner) {
      int32_t sum = -shape->in_zero * shape->reduced;
      for (int32_t i = 0; i < shape->reduced; ++i) sum += x[i * shape->inner + inner];
      *y++ = (int8_t)sct_clamp(sct_requantize(sum, &shape->scale) + shape->out_zero, INT8_MIN, INT8_MAX);
    }
}
