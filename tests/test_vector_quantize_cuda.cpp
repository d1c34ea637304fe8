// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "kernels/vector_quantize.h"
#include "tests/cases/vector_quantize.h"
#include "tests/cuda_harness.h"
#include "tests/vector_quantize_checks.h"

namespace hourglass::test {
namespace {

using VectorQuantizeCuda = CudaTest;

VectorQuantizeShape emulated(VectorQuantizeShape s) {
  return int64_t{s.N} * s.D > 20000 ? VectorQuantizeShape{300, s.D, 40} : s;
}

TEST_F(VectorQuantizeCuda, SortsAsTheReferenceDoes) {
  for (const VectorQuantizeShape& s : kVectorQuantizeCases) {
    if (s.N > 2000) continue;
    for (const bool collapsed : {false, true}) {
      SCOPED_TRACE(describe("sort_by_code", {s.N, s.D, s.K}));
      const QuantizeData data = quantize_data(s, collapsed);
      const DeviceArray<int32_t> index(data.index);
      const auto got = on_cuda([&](const Context& ctx) {
        DeviceArray<int32_t> offsets(s.K + 1), order(s.N);
        DeviceArray<char> scratch(static_cast<int64_t>(cuda::sort_by_code_scratch_bytes(ctx, s)));
        cuda::sort_by_code(ctx, s, index.data(), scratch.data(), offsets.data(), order.data());
        return std::tuple(offsets.values(), order.values());
      });
      EXPECT_EQ(std::get<0>(got), data.offsets);
      const auto rows = data.offsets.back();
      EXPECT_TRUE(std::equal(data.order.begin(), data.order.begin() + rows, std::get<1>(got).begin()));
    }
  }
}

TEST_F(VectorQuantizeCuda, GathersCodesAndNothingForNoCode) {
  for (VectorQuantizeShape s : kVectorQuantizeCases) {
    s = emulated(s);
    const QuantizeData data = quantize_data(s);
    const DeviceArray<float> codebook(data.codebook);
    const DeviceArray<int32_t> index(data.index);
    const auto got = on_cuda([&](const Context& ctx) {
      DeviceArray<float> quantized(int64_t{s.N} * s.D);
      cuda::vector_quantize_forward(ctx, s, codebook.data(), index.data(), quantized.data());
      return quantized.values();
    });
    for (int64_t i = 0; i < int64_t{s.N} * s.D; ++i) {
      const int32_t k = data.index[i / s.D];
      EXPECT_TRUE(k < 0 ? std::isnan(got[i]) : got[i] == data.codebook[int64_t{k} * s.D + i % s.D]);
    }
  }
}

TEST_F(VectorQuantizeCuda, LossesAndSumsMatchTheReference) {
  for (VectorQuantizeShape s : kVectorQuantizeCases) {
    s = emulated(s);
    for (const bool collapsed : {false, true}) {
      SCOPED_TRACE(describe("vector_quantize", {s.N, s.D, s.K}));
      QuantizeData data = quantize_data(s, collapsed);
      const int64_t elements = int64_t{s.N} * s.D, codes = int64_t{s.K} * s.D;
      const auto quantized = random_values<float>(elements, 9);
      const auto wide_x = converted<double>(data.x), wide_codebook = converted<double>(data.codebook);
      std::vector<double> value(1), dx(elements), dc(codes), counts(s.K), sums(codes);
      const DeviceArray<float> x(data.x), q(quantized), codebook(data.codebook);
      const DeviceArray<int32_t> offsets(data.offsets), order(data.order);
      const DeviceArray<double> schedule(std::vector<double>{0.5});
      const CodeRows rows{offsets.data(), order.data()};
      const Weight weight{1.4, schedule.data()};

      cpu::commitment_loss<double>({}, s, wide_x.data(), converted<double>(quantized).data(), {0.7}, {value.data()},
                                   {dx.data()});
      const auto got_dx = expect_set_and_add_on_cuda<float>(elements, [&](const Context& ctx, Grad<float> grad) {
        cuda::commitment_loss(ctx, s, x.data(), q.data(), weight, {}, grad);
      });
      expect_close(got_dx, dx, fp32_tolerance(1), "dx");
      const auto commitment = expect_set_and_add_on_cuda<float>(1, [&](const Context& ctx, Grad<float> grad) {
        cuda::commitment_loss(ctx, s, x.data(), q.data(), weight, grad, {});
      });
      expect_close(commitment, value, fp32_tolerance(elements), "commitment");

      cpu::codebook_loss<double>({}, s, wide_x.data(), wide_codebook.data(), data.rows(), {0.7}, {value.data()},
                                 {dc.data()});
      const auto got_dc = expect_set_and_add_on_cuda<float>(codes, [&](const Context& ctx, Grad<float> grad) {
        cuda::codebook_loss(ctx, s, x.data(), codebook.data(), rows, weight, {}, grad);
      });
      expect_close(got_dc, dc, fp32_tolerance(s.N), "dcodebook");
      const auto loss = expect_set_and_add_on_cuda<float>(1, [&](const Context& ctx, Grad<float> grad) {
        cuda::codebook_loss(ctx, s, x.data(), codebook.data(), rows, weight, grad, {});
      });
      expect_close(loss, value, fp32_tolerance(elements), "codebook loss");

      cpu::code_sums<double>({}, s, wide_x.data(), data.rows(), {counts.data()}, {sums.data()});
      const auto got_sums = expect_set_and_add_on_cuda<float>(
          codes, [&](const Context& ctx, Grad<float> grad) { cuda::code_sums(ctx, s, x.data(), rows, {}, grad); });
      expect_close(got_sums, sums, fp32_tolerance(s.N), "sums");
      const auto got_counts = expect_set_and_add_on_cuda<float>(
          s.K, [&](const Context& ctx, Grad<float> grad) { cuda::code_sums(ctx, s, x.data(), rows, grad, {}); });
      expect_close(got_counts, counts, exact(), "counts");
    }
  }
}

/// One thread has all rows of a dimension: a float of their sum would round each one off.
TEST_F(VectorQuantizeCuda, SumsOfManyRowsDoNotDrift) {
  const VectorQuantizeShape s{20000, 128, 1};
  const float value = 77.0f / 255;
  std::vector<int32_t> in_order(static_cast<size_t>(s.N));
  std::iota(in_order.begin(), in_order.end(), 0);
  const DeviceArray<float> x(std::vector<float>(static_cast<size_t>(s.N * s.D), value));
  const DeviceArray<int32_t> offsets(std::vector<int32_t>{0, s.N}), order(in_order);
  const auto sums = on_cuda([&](const Context& ctx) {
    DeviceArray<float> of_code(std::vector<float>(static_cast<size_t>(s.D)));
    cuda::code_sums(ctx, s, x.data(), {offsets.data(), order.data()}, {}, Grad<float>{of_code.data()});
    return of_code.values();
  });
  for (float sum : sums) EXPECT_NEAR(static_cast<double>(sum) / s.N, value, 1e-6 * value);
}

TEST_F(VectorQuantizeCuda, AddsCountsUnlessTheStepIsRefused) {
  const VectorQuantizeShape s{4, 1, 3};
  const DeviceArray<float> counts(std::vector<float>{1, 0, 3});
  for (const int code : {0, 6}) {
    Fault refused;
    refused.code = code;
    const DeviceArray<Fault> fault(std::vector<Fault>{refused});
    const auto got = on_cuda([&](const Context& ctx) {
      DeviceArray<int64_t> usage(std::vector<int64_t>{0, 10, int64_t{1} << 40});
      cuda::add_code_counts(ctx, s, counts.data(), fault.data(), usage.data());
      return usage.values();
    });
    const int64_t added = code == 0 ? 1 : 0;
    EXPECT_EQ(got, (std::vector<int64_t>{added, 10, (int64_t{1} << 40) + 3 * added}));
  }
}

}  // namespace
}  // namespace hourglass::test
