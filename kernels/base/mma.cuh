// SPDX-License-Identifier: Apache-2.0
// The warp-wide instructions of tensor-core kernels: matrix products, loads of their operands from shared memory, and
// copies from global to shared memory that pass the registers by. Together with gpu.cuh the only place with PTX.
// Compute capability 8.0 and newer. Source: PTX ISA, "Warp Level Matrix Instructions" and "Asynchronous copy".
//
// A warp holds the matrices in fragments. With g = lane / 4 and t = lane % 4, word i of a lane is
//
//   m16n8k16 (bf16, two elements a word, the lower k in the lower half):
//     A (16, 16)  a[i]  row g + 8 (i % 2), k = 2 t + 8 (i / 2) and the next
//     B (16, 8)   b[i]  k = 2 t + 8 i and the next, column g
//   m16n8k8 (tf32, one element a word):
//     A (16, 8)   a[i]  row g + 8 (i % 2), k = t + 4 (i / 2)
//     B (8, 8)    b[i]  k = t + 4 i, column g
//   both:
//     D (16, 8)   d[i]  row g + 8 (i / 2), column 2 t + i % 2
//
// ldmatrix_x4 loads four 8 x 8 matrices of 16-bit elements: lane l gives the address of row l % 8 of matrix l / 8 (16
// bytes, aligned), and gets as word i the elements (g, 2 t) and (g, 2 t + 1) of matrix i, transposed (2 t, g) and
// (2 t + 1, g). A row of four tf32 is a row of eight halves, so that untransposed loads serve both.
//
// All lanes of a full warp call these together, but for the copies, which are each thread's own.
#pragma once

#include "kernels/base/gpu.cuh"

#if defined(__CUDACC__)
#define HOURGLASS_CALL_SITE
#else  // the lanes of a warp must meet at one call: the emulator compares where they come from
#define HOURGLASS_CALL_SITE , simt::Site site = simt::Site::current()
#endif

namespace hourglass::gpu {

// ---------------------------------------------------------------- matrix products

/// d += A B, bf16 operands, float sums.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2] HOURGLASS_CALL_SITE) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::multiply_matrices(simt::Operation::kMultiplyBf16, d, a, b, site);
#endif
}

/// d += A B, tf32 operands (to_tf32), float sums.
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], const uint32_t (&a)[4],
                                            const uint32_t (&b)[2] HOURGLASS_CALL_SITE) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::multiply_matrices(simt::Operation::kMultiplyTf32, d, a, b, site);
#endif
}

/// float -> tf32 (10 bits of mantissa), to nearest, ties away from zero; a float whose lower 13 bits are zero.
__device__ __forceinline__ uint32_t to_tf32(uint32_t float_bits) {
#if defined(__CUDACC__)
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(float_bits)));
  return rounded;
#else
  return simt::rounded_to_tf32(float_bits);
#endif
}

// ---------------------------------------------------------------- operands from shared memory

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&words)[4], const void* row HOURGLASS_CALL_SITE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  simt::load_matrices(simt::Operation::kLoadMatrices, words, row, site);
#endif
}

__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&words)[4], const void* row HOURGLASS_CALL_SITE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  simt::load_matrices(simt::Operation::kLoadMatricesTransposed, words, row, site);
#endif
}

// ---------------------------------------------------------------- copies from global to shared memory

/// Starts a copy of 16 bytes between addresses aligned to 16; with `inside` false zeros arrive and `from` is not read.
/// It has arrived, for this thread, after a cp_async_wait that covers its group; for others after a barrier behind it.
__device__ __forceinline__ void cp_async16(void* to, const void* from, bool inside) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(to))),
      "l"(from), "r"(inside ? 16 : 0)
      : "memory");
#else
  simt::start_copy(to, from, 16, inside ? 16 : 0);
#endif
}

/// Ends this thread's group of copies; an empty one counts.
__device__ __forceinline__ void cp_async_commit() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  simt::commit_copies();
#endif
}

/// Waits until at most the kGroups latest groups of this thread are under way.
template <int kGroups>
__device__ __forceinline__ void cp_async_wait() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
#else
  simt::wait_for_copies(kGroups);
#endif
}

}  // namespace hourglass::gpu

#undef HOURGLASS_CALL_SITE
