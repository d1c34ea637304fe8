// SPDX-License-Identifier: Apache-2.0
// How the timed float kernels reach wide vectors: plain loops that the compiler vectorises, compiled once per
// instruction-set level and chosen when the program loads. One binary, same bits on machines of the same level.
#pragma once

#if defined(HOURGLASS_NO_CLONES) || !defined(__GNUC__) || defined(__clang__) || !defined(__x86_64__)
#define HOURGLASS_SIMD
#else
#define HOURGLASS_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

/// Functions called from a HOURGLASS_SIMD function must be inlined to be compiled at its level.
#define HOURGLASS_INLINE inline __attribute__((always_inline))

/// Functions that kernels of both devices call. nvcc compiles them twice; to every other compiler it means nothing.
#if defined(__CUDACC__)
#define HOURGLASS_HD __host__ __device__
#else
#define HOURGLASS_HD
#endif
