/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D: patches of the image times filters. Arithmetic: reference_integer_ops::ConvPerChannel. */
#include "sct_arithmetic.h"
#include "sct_dot.h"
#include "sct_patch.h"

/* `count` neighbouring output pixels, whose patches are `step` bytes apart. */
static void multiply(const sct_window *w, const int8_t *patches, int32_t step, int32_t count, const int8_t *filters,
                     const int32_t *bias, const sct_scale *scale, int8_t *y) {
  const int32_t length = w->kernel_height * w->kernel_width * w->in_channels, channels = w->out_channels;
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sums[SCT_COLUMNS] = {bias[c], bias[c], bias[c], bias[c]};
    sct_dot(filters + c * length, patches, step, length, sums);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = sct_requantize(sums[i], &scale[c]) + w->out_zero;
      y[i * channels + c] = (int8_t)sct_clamp(value, w->minimum, w->maximum);
    }
  }
}

void sct_conv(const sct_window *w, const int8_t *x, const int8_t *filters, const int32_t *bias, const sct_scale *scale,
              int8_t *y, int8_t *scratch) {
  const int32_t length = w->kernel_height * w->kernel_width * w->in_channels;
  const int32_t pixels = w->out_height * w->out_width;
  const int pointwise = w->kernel_height * w->kernel_width * w->stride_height * w->stride_width == 1;
  for (int32_t done = 0, count; done < pixels; done += count) {
    count = pixels - done < SCT_COLUMNS ? pixels - done : SCT_COLUMNS;
    const int8_t *patches = scratch;
    if (pointwise && count == SCT_COLUMNS) {
      patches = x + done * length; /* the image is its own patches */
    } else {
      for (int32_t i = 0; i < count; ++i)
        sct_patch(w, x, (done + i) / w->out_width, (done + i) % w->out_width, scratch + i * length);
    }
    multiply(w, patches, length, count, filters, bias, scale, y + done * w->out_channels);
  }
}
