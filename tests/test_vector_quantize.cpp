// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "kernels/vector_quantize.h"
#include "tests/cases/vector_quantize.h"
#include "tests/vector_quantize_checks.h"

namespace hourglass::test {
namespace {

TEST(VectorQuantize, SortsRowsByCodeInAscendingOrder) {
  for (const VectorQuantizeShape& s : kVectorQuantizeCases) {
    for (const bool collapsed : {false, true}) {
      SCOPED_TRACE(describe("sort_by_code", {s.N, s.D, s.K}));
      const QuantizeData data = quantize_data(s, collapsed);
      EXPECT_EQ(data.offsets.front(), 0);
      EXPECT_EQ(data.offsets.back(), s.N - (s.N > 1));  // the last row has no code
      for (int k = 0; k < s.K; ++k) {
        for (int i = data.offsets[k]; i < data.offsets[k + 1]; ++i) {
          EXPECT_EQ(data.index[data.order[i]], k);
          EXPECT_TRUE(i == data.offsets[k] || data.order[i - 1] < data.order[i]);
        }
      }
    }
  }
}

TEST(VectorQuantize, GathersCodesAndNothingForNoCode) {
  const VectorQuantizeShape s{4, 2, 3};
  const std::vector<double> codebook = {1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> index = {2, 0, -1, 3};
  Guarded<double> quantized(8);
  cpu::vector_quantize_forward<double>({}, s, codebook.data(), index.data(), quantized.data());
  expect_close(std::vector<double>(quantized.begin(), quantized.begin() + 4), std::vector<double>{5, 6, 1, 2}, exact());
  for (int i = 4; i < 8; ++i) EXPECT_TRUE(std::isnan(quantized[i]));
}

double mean_squares(const VectorQuantizeShape& s, const std::vector<double>& x, const std::vector<double>& codebook,
                    const std::vector<int32_t>& index) {
  double sum = 0;
  for (int64_t i = 0; i < int64_t{s.N} * s.D; ++i) {
    const double difference = x[i] - codebook[index[i / s.D] * s.D + i % s.D];
    sum += difference * difference;
  }
  return sum / (static_cast<double>(s.N) * s.D);
}

TEST(VectorQuantize, LossesAreTheirDefinitionAndPassTheGradientCheck) {
  for (const VectorQuantizeShape& s : kVectorQuantizeCases) {
    if (s.N > 200) continue;
    SCOPED_TRACE(describe("vector_quantize", {s.N, s.D, s.K}));
    QuantizeData data = quantize_data(s);
    data.index.back() = 0;
    cpu::sort_by_code({}, s, data.index.data(), nullptr, data.offsets.data(), data.order.data());
    const auto x = converted<double>(data.x), codebook = converted<double>(data.codebook);
    std::vector<double> quantized(x.size());
    cpu::vector_quantize_forward<double>({}, s, codebook.data(), data.index.data(), quantized.data());
    Guarded<double> commitment(1), loss(1), dx(int64_t{s.N} * s.D), dc(int64_t{s.K} * s.D);
    cpu::commitment_loss<double>({}, s, x.data(), quantized.data(), {0.25}, {commitment.data(), Write::kSet},
                                 {dx.data(), Write::kSet});
    cpu::codebook_loss<double>({}, s, x.data(), codebook.data(), data.rows(), {0.5}, {loss.data(), Write::kSet},
                               {dc.data(), Write::kSet});
    const double want = mean_squares(s, x, codebook, data.index);
    EXPECT_NEAR(commitment[0], want, 1e-12 * want);
    EXPECT_NEAR(loss[0], want, 1e-12 * want);
    gradcheck([&](const std::vector<double>& at) { return 0.25 * mean_squares(s, at, codebook, data.index); }, x, dx);
    gradcheck([&](const std::vector<double>& at) { return 0.5 * mean_squares(s, x, at, data.index); }, codebook, dc);
  }
}

TEST(VectorQuantize, FloatAgreesWithDouble) {
  for (const VectorQuantizeShape& s : kVectorQuantizeCases) {
    for (const bool collapsed : {false, true}) {
      SCOPED_TRACE(describe("vector_quantize", {s.N, s.D, s.K}));
      const QuantizeData data = quantize_data(s, collapsed);
      const auto x = converted<double>(data.x), codebook = converted<double>(data.codebook);
      const int64_t codes = int64_t{s.K} * s.D;
      std::vector<double> value(1), dc(codes), counts(s.K), sums(codes);
      cpu::codebook_loss<double>({}, s, x.data(), codebook.data(), data.rows(), {0.7}, {value.data()}, {dc.data()});
      cpu::code_sums<double>({}, s, x.data(), data.rows(), {counts.data()}, {sums.data()});
      Guarded<float> got_value(1), got_counts(s.K);
      const auto got = expect_set_and_add<float>(codes, [&](Grad<float> grad) {
        cpu::codebook_loss<float>({}, s, data.x.data(), data.codebook.data(), data.rows(), {0.7},
                                  {got_value.data(), Write::kSet}, grad);
      });
      expect_close(got, dc, fp32_tolerance(s.N), "dcodebook");
      expect_close(got_value, value, fp32_tolerance(s.N), "value");
      const auto got_sums = expect_set_and_add<float>(codes, [&](Grad<float> grad) {
        cpu::code_sums<float>({}, s, data.x.data(), data.rows(), {got_counts.data(), Write::kSet}, grad);
      });
      expect_close(got_sums, sums, fp32_tolerance(s.N), "sums");
      expect_close(got_counts, counts, exact(), "counts");
    }
  }
}

/// A float that is the sum of millions has no room for one more: the mean of equal values must stay theirs.
TEST(VectorQuantize, SumsOfMillionsOfRowsDoNotDrift) {
  const VectorQuantizeShape s{3000000, 1, 1};
  const std::vector<float> x(static_cast<size_t>(s.N), 77.0f / 255);
  std::vector<int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  const int32_t offsets[] = {0, s.N};
  float sum = 0;
  cpu::code_sums<float>({}, s, x.data(), {offsets, order.data()}, {}, {&sum});
  EXPECT_NEAR(static_cast<double>(sum) / s.N, x[0], 1e-6 * x[0]);
}

TEST(VectorQuantize, MeansDoNotDependOnTheSizeOfTheBatch) {
  const VectorQuantizeShape one{9, 4, 3}, two{18, 4, 3};
  QuantizeData data = quantize_data(one);
  data.index.back() = 2;
  const auto twice = [](auto values) {
    const auto copy = values;
    values.insert(values.end(), copy.begin(), copy.end());
    return values;
  };
  const auto run = [&](const VectorQuantizeShape& s, const std::vector<float>& x, const std::vector<int32_t>& index) {
    const auto wide = converted<double>(x), codebook = converted<double>(data.codebook);
    std::vector<int32_t> offsets(s.K + 1), order(s.N);
    std::vector<double> quantized(wide.size()), value(1), dc(codebook.size());
    cpu::sort_by_code({}, s, index.data(), nullptr, offsets.data(), order.data());
    cpu::vector_quantize_forward<double>({}, s, codebook.data(), index.data(), quantized.data());
    cpu::commitment_loss<double>({}, s, wide.data(), quantized.data(), {1}, {value.data()}, {});
    cpu::codebook_loss<double>({}, s, wide.data(), codebook.data(), {offsets.data(), order.data()}, {1}, {},
                               {dc.data()});
    dc.push_back(value[0]);
    return dc;
  };
  expect_close(run(two, twice(data.x), twice(data.index)), run(one, data.x, data.index), fp64_tolerance());
}

TEST(VectorQuantize, HasTheSameBitsOnAnyNumberOfThreads) {
  const VectorQuantizeShape s{3000, 10, 70};
  const QuantizeData data = quantize_data(s);
  expect_same_bits_for_threads([&](const Context& ctx) {
    std::vector<float> quantized(s.N * s.D), result(2 * s.K * s.D + s.N * s.D + 2);
    float* const at = result.data();
    auto index = data.index;
    index.back() = 0;
    cpu::vector_quantize_forward<float>(ctx, s, data.codebook.data(), index.data(), quantized.data());
    cpu::commitment_loss<float>(ctx, s, data.x.data(), quantized.data(), {1}, {at}, {at + 2});
    cpu::codebook_loss<float>(ctx, s, data.x.data(), data.codebook.data(), data.rows(), {1}, {at + 1},
                              {at + 2 + s.N * s.D});
    cpu::code_sums<float>(ctx, s, data.x.data(), data.rows(), {}, {at + 2 + s.N * s.D + s.K * s.D});
    return result;
  });
}

TEST(VectorQuantize, CountsOfAStepAreAddedOnceItCommits) {
  const VectorQuantizeShape s{4, 1, 3};
  std::vector<int64_t> usage = {0, 10, int64_t{1} << 40};
  const std::vector<float> counts = {1, 0, 3};
  Fault fault;
  cpu::add_code_counts({}, s, counts.data(), &fault, usage.data());
  cpu::add_code_counts({}, s, counts.data(), nullptr, usage.data());
  fault.code = 6;
  cpu::add_code_counts({}, s, counts.data(), &fault, usage.data());
  EXPECT_EQ(usage, (std::vector<int64_t>{2, 10, (int64_t{1} << 40) + 6}));
}

TEST(VectorQuantize, RefusesMeansOverNothing) {
  const VectorQuantizeShape none{0, 3, 2};
  expect_error([&] { cpu::commitment_loss<float>({}, none, nullptr, nullptr, {1}, {}, {}); }, Exit::kUsage,
               {"commitment_loss", "N = 0"});
  expect_error(
      [&] {
        cpu::codebook_loss<float>({}, {3, 0, 2}, nullptr, nullptr, {}, {1}, {}, {});
      },
      Exit::kUsage, {"codebook_loss", "D = 0"});
  expect_error(
      [&] {
        cpu::code_sums<float>({}, {3, -1, 2}, nullptr, {}, {}, {});
      },
      Exit::kUsage, {"code_sums", "D = -1"});
}

}  // namespace
}  // namespace hourglass::test
