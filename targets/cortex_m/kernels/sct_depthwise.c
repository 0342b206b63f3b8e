/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D. Arithmetic: reference_integer_ops::DepthwiseConvPerChannel. */
#include "sct_arithmetic.h"
#include "sct_dot.h"
#include "sct_patch.h"

static inline int8_t output(const sct_window *w, int32_t sum, const sct_scale *scale) {
  return (int8_t)sct_clamp(sct_requantize(sum, scale) + w->out_zero, w->minimum, w->maximum);
}

/* Four neighbouring channels of a patch of `taps` pixels, `step` bytes apart, times their filters. */
#if defined(SCT_MVE)
static inline void four_channels(const sct_window *w, const int8_t *x, const int8_t *filter, int32_t taps,
                                 const int32_t *bias, const sct_scale *scale, int8_t *y) {
  int32x4_t sum = vldrwq_s32(bias);
  for (int32_t t = 0; t < taps; ++t, x += w->out_channels, filter += w->out_channels)
    sum = vaddq_s32(sum, vmulq_s32(vldrbq_s32(x), vldrbq_s32(filter)));
  const int32x4_t value = vaddq_n_s32(sct_requantize_four(sum, sct_next_scales(scale)), w->out_zero);
  vstrbq_s32(y, sct_clamp_four(value, w->minimum, w->maximum));
}
#else
#if defined(SCT_DSP)
static SCT_APART void sums_of_four(const int8_t *x, const int8_t *filter, int32_t taps, int32_t step, int32_t sums[4]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (; taps > 0; --taps, x += step, filter += step) {
    const uint32_t image = sct_word(x), weights = sct_word(filter);
    a = __smlabb(sct_even(image), sct_even(weights), a);
    b = __smlabb(sct_odd(image), sct_odd(weights), b);
    c = __smlatt(sct_even(image), sct_even(weights), c);
    d = __smlatt(sct_odd(image), sct_odd(weights), d);
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}
#else
static inline void sums_of_four(const int8_t *x, const int8_t *filter, int32_t taps, int32_t step, int32_t sums[4]) {
  for (int32_t t = 0; t < taps; ++t, x += step, filter += step)
    for (int32_t i = 0; i < 4; ++i) sums[i] += x[i] * filter[i];
}
#endif

static inline void four_channels(const sct_window *w, const int8_t *x, const int8_t *filter, int32_t taps,
                                 const int32_t *bias, const sct_scale *scale, int8_t *y) {
  int32_t sums[4] = {bias[0], bias[1], bias[2], bias[3]};
  sums_of_four(x, filter, taps, w->out_channels, sums);
  for (int32_t i = 0; i < 4; ++i) y[i] = output(w, sums[i], &scale[i]);
}
#endif

static inline int32_t one_channel(const int8_t *x, const int8_t *filter, int32_t taps, int32_t x_step, int32_t step) {
  int32_t sum = 0;
  for (int32_t t = 0; t < taps; ++t) sum += x[t * x_step] * filter[t * step];
  return sum;
}

void sct_depthwise(const sct_window *window, const int8_t *x, const int8_t *filters, const int32_t *bias,
                   const sct_scale *scale, int8_t *y, int8_t *scratch) {
  const sct_window w = *window; /* a copy, which writing to y cannot change */
  const int32_t in = w.in_channels, out = w.out_channels, multiplier = out / in;
  const int32_t taps = w.kernel_height * w.kernel_width;
  for (int32_t out_y = 0; out_y < w.out_height; ++out_y)
    for (int32_t out_x = 0; out_x < w.out_width; ++out_x, y += out) {
      sct_patch(&w, x, out_y, out_x, scratch);
      int32_t c = 0;
      for (; multiplier == 1 && c + 4 <= out; c += 4)
        four_channels(&w, scratch + c, filters + c, taps, bias + c, scale + c, y + c);
      for (; c < out; ++c)
        y[c] = output(&w, bias[c] + one_channel(scratch + c / multiplier, filters + c, taps, in, out), &scale[c]);
    }
}
