// SPDX-License-Identifier: Apache-2.0
// Planted bugs in what sm_90a adds: barriers that count bytes, bulk copies of boxes, products of a warpgroup.
#include <cmath>

#include "kernels/base/hopper.cuh"
#include "tests/simt/planted/planted.h"
#include "tests/simt/tensor_map.h"

namespace hourglass::test {
namespace {

enum class Bug {
  kNone,
  kNotWaited,
  kPhase,
  kGivenBackEarly,
  kGivenBackByOne,
  kFewerBytes,
  kMoreBytes,
  kNotAligned,
  kNotPublished,
  kNoFence,
  kReadEarly,
  kChanged,
  kWarpMissing,
  kStride,
  kNoSwizzle,
  kStageWithin,
  kNeverWaited,
};

constexpr int kStages = 2, kBoxes = 5, kSide = 64, kBox = kSide * 128;

/// D (64, 64) = A (64, 64 kBoxes) B^T by one warpgroup; a fifth warp fetches.
__global__ void product_kernel(const __grid_constant__ gpu::TensorMap a, const __grid_constant__ gpu::TensorMap b,
                               float* d, Bug bug) {
  unsigned char* const stages =
      bug == Bug::kNotAligned ? gpu::dynamic_shared<unsigned char>() : gpu::swizzle_aligned_shared();
  auto* const full = reinterpret_cast<gpu::Barrier*>(stages + kStages * 2 * kBox);
  gpu::Barrier* const empty = full + kStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      gpu::init_barrier(full + i, 1);
      gpu::init_barrier(empty + i, bug == Bug::kGivenBackByOne ? 1 : 4);
    }
    if (bug != Bug::kNotPublished) gpu::publish_barriers();
  }
  __syncthreads();
  const int warp = gpu::warp(), t = gpu::lane() % 4;
  float sums[32] = {};
  for (int i = 0; i < kBoxes; ++i) {
    const int stage = i % kStages;
    const unsigned parity = static_cast<unsigned>(i / kStages) % 2;
    unsigned char* const of_a = stages + stage * 2 * kBox;
    if (threadIdx.x == 128) {
      gpu::wait_barrier(empty + stage, parity ^ 1);
      const unsigned bytes = bug == Bug::kFewerBytes ? kBox : bug == Bug::kMoreBytes ? 3 * kBox : 2 * kBox;
      gpu::arrive_expecting(full + stage, bytes);
      gpu::copy_box(of_a, &a, full + stage, 64 * i, 0);
      gpu::copy_box(of_a + kBox, &b, full + stage, 64 * i, 0);
    } else if (warp < 4) {
      if (bug != Bug::kNotWaited) gpu::wait_barrier(full + stage, bug == Bug::kPhase ? 0 : parity);
      uint64_t rows = gpu::matrix_descriptor(of_a);
      const uint64_t columns = gpu::matrix_descriptor(of_a + kBox);
      if (bug == Bug::kStride) rows ^= uint64_t{64 ^ 128} << 32;
      if (bug == Bug::kNoSwizzle) rows &= ~(uint64_t{3} << 62);
      if (bug != Bug::kNoFence) gpu::wgmma_fence(sums);
      for (unsigned step = 0; step < 4; ++step) {
        if (bug == Bug::kWarpMissing && warp == 3 && i == 1) continue;
        const unsigned units = bug == Bug::kStageWithin ? 16 * step : 2 * step;
        gpu::wgmma_k16(sums, rows + units, columns + units);
      }
      gpu::wgmma_commit();
      if (bug == Bug::kChanged && i == 2) sums[0] = 0.5f;
      if (bug == Bug::kGivenBackEarly) {
        gpu::wgmma_wait<1>(sums);
      } else {
        gpu::wgmma_wait<0>(sums);
      }
      if (gpu::lane() == 0 && (bug != Bug::kGivenBackByOne || warp == 0)) gpu::arrive(empty + stage);
    }
  }
  if (warp < 4) {
    if (bug == Bug::kReadEarly) {
      gpu::wgmma_fence(sums);
      gpu::wgmma_k16(sums, gpu::matrix_descriptor(stages), gpu::matrix_descriptor(stages));
      gpu::wgmma_commit();
    }
    for (int i = 0; i < 32; ++i) {
      d[(16 * warp + gpu::lane() / 4 + 8 * (i / 2 % 2)) * kSide + 8 * (i / 4) + 2 * t + i % 2] = sums[i];
    }
    gpu::wgmma_wait<0>(sums);
  }
  __syncthreads();
  if (bug == Bug::kNeverWaited && threadIdx.x == 128) {
    gpu::arrive_expecting(full, kBox);
    gpu::copy_box(stages, &a, full, 0, 0);
  }
}

CUresult encode(gpu::TensorMap* map, const bf16* data, uint64_t columns) {
  const uint64_t extents[] = {columns, kSide}, strides[] = {2 * columns};
  const uint32_t box[] = {64, kSide}, steps[] = {1, 1};
  return simt::encode_tiled(reinterpret_cast<CUtensorMap*>(map), CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2,
                            const_cast<bf16*>(data), extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                            CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

template <Bug kBug>
Outcome product_with(bool planted) {
  constexpr size_t kDepth = 64 * kBoxes;
  std::vector<bf16> a, b;
  for (size_t i = 0; i < kSide * kDepth; ++i) a.push_back(bf16(static_cast<float>(i * 7 % 11)));
  for (size_t i = 0; i < kSide * kDepth; ++i) b.push_back(bf16(static_cast<float>(i * 5 % 13)));
  const Floats want = each(kSide * kSide, [&](size_t i) {
    float total = 0;
    for (size_t k = 0; k < kDepth; ++k) total += float(a[i / kSide * kDepth + k]) * float(b[i % kSide * kDepth + k]);
    return total;
  });
  const Array<bf16> device_a(a), device_b(b);
  const Array<> d(kSide * kSide);
  gpu::TensorMap of_a = {}, of_b = {};
  static_cast<void>(encode(&of_a, device_a.data(), kDepth));
  static_cast<void>(encode(&of_b, device_b.data(), kDepth));
  gpu::launch(product_kernel, 1, 160, gpu::kSwizzleSlack + kStages * 2 * kBox + 2 * kStages * 8, nullptr, of_a, of_b,
              d.data(), planted ? kBug : Bug::kNone);
  return {d.values(), want};
}

Outcome map_of_odd_rows(bool planted) {
  const Array<bf16> data(64 * kSide);
  gpu::TensorMap map = {};
  Outcome outcome;
  outcome.refused = encode(&map, data.data(), planted ? 60 : 64) != CUDA_SUCCESS;
  return outcome;
}

}  // namespace

std::vector<PlantedBug> planted_hopper() {
  return {
      {"wgmma_stage_not_waited", "wgmma: operands whose copies nobody has waited for", "bulk-copy", "bulk-copy",
       "bulk-copy", product_with<Bug::kNotWaited>},
      {"wgmma_wrong_phase", "wgmma: the barrier's phase of the round before waited for", "wrong", "wrong", "wrong",
       product_with<Bug::kPhase>},
      {"wgmma_given_back_early", "wgmma: a stage given back while products under way read it", "bulk-copy", "bulk-copy",
       "bulk-copy", product_with<Bug::kGivenBackEarly>},
      {"wgmma_given_back_by_one", "wgmma: a stage given back by one warp for all four", "bulk-copy", "bulk-copy",
       "bulk-copy", product_with<Bug::kGivenBackByOne>},
      {"barrier_fewer_bytes", "mbarrier: fewer bytes expected than the copies bring", "mbarrier", "mbarrier",
       "mbarrier", product_with<Bug::kFewerBytes>},
      {"barrier_more_bytes", "mbarrier: more bytes expected than the copies bring", "mbarrier", "mbarrier", "mbarrier",
       product_with<Bug::kMoreBytes>},
      {"barrier_not_published", "mbarrier: no fence between its making and the copy engine", "mbarrier", "mbarrier",
       "mbarrier", product_with<Bug::kNotPublished>},
      {"swizzle_not_aligned", "bulk copy: a swizzled box at no multiple of 1024", "swizzle", "swizzle", "swizzle",
       product_with<Bug::kNotAligned>},
      {"bulk_copy_never_waited", "bulk copy: the block ends before it has arrived", "bulk-copy", "bulk-copy",
       "bulk-copy", product_with<Bug::kNeverWaited>},
      {"tensor_map_of_odd_rows", "tensor map: rows that are no multiple of 16 bytes", "tensor-map refused",
       "tensor-map refused", "tensor-map refused", map_of_odd_rows},
      {"wgmma_no_fence", "wgmma: sums set to zero, and no fence before the first product", "warpgroup", "warpgroup",
       "warpgroup", product_with<Bug::kNoFence>},
      {"wgmma_read_early", "wgmma: sums read before the wait", "wrong differs", "wrong differs", "wrong differs",
       product_with<Bug::kReadEarly>},
      {"wgmma_sums_changed", "wgmma: sums set while products under way add to them", "warpgroup", "warpgroup",
       "warpgroup", product_with<Bug::kChanged>},
      {"wgmma_warp_missing", "wgmma: a product that one warp of the group leaves out", "warpgroup", "warpgroup",
       "warpgroup", product_with<Bug::kWarpMissing>},
      {"wgmma_wrong_stride", "wgmma: a descriptor whose groups of eight rows are too far apart", "wrong", "wrong",
       "wrong", product_with<Bug::kStride>},
      {"wgmma_no_swizzle", "wgmma: a descriptor without the swizzle that the copy has made", "swizzle", "swizzle",
       "swizzle", product_with<Bug::kNoSwizzle>},
      {"wgmma_wrong_step", "wgmma: the next 16 terms looked for two rows further down", "swizzle", "swizzle", "swizzle",
       product_with<Bug::kStageWithin>},
  };
}

}  // namespace hourglass::test
