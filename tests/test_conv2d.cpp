// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv2d.h"
#include "tests/conv2d_checks.h"

namespace hourglass {
namespace {

using namespace test;

/// The three products by the forms that ops call.
Conv2dResults<float> timed(const Context& ctx, const Conv2dShape& s, const Conv2dInputs<float>& in,
                           const Conv2dEpilogue<float>& to_y = {}, const Conv2dEpilogue<float>& to_x = {}) {
  Guarded<float> y(y_size(s)), x(x_size(s)), w(w_size(s));
  Guarded<float> scratch(static_cast<int64_t>(cpu::conv2d_backward_weight_scratch_bytes<float>(s) / sizeof(float)));
  cpu::conv2d_forward(ctx, s, in.x.data(), in.w.data(), to_y, Grad<float>{y.data()});
  cpu::conv2d_backward_input(ctx, s, in.y.data(), in.w.data(), to_x, Grad<float>{x.data()});
  cpu::conv2d_backward_weight(ctx, s, in.x.data(), in.y.data(), scratch.data(), Grad<float>{w.data()});
  return {y.values(), x.values(), w.values()};
}

std::vector<Conv2dShape> all_cases() {
  std::vector<Conv2dShape> all = kConv2dCases;
  all.insert(all.end(), kConv2dCutCases.begin(), kConv2dCutCases.end());
  return all;
}

std::vector<double> forward(const Conv2dShape& s, const std::vector<double>& x, const std::vector<double>& w) {
  Guarded<double> y(y_size(s));
  cpu::conv2d_forward<double>({}, s, x.data(), w.data(), {}, {y.data()});
  return y.values();
}

TEST(Conv2d, OutputExtentIsTheFormula) {
  EXPECT_EQ(conv2d_output_extent(28, 4, 2, 1, 1, 1), 14);
  EXPECT_EQ(conv2d_output_extent(7, 3, 2, 0, 0, 1), 3);
  EXPECT_EQ(conv2d_output_extent(8, 2, 1, 0, 1, 1), 8);
  EXPECT_EQ(conv2d_output_extent(12, 3, 1, 2, 2, 2), 12);
  EXPECT_EQ(conv2d_output_extent(3, 3, 5, 0, 0, 1), 1);
  EXPECT_EQ(conv2d_output_extent(2, 3, 1, 0, 0, 1), 0);
  EXPECT_EQ(conv2d_output_extent(2, 9, 2, 0, 0, 3), 0);
  expect_error([] { conv2d_output_extent(4, 3, 0, 0, 0, 1); }, Exit::kUsage, {"stride", "3, 0 and 1"});
}

TEST(Conv2d, ReferenceIsTheDefinition) {
  // x (1, 2, 3, 1), w (1, 2, 2, 1), no padding: y (1, 1, 2, 1).
  const Conv2dShape s = conv2d_exact_case(1, 2, 3, 1, 1, 2, 1, 2, 2, 1, 1, 0, 0);
  const Conv2dInputs<double> in{{1, 2, 3, 4, 5, 6}, {1, 10, 100, 1000}, {1, 2}};
  const auto got = conv2d_reference(s, in);
  EXPECT_EQ(got.y, (std::vector<double>{1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000}));
  EXPECT_EQ(got.x, (std::vector<double>{1, 10 + 2, 20, 100, 1000 + 200, 2000}));
  EXPECT_EQ(got.w, (std::vector<double>{1 + 4, 2 + 6, 4 + 10, 5 + 12}));
  // Two channels in and out, 1x1, stride 2, one row of padding above: only x[1] is read.
  const Conv2dShape strided = conv2d_exact_case(1, 3, 1, 2, 2, 1, 2, 1, 1, 2, 1, 1, 0);
  const auto y = forward(strided, {1, 2, 3, 4, 5, 6}, {1, 10, 100, 1000});
  EXPECT_EQ(y, (std::vector<double>{0, 0, 43, 4300}));
}

TEST(Conv2d, ReferencePassesTheGradientCheck) {
  for (const Conv2dShape& s : {conv2d_case(2, 5, 6, 2, 3, 3, 2, 1), conv2d_case(1, 6, 5, 3, 2, 2, 1, 1, 2)}) {
    SCOPED_TRACE(conv2d_name(s));
    const auto in = Conv2dInputs<double>::random(s);
    const auto got = conv2d_reference(s, in);
    gradcheck([&](const auto& x) { return weighted_sum(forward(s, x, in.w), in.y); }, in.x, got.x, "dx");
    gradcheck([&](const auto& w) { return weighted_sum(forward(s, in.x, w), in.y); }, in.w, got.w, "dw");
  }
}

TEST(Conv2d, TheThreeProductsAreAdjoint) {
  for (const Conv2dShape& s : all_cases()) {
    SCOPED_TRACE(conv2d_name(s));
    // With integers every sum is exact: <conv(x), y> = <x, conv^T(y)> = <w, dw>.
    const auto in = Conv2dInputs<float>::integers(s);
    const auto got = timed(test_context(2), s, in);
    const double along_y = weighted_sum(got.y, in.y);
    EXPECT_EQ(along_y, weighted_sum(got.x, in.x));
    EXPECT_EQ(along_y, weighted_sum(got.w, in.w));
  }
}

/// y with stride - 1 zeros between its pixels.
std::vector<double> with_zeros_inserted(const Conv2dShape& s, const std::vector<double>& y) {
  const int64_t rows = (s.P - 1) * s.stride_h + 1, columns = (s.Q - 1) * s.stride_w + 1;
  std::vector<double> wide(static_cast<size_t>(s.N * rows * columns * s.K), 0.0);
  for (int64_t at = 0; at < y_size(s); ++at) {
    const int64_t k = at % s.K, q = at / s.K % s.Q, p = at / s.K / s.Q % s.P, n = at / s.K / s.Q / s.P;
    const int64_t to = ((n * rows + p * s.stride_h) * columns + q * s.stride_w) * s.K + k;
    wide[static_cast<size_t>(to)] = y[static_cast<size_t>(at)];
  }
  return wide;
}

/// w (K, R, S, C) as (C, R, S, K), turned by half a turn.
std::vector<double> turned(const Conv2dShape& s, const std::vector<double>& w) {
  std::vector<double> result(w.size());
  for (int64_t at = 0; at < w_size(s); ++at) {
    const int64_t c = at % s.C, t = at / s.C % s.S, r = at / s.C / s.S % s.R, k = at / s.C / s.S / s.R;
    const int64_t to = ((c * s.R + s.R - 1 - r) * s.S + s.S - 1 - t) * s.K + k;
    result[static_cast<size_t>(to)] = w[static_cast<size_t>(at)];
  }
  return result;
}

TEST(Conv2d, TransposedIsZeroInsertionAndConvolution) {
  for (const Conv2dShape& s : kConv2dCases) {
    if (s.P == 0 || s.Q == 0) continue;
    SCOPED_TRACE(conv2d_name(s));
    Conv2dShape plain = s;
    plain.H = (s.P - 1) * s.stride_h + 1, plain.W = (s.Q - 1) * s.stride_w + 1, plain.C = s.K;
    plain.P = s.H, plain.Q = s.W, plain.K = s.C;
    plain.stride_h = plain.stride_w = 1;
    plain.pad_h = (s.R - 1) * s.dilation_h - s.pad_h, plain.pad_w = (s.S - 1) * s.dilation_w - s.pad_w;
    const auto in = Conv2dInputs<double>::integers(s);
    const auto want = forward(plain, with_zeros_inserted(s, in.y), turned(s, in.w));
    expect_close(conv2d_reference(s, in).x, want, exact(), "reference");
    expect_close(timed(test_context(2), s, in.as<float>()).x, want, exact(), "timed");
  }
}

TEST(Conv2d, FloatMatchesDouble) {
  for (const Conv2dShape& s : all_cases()) {
    SCOPED_TRACE(conv2d_name(s));
    const auto in = Conv2dInputs<float>::random(s);
    const auto want = conv2d_reference(s, in.as<double>());
    for (const auto& got : {timed(test_context(2), s, in), conv2d_reference(s, in)}) {
      expect_close(got.y, want.y, fp32_tolerance(forward_terms(s)), "forward");
      expect_close(got.x, want.x, fp32_tolerance(input_terms(s)), "backward_input");
      expect_close(got.w, want.w, fp32_tolerance(weight_terms(s)), "backward_weight");
    }
  }
}

TEST(Conv2d, IntegersAreExact) {
  for (const Conv2dShape& s : all_cases()) {
    SCOPED_TRACE(conv2d_name(s));
    const auto in = Conv2dInputs<float>::integers(s);
    const auto want = conv2d_reference(s, in.as<double>());
    const auto got = timed(test_context(2), s, in);
    expect_close(got.y, want.y, exact(), "forward");
    expect_close(got.x, want.x, exact(), "backward_input");
    expect_close(got.w, want.w, exact(), "backward_weight");
  }
}

TEST(Conv2d, SetsAddsAndSkips) {
  for (const Conv2dShape& s : kConv2dCases) {
    SCOPED_TRACE(conv2d_name(s));
    const auto in = Conv2dInputs<float>::random(s);
    const Context ctx = test_context(2);
    std::vector<float> scratch(cpu::conv2d_backward_weight_scratch_bytes<float>(s) / sizeof(float));
    const auto bias = random_values<float>(std::max(s.K, s.C), 5);
    const Conv2dEpilogue<float> epilogue{bias.data(), nullptr, Activation::kTanh};
    for (const auto& e : {Conv2dEpilogue<float>{}, epilogue}) {
      expect_set_and_add<float>(
          y_size(s), [&](Grad<float> y) { cpu::conv2d_forward(ctx, s, in.x.data(), in.w.data(), e, y); },
          fp32_tolerance(forward_terms(s)), "y");
      expect_set_and_add<float>(
          x_size(s), [&](Grad<float> x) { cpu::conv2d_backward_input(ctx, s, in.y.data(), in.w.data(), e, x); },
          fp32_tolerance(input_terms(s)), "x");
      expect_set_and_add<float>(
          y_size(s), [&](Grad<float> y) { cpu::conv2d_forward<float>({}, s, in.x.data(), in.w.data(), e, y); },
          fp32_tolerance(1), "y of the reference");
      expect_set_and_add<float>(
          x_size(s), [&](Grad<float> x) { cpu::conv2d_backward_input<float>({}, s, in.y.data(), in.w.data(), e, x); },
          fp32_tolerance(1), "x of the reference");
    }
    expect_set_and_add<float>(
        w_size(s),
        [&](Grad<float> dw) { cpu::conv2d_backward_weight(ctx, s, in.x.data(), in.y.data(), scratch.data(), dw); },
        fp32_tolerance(weight_terms(s)), "dw");
    expect_set_and_add<float>(
        w_size(s),
        [&](Grad<float> dw) { cpu::conv2d_backward_weight<float>({}, s, in.x.data(), in.y.data(), nullptr, dw); },
        fp32_tolerance(1), "dw of the reference");
  }
}

TEST(Conv2d, SameBitsOnAnyNumberOfThreads) {
  for (const Conv2dShape& s : all_cases()) {
    SCOPED_TRACE(conv2d_name(s));
    const auto in = Conv2dInputs<float>::random(s);
    expect_same_bits_for_threads([&](const Context& ctx) {
      const auto r = timed(ctx, s, in);
      auto all = r.y;
      for (const auto* part : {&r.x, &r.w}) all.insert(all.end(), part->begin(), part->end());
      return all;
    });
  }
}

/// f(sum + bias + residual), element by element.
std::vector<double> finished(std::vector<double> sums, const std::vector<double>& bias,
                             const std::vector<double>& residual, Activation activation) {
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!bias.empty()) sums[i] += bias[i % bias.size()];
    if (!residual.empty()) sums[i] += residual[i];
  }
  cpu::activation_forward<double>({}, {static_cast<int64_t>(sums.size()), activation}, sums.data(), sums.data());
  return sums;
}

TEST(Conv2d, TheEpilogueIsTheComposition) {
  const std::vector<Conv2dShape> shapes = {conv2d_case(3, 9, 8, 1, 32, 4, 2, 1), conv2d_case(2, 6, 7, 20, 3, 3, 1, 1),
                                           conv2d_case(1, 5, 5, 33, 17, 1), conv2d_case(2, 2, 2, 3, 2, 3),
                                           conv2d_case(2, 3, 3, 0, 4, 2),
                                           // Rows of two blocks; that of x is of odd width, in two phases.
                                           conv2d_case(1, 2, 4201, 1, 2, 3, 2, 1)};
  for (const Conv2dShape& s : shapes) {
    const auto in = Conv2dInputs<float>::random(s);
    const auto bias_y = random_values<float>(s.K, 5), bias_x = random_values<float>(s.C, 6);
    const auto residual_y = random_values<float>(y_size(s), 7), residual_x = random_values<float>(x_size(s), 8);
    const auto sums = conv2d_reference(s, in.as<double>());
    for (Activation a : kActivations) {
      if (a == Activation::kGelu) continue;
      for (int parts = 0; parts < 4; ++parts) {
        SCOPED_TRACE(conv2d_name(s) + " " + activation_name(a) + " " + std::to_string(parts));
        const bool bias = parts & 1, residual = parts & 2;
        const Conv2dEpilogue<float> to_y{bias ? bias_y.data() : nullptr, residual ? residual_y.data() : nullptr, a};
        const Conv2dEpilogue<float> to_x{bias ? bias_x.data() : nullptr, residual ? residual_x.data() : nullptr, a};
        const auto part = [](bool wanted, const std::vector<float>& v) {
          return wanted ? converted<double>(v) : std::vector<double>{};
        };
        const auto want_y = finished(sums.y, part(bias, bias_y), part(residual, residual_y), a);
        const auto want_x = finished(sums.x, part(bias, bias_x), part(residual, residual_x), a);
        for (const auto& got : {timed(test_context(2), s, in, to_y, to_x), conv2d_reference(s, in, to_y, to_x)}) {
          expect_close(got.y, want_y, fp32_tolerance(forward_terms(s), 1), "y");
          expect_close(got.x, want_x, fp32_tolerance(input_terms(s), 1), "x");
        }
      }
    }
  }
}

struct EpilogueGradients {
  std::vector<float> dz, db;
};

EpilogueGradients backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const std::vector<float>& y,
                                    const std::vector<float>& dy, bool reference) {
  Guarded<float> dz(dy), db(s.channels);
  if (reference) cpu::conv2d_backward_epilogue<float>(ctx, s, y.data(), dz.data(), {db.data()});
  if (!reference) cpu::conv2d_backward_epilogue(ctx, s, y.data(), dz.data(), Grad<float>{db.data()});
  return {dz.values(), db.values()};
}

const std::vector<Conv2dEpilogueShape> kEpilogueShapes = {{1, 1},   {300, 1}, {1000, 3}, {257, 32},
                                                          {5, 100}, {0, 4},   {4, 0},    {70000, 2}};

TEST(Conv2dBackwardEpilogue, IsActivationBackwardAndColumnSums) {
  for (Conv2dEpilogueShape s : kEpilogueShapes) {
    for (Activation a : kActivations) {
      if (a == Activation::kGelu) continue;
      s.activation = a;
      SCOPED_TRACE(describe("rows x channels", {s.rows, s.channels}) + " " + activation_name(a));
      const int64_t n = s.rows * s.channels;
      const auto y = random_values<float>(n, 1, 0.1, 0.9), dy = random_values<float>(n, 2);
      const auto y_wide = converted<double>(y), dy_wide = converted<double>(dy);
      std::vector<double> dz(y.size()), db(static_cast<size_t>(s.channels), 0.0);
      cpu::activation_backward<double>({}, {n, a}, nullptr, y_wide.data(), dy_wide.data(), {dz.data()});
      for (size_t i = 0; i < dz.size(); ++i) db[i % db.size()] += dz[i];
      for (bool reference : {false, true}) {
        const auto got = backward_epilogue(test_context(2), s, y, dy, reference);
        expect_close(got.dz, dz, fp32_tolerance(1, 1e-2), "dz");
        expect_close(got.db, db, fp32_tolerance(s.rows, 1e-2), "db");
      }
      expect_same_bits_for_threads([&](const Context& ctx) { return backward_epilogue(ctx, s, y, dy, false).db; });
    }
  }
}

TEST(Conv2dBackwardEpilogue, SetsAddsAndReadsOnlyWithoutAnActivation) {
  const Conv2dEpilogueShape s{129, 20};
  const auto dy = random_values<float>(s.rows * s.channels, 2);
  for (bool reference : {false, true}) {
    auto kept = dy;
    const float* no_y = nullptr;
    expect_set_and_add<float>(
        s.channels,
        [&](Grad<float> db) {
          if (reference) cpu::conv2d_backward_epilogue<float>({}, s, no_y, kept.data(), db);
          if (!reference) cpu::conv2d_backward_epilogue(test_context(2), s, no_y, kept.data(), db);
        },
        fp32_tolerance(s.rows), "db");
    expect_same_bits(kept, dy);
  }
}

TEST(Conv2d, RefusesWhatItCannotDo) {
  const Conv2dShape good = conv2d_case(1, 4, 4, 2, 3, 3);
  const auto refused = [&](auto change, std::initializer_list<const char*> parts) {
    Conv2dShape s = good;
    change(s);
    expect_error([&] { cpu::conv2d_forward<float>({}, s, nullptr, nullptr, {}, {}); }, Exit::kUsage, parts);
    expect_error([&] { cpu::conv2d_backward_input<float>({}, s, nullptr, nullptr, {}, {}); }, Exit::kUsage, parts);
    expect_error([&] { cpu::conv2d_backward_weight<float>({}, s, nullptr, nullptr, nullptr, {}); }, Exit::kUsage,
                 parts);
    const float* none = nullptr;
    const Conv2dEpilogue<float> plain;
    expect_error([&] { cpu::conv2d_forward({}, s, none, none, plain, Grad<float>{}); }, Exit::kUsage, parts);
    expect_error([&] { cpu::conv2d_backward_input({}, s, none, none, plain, Grad<float>{}); }, Exit::kUsage, parts);
    expect_error([&] { cpu::conv2d_backward_weight({}, s, none, none, nullptr, Grad<float>{}); }, Exit::kUsage, parts);
  };
  refused([](Conv2dShape& s) { s.N = -1; }, {"conv2d_", "N >= 0", "-1"});
  refused([](Conv2dShape& s) { s.Q = -2; }, {"conv2d_", "Q >= 0", "-2"});
  refused([](Conv2dShape& s) { s.R = 0; }, {"conv2d_", "R >= 1", "0"});
  refused([](Conv2dShape& s) { s.stride_w = 0; }, {"conv2d_", "stride_w >= 1", "0"});
  refused([](Conv2dShape& s) { s.dilation_h = -3; }, {"conv2d_", "dilation_h >= 1", "-3"});
  const Conv2dEpilogue<float> gelu{nullptr, nullptr, Activation::kGelu};
  expect_error([&] { cpu::conv2d_forward<float>({}, good, nullptr, nullptr, gelu, {}); }, Exit::kUsage, {"gelu"});
  expect_error([&] { cpu::conv2d_backward_input<float>({}, good, nullptr, nullptr, gelu, {}); }, Exit::kUsage,
               {"gelu"});
  const auto epilogue = [](const Conv2dEpilogueShape& s) {
    float dy = 0;
    const float* y = nullptr;
    cpu::conv2d_backward_epilogue<float>({}, s, y, &dy, {});
    cpu::conv2d_backward_epilogue({}, s, y, &dy, Grad<float>{});
  };
  expect_error([&] { epilogue({-1, 2}); }, Exit::kUsage, {"rows", "-1"});
  expect_error([&] { epilogue({1, 1, Activation::kGelu}); }, Exit::kUsage, {"gelu"});
  expect_error([&] { epilogue({1, 1, Activation::kTanh}); }, Exit::kUsage, {"tanh", "null"});
}

}  // namespace
}  // namespace hourglass
