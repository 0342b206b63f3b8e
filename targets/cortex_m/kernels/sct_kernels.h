/* SPDX-License-Identifier: Apache-2.0 */
/* int8 neural network kernels: C99, no heap, no library, no global state.
 *
 * A real value is scale * (stored - zero point). Tensors are NHWC. Every kernel answers bit for bit as LiteRT's
 * reference kernels do; the source of each formula stands where it is used.
 *
 * The compiler's target chooses how dot products are computed: Helium (M55, M85), the DSP extension (M4, M7, M33), or
 * plain C (everything else). The answers are the same.
 */
#ifndef SCT_KERNELS_H
#define SCT_KERNELS_H

#include <stdint.h>

/* Patches that a convolution gathers before it multiplies them with a filter. */
#define SCT_COLUMNS 4

/* A factor as multiplier * 2^(left - right - 31), with 0 <= multiplier < 2^31. */
typedef struct {
  int32_t multiplier;
  int8_t left;
  int8_t right;
} sct_scale;

/* A factor as (high + low * 2^-22) * 2^-shift, with high < 2^31, low < 2^22 and 1 <= shift <= 62. */
typedef struct {
  uint32_t high, low;
  int32_t shift;
} sct_fine_scale;

/* How a window slides over an image. */
typedef struct {
  int32_t in_height, in_width, in_channels;
  int32_t out_height, out_width, out_channels;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t dilation_height, dilation_width;
  int32_t pad_top, pad_left;
  int32_t in_zero, out_zero;
  int32_t minimum, maximum; /* of the output, after the fused activation */
} sct_window;

/* Biases hold `bias - in_zero * (sum of the filter)`, so that inputs are multiplied as they are stored. */
void sct_conv(const sct_window *window, const int8_t *x, const int8_t *filters, const int32_t *bias,
              const sct_scale *scale, int8_t *y, int8_t *scratch);
void sct_depthwise(const sct_window *window, const int8_t *x, const int8_t *filters, const int32_t *bias,
                   const sct_scale *scale, int8_t *y, int8_t *scratch);
void sct_average_pool(const sct_window *window, const int8_t *x, int8_t *y);
void sct_max_pool(const sct_window *window, const int8_t *x, int8_t *y);

typedef struct {
  int32_t rows, in_features, out_features;
  int32_t out_zero, minimum, maximum;
} sct_dense_shape;

void sct_dense(const sct_dense_shape *shape, const int8_t *x, const int8_t *weights, const int32_t *bias,
               const sct_fine_scale *scale, int8_t *y);

/* Two tensors, element by element; a step of 0 along an axis repeats the tensor there. */
typedef struct {
  int32_t shape[4];
  int32_t first_step[4], second_step[4];
  int32_t first_zero, second_zero, out_zero;
  sct_scale first, second, out;
  int32_t minimum, maximum;
} sct_pairwise;

void sct_add(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y);
void sct_sub(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y);
void sct_mul(const sct_pairwise *pair, const int8_t *first, const int8_t *second, int8_t *y);

/* Mean over the middle of three axes. */
typedef struct {
  int32_t outer, reduced, inner;
  int32_t in_zero, out_zero;
  sct_scale scale;
} sct_mean_shape;

void sct_mean(const sct_mean_shape *shape, const int8_t *x, int8_t *y);

/* exponentials[d] = exp(-d * scale * beta) in 1/2^31 for inputs d steps below the largest, d < 256. */
void sct_softmax(int32_t rows, int32_t depth, const int32_t *exponentials, const int8_t *x, int8_t *y);

/* A function of one 8-bit value is a table of 256, in the order of the unsigned byte. */
void sct_table(int32_t count, const int8_t *table, const int8_t *x, int8_t *y);
void sct_dequantize(int32_t count, const float *table, const int8_t *x, float *y);
void sct_quantize(int32_t count, float scale, int32_t zero_point, const float *x, int8_t *y);

/* Values that only move: a strided copy of up to five axes, steps in elements of one byte. */
typedef struct {
  int32_t shape[5];
  int32_t from_start, from_step[5];
  int32_t to_start, to_step[5];
} sct_move;

void sct_copy(const sct_move *move, const int8_t *x, int8_t *y);
void sct_fill(int32_t count, int8_t value, int8_t *y);

/* For each output row or column: the two source lines and the share of the second in 1/1024. */
typedef struct {
  int16_t lower, upper, share;
} sct_line;

typedef struct {
  int32_t in_width, channels, out_height, out_width;
} sct_resize_shape;

void sct_resize_bilinear(const sct_resize_shape *shape, const sct_line *rows, const sct_line *columns,
                         const int8_t *x, int8_t *y);
void sct_resize_nearest(const sct_resize_shape *shape, const sct_line *rows, const sct_line *columns,
                        const int8_t *x, int8_t *y);

#endif
