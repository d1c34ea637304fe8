// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/vector_quantize.h"
#include "tests/cases/vector_quantize.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<VectorQuantizeShape> shapes = {test::kVectorQuantizeCases.front()};
  if (kEmulated) shapes.push_back({300, 8, 100});
  for (const VectorQuantizeShape& s : shapes) {
    const int64_t n = int64_t{s.N} * s.D, codes = int64_t{s.K} * s.D;
    const double elements = static_cast<double>(n), of_codes = static_cast<double>(codes);
    const std::string shape = extents({s.N, s.D, s.K});
    // Everything after the index: sorting, gather, both losses with their gradients.
    add_forms({"vector_quantize", shape, nullptr}, {.elements = 4 * elements + 2 * of_codes}, [=](auto lane) {
      return [=, x = values<float>(lane, n), codebook = values<float>(lane, codes, 2),
              index = values<int32_t>(lane, s.N, 3, 0, s.K - 1), offsets = zeros<int32_t>(lane, s.K + 1),
              order = zeros<int32_t>(lane, s.N), quantized = zeros<float>(lane, n), dx = zeros<float>(lane, n),
              dcodebook = zeros<float>(lane, codes), value = zeros<float>(lane, 2),
              scratch = zeros<char>(lane, static_cast<int64_t>(sort_by_code_scratch_bytes(lane, s)))] {
        BENCH_OP(vector_quantize_forward)(lane, s, codebook.data(), index.data(), quantized.data());
        sort_by_code(lane, s, index.data(), scratch.data(), offsets.data(), order.data());
        BENCH_OP(commitment_loss)
        (lane, s, x.data(), quantized.data(), Weight{}, Grad{value.data()}, Grad{dx.data()});
        BENCH_OP(codebook_loss)
        (lane, s, x.data(), codebook.data(), CodeRows{offsets.data(), order.data()}, Weight{}, Grad{value.data() + 1},
         Grad{dcodebook.data()});
      };
    });
    add_forms({"code_sums", shape, nullptr}, {.elements = elements + of_codes}, [=](auto lane) {
      const auto index = values<int32_t>(lane, s.N, 3, 0, s.K - 1);
      const auto scratch = zeros<char>(lane, static_cast<int64_t>(sort_by_code_scratch_bytes(lane, s)));
      auto offsets = zeros<int32_t>(lane, s.K + 1), order = zeros<int32_t>(lane, s.N);
      sort_by_code(lane, s, index.data(), scratch.data(), offsets.data(), order.data());
      return [=, x = values<float>(lane, n), offsets = std::move(offsets), order = std::move(order),
              counts = zeros<float>(lane, s.K), sums = zeros<float>(lane, codes)] {
        BENCH_OP(code_sums)
        (lane, s, x.data(), CodeRows{offsets.data(), order.data()}, Grad{counts.data()}, Grad{sums.data()});
      };
    });
  }
  return run(argc, argv);
}
