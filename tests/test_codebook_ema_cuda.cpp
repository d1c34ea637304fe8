// SPDX-License-Identifier: Apache-2.0
#include "kernels/codebook_ema.h"
#include "tests/cases/codebook_ema.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using CodebookEmaCuda = CudaTest;
using Values = std::tuple<std::vector<float>, std::vector<float>, std::vector<float>>;

/// Two updates from the start, on the device.
Values update_twice(const CodebookEmaShape& s, const CodebookEmaOptions& options, const std::vector<float>& start,
                    const std::vector<float>& counts, const std::vector<float>& sums, const std::vector<float>& x,
                    const Noise& noise, Fault fault = {}) {
  const DeviceArray<float> device_counts(counts), device_sums(sums), device_x(x);
  const DeviceArray<Fault> device_fault(std::vector<Fault>{fault});
  const DeviceArray<int64_t> step(std::vector<int64_t>{*noise.step});
  return on_cuda([&](const Context& ctx) {
    DeviceArray<float> ema_counts(s.K), ema_sums(int64_t{s.K} * s.D), codebook(start);
    const CodebookEma<float> state{ema_counts.data(), ema_sums.data(), codebook.data()};
    Noise on_device = noise;
    on_device.step = step.data();
    cuda::start_codebook_ema(ctx, s, state);
    for (int i = 0; i < 2; ++i) {
      cuda::codebook_ema_update(ctx, s, options, device_fault.data(), device_counts.data(), device_sums.data(),
                                device_x.data(), on_device, state);
    }
    return std::tuple(ema_counts.values(), ema_sums.values(), codebook.values());
  });
}

TEST_F(CodebookEmaCuda, MatchesTheReference) {
  const int64_t step = 12;
  const Noise noise{7, stream_id("test/restart"), &step};
  for (CodebookEmaShape s : kCodebookEmaCases) {
    if (s.N > 1000) s = {100, 64, 40};
    for (const double threshold : {0.0, 0.985}) {
      SCOPED_TRACE(describe("codebook_ema", {s.N, s.D, s.K}));
      CodebookEmaOptions options;
      options.restart_threshold = threshold;
      const int64_t codes = int64_t{s.K} * s.D;
      const auto start = random_values<float>(codes, 3), counts = random_integers<float>(s.K, 1, 0, 3);
      const auto sums = random_values<float>(codes, 2), x = random_values<float>(int64_t{s.N} * s.D, 4);
      std::vector<double> ema_counts(s.K), ema_sums(codes), codebook = converted<double>(start);
      const CodebookEma<double> state{ema_counts.data(), ema_sums.data(), codebook.data()};
      cpu::start_codebook_ema<double>({}, s, state);
      for (int i = 0; i < 2; ++i) {
        cpu::codebook_ema_update<double>({}, s, options, nullptr, converted<double>(counts).data(),
                                         converted<double>(sums).data(), converted<double>(x).data(), noise, state);
      }
      const auto [got_counts, got_sums, got_codebook] = update_twice(s, options, start, counts, sums, x, noise);
      expect_close(got_counts, ema_counts, fp32_tolerance(1), "counts");
      expect_close(got_sums, ema_sums, fp32_tolerance(1), "sums");
      expect_close(got_codebook, codebook, fp32_tolerance(1), "codebook");
    }
  }
}

TEST_F(CodebookEmaCuda, WritesNothingWhileTheFaultIsSet) {
  const CodebookEmaShape s{3, 2, 4};
  const int64_t step = 0;
  const Noise noise{7, 8, &step};
  CodebookEmaOptions options;
  options.restart_threshold = 5;
  const auto start = random_values<float>(8, 3);
  const std::vector<float> nan(8, std::nanf(""));
  const auto [counts, sums, codebook] = update_twice(s, options, start, nan, nan, nan, noise, {6, 0, 0, 0});
  expect_same_bits(counts, std::vector<float>(4, 1.0f));
  expect_same_bits(sums, start);
  expect_same_bits(codebook, start);
}

}  // namespace
}  // namespace hourglass::test
