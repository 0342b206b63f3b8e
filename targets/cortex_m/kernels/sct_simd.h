/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler's target offers: Helium (M55, M85), the DSP extension (M4, M7, M33), or neither. */
#ifndef SCT_SIMD_H
#define SCT_SIMD_H

#if defined(__ARM_FEATURE_MVE)
#define SCT_MVE
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#define SCT_DSP
#include <arm_acle.h>
#endif

/* Inner loops are functions of their own: inlined, they would share too few registers with what surrounds them. */
#if defined(__GNUC__)
#define SCT_APART __attribute__((noinline))
#else
#define SCT_APART
#endif

#endif
