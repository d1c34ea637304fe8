// SPDX-License-Identifier: Apache-2.0
#include "kernels/corrupt.h"
#include "tests/cases/corrupt.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
void check(const CorruptShape& s, int offset) {
  const int64_t n = int64_t{s.N} * s.D, step = 7;
  const auto x = random_values<T>(n, 1, 0, 1);
  Noise noise;
  noise.seed = 5;
  noise.stream = stream_id("train/corrupt");
  noise.step = &step;
  noise.first_row = 40;
  std::vector<double> want(static_cast<size_t>(n));
  cpu::corrupt<double>({}, s, std::vector<double>(x.begin(), x.end()).data(), noise, want.data());
  const DeviceArray<T> device_x(x, offset);
  const DeviceArray<int64_t> device_step(std::vector<int64_t>{step});
  noise.step = device_step.data();
  const auto y = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(n, offset);
    cuda::corrupt<T>(ctx, s, device_x.data(), noise, out.data());
    return out.values();
  });
  const bool gaussian = s.corruption.kind == CorruptionKind::kGaussian;
  expect_close(y, want, gaussian ? std::is_same_v<T, bf16> ? Tolerance{8e-3, 1} : Tolerance{2e-6, 1} : exact());
}

using CorruptCuda = CudaTest;

TEST_F(CorruptCuda, MeetsTheReference) {
  for (const auto& e : kCorruptExtents) {
    for (const Corruption& c : kCorruptions) {
      for (int offset : {0, 1}) {
        SCOPED_TRACE(describe("corrupt", {e.N, e.D, static_cast<int>(c.kind), offset}));
        check<float>({e.N, e.D, c}, offset);
        check<bf16>({e.N, e.D, c}, offset);
      }
    }
  }
}

TEST_F(CorruptCuda, Refusals) {
  expect_error(
      [] {
        cuda::corrupt<float>(cuda_context(), {1, 3, {CorruptionKind::kMask, 2}}, nullptr, Noise{}, nullptr);
      },
      Exit::kUsage, {"corrupt", "probability"});
}

}  // namespace
}  // namespace hourglass::test
