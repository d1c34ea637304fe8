// SPDX-License-Identifier: Apache-2.0
// Inputs of the tests of vector_quantize.h on both devices.
#pragma once

#include <vector>

#include "kernels/vector_quantize.h"
#include "tests/harness.h"

namespace hourglass::test {

struct QuantizeData {
  std::vector<float> x, codebook;
  std::vector<int32_t> index, offsets, order;
  CodeRows rows() const { return {offsets.data(), order.data()}; }
};

/// Indices at random; `collapsed`: all rows share one code. The last row of several has none.
inline QuantizeData quantize_data(const VectorQuantizeShape& s, bool collapsed = false, uint64_t seed = 1) {
  QuantizeData data{random_values<float>(int64_t{s.N} * s.D, seed), random_values<float>(int64_t{s.K} * s.D, seed + 1),
                    std::vector<int32_t>(static_cast<size_t>(s.N)), std::vector<int32_t>(static_cast<size_t>(s.K) + 1),
                    std::vector<int32_t>(static_cast<size_t>(s.N))};
  Random random(seed + 2);
  for (int32_t& index : data.index) index = collapsed ? s.K / 2 : static_cast<int32_t>(random.integer(0, s.K - 1));
  if (s.N > 1) data.index.back() = -1;
  cpu::sort_by_code({}, s, data.index.data(), nullptr, data.offsets.data(), data.order.data());
  return data;
}

}  // namespace hourglass::test
