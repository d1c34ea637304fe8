// SPDX-License-Identifier: Apache-2.0
// What sm_90a has beyond mma.cuh: barriers that count arrivals and bytes, copies of boxes of a tensor by the copy
// engine, and products that a warpgroup starts and later waits for. With gpu.cuh and mma.cuh the only places with PTX.
// Kernels that use it trap where HOURGLASS_HAS_WGMMA is not defined, and have a portable form beside them.
// Source: PTX ISA, "mbarrier", "Async proxy", "cp.async.bulk.tensor" and "Asynchronous Warpgroup Level Matrix
// Instructions"; tensor maps are made by base/tensor_map.h.
//
// A barrier begins in phase 0. A phase is over when the arrivals that init_barrier names have come and the bytes that
// arrive_expecting announced have been brought; the next one begins by itself. wait_barrier(b, parity) waits for the
// end of the phase of that parity: of the first with 0, of the second with 1, and so on; with 1 a new barrier is passed
// at once.
//
// Products: D (64, N) += A (64, 16) B (N, 16)^T, bf16, by four warps that begin at a multiple of four, all of them
// together. A and B lie in shared memory as rows of 64 elements, 128 bytes, along the depth; eight rows begin at a
// multiple of 1024 bytes, and the eight units of 16 bytes of row r stand at unit ^ (r % 8): what a copy with the
// 128-byte swizzle leaves there. matrix_descriptor says where; the product of the next 16 terms is two units further.
// With g = lane / 4 and t = lane % 4, sum i of warp w is row 16 w + g + 8 (i / 2 % 2), column 8 (i / 4) + 2 t + i % 2.
#pragma once

#include "kernels/base/gpu.cuh"
#include "kernels/base/tensor_map.h"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOURGLASS_HAS_WGMMA
#endif

#if defined(__CUDACC__)
#define HOURGLASS_CALL_SITE
#else  // the lanes of a warp must meet at one call: the emulator compares where they come from
#define HOURGLASS_CALL_SITE , simt::Site site = simt::Site::current()
#endif

namespace hourglass::gpu {

/// Address in the window of shared memory.
__device__ __forceinline__ uint32_t shared_address(const void* shared) {
#if defined(__CUDACC__)
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
#else
  return simt::shared_address(shared);
#endif
}

/// Dynamic shared memory from the first address that is a multiple of 1024; up to kSwizzleSlack bytes are lost.
inline constexpr size_t kSwizzleSlack = 1024;
__device__ __forceinline__ unsigned char* swizzle_aligned_shared() {
  auto* const base = dynamic_shared<unsigned char>();
  return base + (0u - shared_address(base)) % 1024;
}

// ---------------------------------------------------------------- barriers

using Barrier = uint64_t;

__device__ __forceinline__ void init_barrier(Barrier* barrier, unsigned arrivals) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#else
  simt::init_barrier(barrier, arrivals);
#endif
}

/// After init_barrier, by the same thread: other threads (behind __syncthreads) and the copy engine see the barriers.
__device__ __forceinline__ void publish_barriers() {
#if defined(__CUDACC__)
  asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
#else
  simt::publish_barriers();
#endif
}

__device__ __forceinline__ void arrive(Barrier* barrier) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#else
  simt::arrive(barrier);
#endif
}

/// Arrives, and lets the phase wait for so many bytes that copies bring.
__device__ __forceinline__ void arrive_expecting(Barrier* barrier, unsigned bytes) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
#else
  simt::arrive_expecting(barrier, bytes);
#endif
}

__device__ __forceinline__ void wait_barrier(Barrier* barrier, unsigned parity) {
#if defined(__CUDACC__)
  unsigned over = 0;
  while (!over) {
    asm volatile(
        "{.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;}"
        : "=r"(over)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
#else
  while (!simt::phase_is_over(barrier, parity)) {
  }
  asm volatile("" ::: "memory");
#endif
}

// ---------------------------------------------------------------- copies of boxes

__device__ __forceinline__ void prefetch_map([[maybe_unused]] const TensorMap* map) {
#if defined(__CUDACC__)
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
#endif
}

/// Starts the copy of a map's box at `corner` (innermost coordinate first, in elements; what lies outside of the tensor
/// arrives as zeros) to shared memory aligned to 1024. All bytes of the box count at the barrier. By one thread; the
/// map is a __grid_constant__ parameter.
template <class... Corner>
__device__ __forceinline__ void copy_box(void* to, const TensorMap* map, Barrier* barrier, Corner... corner) {
  constexpr int kRank = sizeof...(Corner);
  static_assert(kRank >= 2 && kRank <= 5);
  const int c[5] = {static_cast<int>(corner)...};
#if defined(__CUDACC__)
  const uint32_t address = shared_address(to), of_barrier = shared_address(barrier);
#define HOURGLASS_COPY(rank, coordinates, ...)                                                     \
  asm volatile("cp.async.bulk.tensor." rank                                                        \
               ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, " coordinates \
               "], [%2];" ::"r"(address),                                                          \
               "l"(map), "r"(of_barrier), __VA_ARGS__                                              \
               : "memory")
  if constexpr (kRank == 2) HOURGLASS_COPY("2d", "{%3,%4}", "r"(c[0]), "r"(c[1]));
  if constexpr (kRank == 3) HOURGLASS_COPY("3d", "{%3,%4,%5}", "r"(c[0]), "r"(c[1]), "r"(c[2]));
  if constexpr (kRank == 4) HOURGLASS_COPY("4d", "{%3,%4,%5,%6}", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
  if constexpr (kRank == 5)
    HOURGLASS_COPY("5d", "{%3,%4,%5,%6,%7}", "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]), "r"(c[4]));
#undef HOURGLASS_COPY
#else
  simt::start_box_copy(to, map, barrier, c, kRank);
#endif
}

// ---------------------------------------------------------------- products of a warpgroup

/// Rows of 128 bytes from `tile` on, which is aligned to 1024; plus 2 `step` for the product of terms 16 step to 16
/// step + 15.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* tile) {
  constexpr uint64_t kEightRows = 1024, kSwizzle128 = 1;
  return uint64_t{(shared_address(tile) & 0x3FFFFu) >> 4} | uint64_t{1} << 16 | kEightRows >> 4 << 32 |
         kSwizzle128 << 62;
}

namespace detail {
/// Holds the compiler to an order between these registers and the asm statements around it.
template <int kSums>
__device__ __forceinline__ void pin([[maybe_unused]] float (&sums)[kSums]) {
#if defined(__CUDACC__)
#pragma unroll
  for (int i = 0; i < kSums; ++i) asm volatile("" : "+f"(sums[i])::"memory");
#endif
}
}  // namespace detail

/// Before the first product, and whenever the threads have touched `sums` since: orders that before the products.
template <int kSums>
__device__ __forceinline__ void wgmma_fence(float (&sums)[kSums] HOURGLASS_CALL_SITE) {
  detail::pin(sums);
#if defined(__CUDACC__)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  simt::warpgroup(simt::Operation::kFenceProducts, {}, site);
#endif
}

#define HOURGLASS_SUM4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define HOURGLASS_SUMS(i)                                                                                          \
  HOURGLASS_SUM4(i), HOURGLASS_SUM4(i + 4), HOURGLASS_SUM4(i + 8), HOURGLASS_SUM4(i + 12), HOURGLASS_SUM4(i + 16), \
      HOURGLASS_SUM4(i + 20), HOURGLASS_SUM4(i + 24), HOURGLASS_SUM4(i + 28)

/// Starts sums += A B^T with N = 2 kSums columns; until a wgmma_wait that covers it nobody touches `sums`, A or B.
template <int kSums>
__device__ __forceinline__ void wgmma_k16(float (&sums)[kSums], uint64_t a, uint64_t b HOURGLASS_CALL_SITE) {
  static_assert(kSums == 32 || kSums == 64 || kSums == 128);
#if defined(__CUDACC__)
  if constexpr (kSums == 32) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
        "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,"
        "%27,%28,%29,%30,%31"
        "}, %32, %33, p, 1, 1, 0, 0;}\n"
        : HOURGLASS_SUMS(0)
        : "l"(a), "l"(b));
  } else if constexpr (kSums == 64) {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,"
        "%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,"
        "%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
        "}, %64, %65, p, 1, 1, 0, 0;}\n"
        : HOURGLASS_SUMS(0), HOURGLASS_SUMS(32)
        : "l"(a), "l"(b));
  } else {
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, 1, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
        "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,"
        "%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,"
        "%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,"
        "%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,"
        "%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,"
        "%121,%122,%123,%124,%125,%126,%127"
        "}, %128, %129, p, 1, 1, 0, 0;}\n"
        : HOURGLASS_SUMS(0), HOURGLASS_SUMS(32), HOURGLASS_SUMS(64), HOURGLASS_SUMS(96)
        : "l"(a), "l"(b));
  }
#else
  simt::warpgroup(simt::Operation::kWarpgroupProduct, {sums, 2 * kSums, a, b}, site);
#endif
}

#undef HOURGLASS_SUMS
#undef HOURGLASS_SUM4

/// Ends this warp's group of products.
__device__ __forceinline__ void wgmma_commit(
#if !defined(__CUDACC__)
    simt::Site site = simt::Site::current()
#endif
) {
#if defined(__CUDACC__)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  simt::warpgroup(simt::Operation::kCommitProducts, {}, site);
#endif
}

/// Waits until at most the kGroups latest groups of this warp are under way.
template <int kGroups, int kSums>
__device__ __forceinline__ void wgmma_wait([[maybe_unused]] float (&sums)[kSums] HOURGLASS_CALL_SITE) {
#if defined(__CUDACC__)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroups) : "memory");
#else
  simt::warpgroup(simt::Operation::kWaitForProducts, {.groups = kGroups}, site);
  asm volatile("" ::: "memory");
#endif
  detail::pin(sums);
}

}  // namespace hourglass::gpu

#undef HOURGLASS_CALL_SITE
