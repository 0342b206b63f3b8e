/* SPDX-License-Identifier: Apache-2.0 */
/* DEPTHWISE_CONV_2D. Arithmetic: reference_integer_ops::DepthwiseConvPerChannel. */
#include "sct_arithmetic.h"
#include "sct_dot.h"
#include "sct_patch.h"

/* Four neighbouring channels of a patch of `taps` pixels, `step` bytes apart, times their filters. */
#if defined(__ARM_FEATURE_MVE)
static inline void four_channels(const int8_t *x, const int8_t *filter, int32_t taps, int32_t step, int32_t sums[4]) {
  int32x4_t sum = vldrwq_s32(sums);
  for (int32_t t = 0; t < taps; ++t, x += step, filter += step)
    sum = vaddq_s32(sum, vmulq_s32(vldrbq_s32(x), vldrbq_s32(filter)));
  vstrwq_s32(sums, sum);
}
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
static inline void four_channels(const int8_t *x, const int8_t *filter, int32_t taps, int32_t step, int32_t sums[4]) {
  int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
  for (int32_t t = 0; t < taps; ++t, x += step, filter += step) {
    const uint32_t image = sct_word(x), weights = sct_word(filter);
    a = __smlabb(sct_even(image), sct_even(weights), a);
    b = __smlabb(sct_odd(image), sct_odd(weights), b);
    c = __smlatt(sct_even(image), sct_even(weights), c);
    d = __smlatt(sct_odd(image), sct_odd(weights), d);
  }
  sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}
#else
static inline void four_channels(const int8_t *x, const int8_t *filter, int32_t taps, int32_t step, int32_t sums[4]) {
  for (int32_t t = 0; t < taps; ++t, x += step, filter += step)
    for (int32_t i = 0; i < 4; ++i) sums[i] += x[i] * filter[i];
}
#endif

static inline int32_t one_channel(const int8_t *x, const int8_t *filter, int32_t taps, int32_t x_step, int32_t step) {
  int32_t sum = 0;
  for (int32_t t = 0; t < taps; ++t) sum += x[t * x_step] * filter[t * step];
  return sum;
}

static inline int8_t output(const sct_window *w, int32_t sum, const sct_scale *scale) {
  return (int8_t)sct_clamp(sct_requantize(sum, scale) + w->out_zero, w->minimum, w->maximum);
}

void sct_depthwise(const sct_window *w, const int8_t *x, const int8_t *filters, const int32_t *bias,
                   const sct_scale *scale, int8_t *y, int8_t *scratch) {
  const int32_t in = w->in_channels, out = w->out_channels, multiplier = out / in;
  const int32_t taps = w->kernel_height * w->kernel_width;
  for (int32_t pixel = 0; pixel < w->out_height * w->out_width; ++pixel, y += out) {
    sct_patch(w, x, pixel / w->out_width, pixel % w->out_width, scratch);
    int32_t c = 0;
    for (; multiplier == 1 && c + 4 <= out; c += 4) {
      int32_t sums[4] = {bias[c], bias[c + 1], bias[c + 2], bias[c + 3]};
      four_channels(scratch + c, filters + c, taps, out, sums);
      for (int32_t i = 0; i < 4; ++i) y[c + i] = output(w, sums[i], &scale[c + i]);
    }
    for (; c < out; ++c)
      y[c] = output(w, bias[c] + one_channel(scratch + c / multiplier, filters + c, taps, in, out), &scale[c]);
  }
}
