// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/vector_quantize.h"
#include "tests/cases/vector_quantize.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const VectorQuantizeShape& s : test::kVectorQuantizeCases) {
    if (s.N < 2000) continue;
    const double elements = static_cast<double>(s.N) * s.D, codes = static_cast<double>(s.K) * s.D;
    const std::string shape = extents({s.N, s.D, s.K});
    // Everything after the index: sorting, gather, both losses with their gradients.
    add({"vector_quantize", "reference", shape}, {.bytes = 4 * (4 * elements + 2 * codes)}, [=](const Context& ctx) {
      return [=, x = values<float>(int64_t{s.N} * s.D), codebook = values<float>(int64_t{s.K} * s.D, 2),
              index = values<int32_t>(s.N, 3, 0, s.K - 1), offsets = std::vector<int32_t>(s.K + 1),
              order = std::vector<int32_t>(s.N), quantized = std::vector<float>(int64_t{s.N} * s.D),
              dx = std::vector<float>(int64_t{s.N} * s.D), dcodebook = std::vector<float>(int64_t{s.K} * s.D),
              value = std::vector<float>(2)]() mutable {
        cpu::vector_quantize_forward<float>(ctx, s, codebook.data(), index.data(), quantized.data());
        cpu::sort_by_code(ctx, s, index.data(), nullptr, offsets.data(), order.data());
        cpu::commitment_loss<float>(ctx, s, x.data(), quantized.data(), {1}, {value.data()}, {dx.data()});
        cpu::codebook_loss<float>(ctx, s, x.data(), codebook.data(), {offsets.data(), order.data()}, {1},
                                  {value.data() + 1}, {dcodebook.data()});
      };
    });
  }
  return run(argc, argv);
}
