/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D: patches of the image times filters. Arithmetic: reference_integer_ops::ConvPerChannel. */
#include "sct_arithmetic.h"
#include "sct_columns.h"

/* One filter on `count` neighbouring output pixels. */
#if defined(SCT_MVE)
static inline void outputs(const sct_window *w, const int32_t *sums, int32_t count, sct_scale scale, int8_t *y) {
  const int32x4_t value = vaddq_n_s32(sct_requantize_four(vldrwq_s32(sums), sct_same_scale(scale)), w->out_zero);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)w->out_channels);
  vstrbq_scatter_offset_p_s32(y, places, sct_clamp_four(value, w->minimum, w->maximum), vctp32q((uint32_t)count));
}
#else
static SCT_APART void outputs(const sct_window *w, const int32_t *sums, int32_t count, sct_scale scale, int8_t *y) {
  const int32_t step = w->out_channels, zero = w->out_zero, minimum = w->minimum, maximum = w->maximum;
  for (int32_t i = 0; i < count; ++i) y[i * step] = (int8_t)sct_clamp(sct_requantize(sums[i], &scale) + zero, minimum, maximum);
}
#endif

/* All filters on an image of one pixel, as a dense layer has it: four filters share what is loaded of the pixel. */
static void one_pixel(const sct_window *w, const int8_t *x, const int8_t *filters, const int32_t *bias, const sct_scale *scale,
                      int8_t *y) {
  const int32_t length = w->in_channels, channels = w->out_channels;
  for (int32_t c = 0, count; c < channels; c += count) {
    count = channels - c < 4 ? 1 : 4;
    int32_t sums[4] = {0};
    sct_dot(x, filters + c * length, count == 4 ? length : 0, length, sums);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = sct_requantize(sums[i] + bias[c + i], &scale[c + i]) + w->out_zero;
      y[c + i] = (int8_t)sct_clamp(value, w->minimum, w->maximum);
    }
  }
}

void sct_conv(const sct_window *window, const int8_t *x, const int8_t *filters, const int32_t *bias,
              const sct_scale *scale, int8_t *y, int8_t *scratch) {
  const sct_window w = *window; /* a copy, which writing to y cannot change */
  const int32_t length = w.kernel_height * w.kernel_width * w.in_channels;
  const int32_t pixels = w.out_height * w.out_width;
  const int pointwise = w.kernel_height * w.kernel_width * w.stride_height * w.stride_width == 1;
  if (pointwise && pixels == 1) {
    one_pixel(&w, x, filters, bias, scale, y);
    return;
  }
  for (int32_t done = 0, count; done < pixels; done += count, y += count * w.out_channels) {
    count = pixels - done < SCT_COLUMNS ? pixels - done : SCT_COLUMNS;
    const int8_t *columns = sct_gather(&w, x, done, count, length, pointwise, scratch), *filter = filters;
    for (int32_t c = 0; c < w.out_channels; ++c, filter += length) {
      int32_t sums[SCT_COLUMNS] = {bias[c], bias[c], bias[c], bias[c]};
      sct_dot_columns(filter, columns, length, sums);
      outputs(&w, sums, count, scale[c], y + c);
    }
  }
}
