// SPDX-License-Identifier: Apache-2.0
// Kernels against PyTorch: the reference forms in double and float, and the timed float forms, against results that
// PyTorch computed in double (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/columns.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/row_reduce.h"
#include "tests/golden/forms.h"

namespace hourglass::test {
namespace {

/// `name` holds x, w, b, dy and the results.
template <class F>
void check_linear(const F& f, const std::string& name, Activation activation, bool transposed) {
  const auto x = f.in(name + "/x"), w = f.in(name + "/w"), b = f.in(name + "/b"), dy = f.in(name + "/dy");
  const LinearShape s{f.rows(name + "/x"), f.columns(name + "/x"), f.columns(name + "/y"), activation, transposed};
  auto y = f.like(name + "/y"), dx = f.like(name + "/dx"), dw = f.like(name + "/dw"), db = f.like(name + "/db");
  std::vector<double> scratch(cpu::linear_backward_scratch_bytes({}, s, sizeof(Element<F>)) / sizeof(double) + 1);
  RUN(linear_forward, s, x.data(), w.data(), b.data(), y.data());
  RUN(linear_backward, s, x.data(), w.data(), y.data(), dy.data(), scratch.data(), set(dx), set(dw), set(db));
  f.expect(name + "/y", y, s.C);
  f.expect(name + "/dx", dx, s.K);
  f.expect(name + "/dw", dw, s.N);
  f.expect(name + "/db", db, s.N);
}

TEST(GoldenOps, LinearWithFusedActivation) {
  every_form([](const auto& f) {
    for (Activation activation : kActivations) {
      if (activation == Activation::kGelu) continue;  // not fused: the next test
      check_linear(f, std::string("linear/") + activation_name(activation), activation, false);
    }
    check_linear(f, "linear/transposed", Activation::kTanh, true);
  });
}

TEST(GoldenOps, LinearThenGelu) {
  every_form([](const auto& f) {
    const std::string name = "linear/gelu/";
    const auto x = f.in(name + "x"), w = f.in(name + "w"), b = f.in(name + "b"), dy = f.in(name + "dy");
    const LinearShape s{f.rows(name + "x"), f.columns(name + "x"), f.rows(name + "w")};
    auto hidden = f.like(name + "y"), y = f.like(name + "y"), dhidden = f.like(name + "y");
    auto dx = f.like(name + "dx"), dw = f.like(name + "dw"), db = f.like(name + "db");
    std::vector<double> scratch(
        cpu::linear_backward_scratch_bytes({}, s, sizeof(Element<decltype(f)>)) / sizeof(double) + 1);
    const ActivationShape gelu{y.size(), Activation::kGelu};
    RUN(linear_forward, s, x.data(), w.data(), b.data(), hidden.data());
    RUN(activation_forward, gelu, hidden.data(), y.data());
    RUN(activation_backward, gelu, hidden.data(), y.data(), dy.data(), set(dhidden));
    RUN(linear_backward, s, x.data(), w.data(), hidden.data(), dhidden.data(), scratch.data(), set(dx), set(dw),
        set(db));
    f.expect(name + "y", y, s.C);
    f.expect(name + "dx", dx, s.K);
    f.expect(name + "dw", dw, s.N);
    f.expect(name + "db", db, s.N);
  });
}

TEST(GoldenOps, Activations) {
  every_form([](const auto& f) {
    for (Activation activation : kActivations) {
      const std::string name = std::string("activation/") + activation_name(activation);
      const auto x = f.in(name + "/x"), dy = f.in(name + "/dy");
      auto y = f.like(name + "/y"), dx = f.like(name + "/dx");
      const ActivationShape s{y.size(), activation};
      RUN(activation_forward, s, x.data(), y.data());
      RUN(activation_backward, s, x.data(), y.data(), dy.data(), set(dx));
      f.expect(name + "/y", y);
      f.expect(name + "/dx", dx);
    }
  });
}

TEST(GoldenOps, Elementwise) {
  every_form([](const auto& f) {
    const ElementwiseShape s{37};
    const auto check = [&](const std::string& name, auto run) {
      const auto a = f.in(name + "/a"), b = f.in(name + "/b"), dy = f.in(name + "/dy");
      auto y = f.like(name + "/y"), da = f.like(name + "/da"), db = f.like(name + "/db");
      run(a.data(), b.data(), y.data(), dy.data(), set(da), set(db));
      f.expect(name + "/y", y);
      f.expect(name + "/da", da);
      f.expect(name + "/db", db);
    };
    check("elementwise/add", [&](auto* a, auto* b, auto* y, auto* dy, auto da, auto db) {
      RUN(add_forward, s, a, b, y);
      RUN(add_backward, s, dy, da, db);
    });
    check("elementwise/sub", [&](auto* a, auto* b, auto* y, auto* dy, auto da, auto db) {
      RUN(sub_forward, s, a, b, y);
      RUN(sub_backward, s, dy, da, db);
    });
    check("elementwise/mul", [&](auto* a, auto* b, auto* y, auto* dy, auto da, auto db) {
      RUN(mul_forward, s, a, b, y);
      RUN(mul_backward, s, a, b, dy, da, db);
    });
    const auto x = f.in("elementwise/scale/x"), dy = f.in("elementwise/scale/dy");
    auto y = f.like("elementwise/scale/y"), dx = f.like("elementwise/scale/dx");
    RUN(scale_forward, s, x.data(), -2.5, y.data());
    RUN(scale_backward, s, dy.data(), -2.5, set(dx));
    f.expect("elementwise/scale/y", y);
    f.expect("elementwise/scale/dx", dx);
  });
}

TEST(GoldenOps, SliceAndConcat) {
  every_form([](const auto& f) {
    const auto x = f.in("columns/slice/x"), dslice = f.in("columns/slice/dy");
    auto slice = f.like("columns/slice/y"), dx = f.like("columns/slice/dx");
    RUN(copy_columns, ColumnsShape{5, 9, 4, 2, 0, 4}, x.data(), slice.data());
    RUN(copy_columns, ColumnsShape{5, 4, 9, 0, 2, 4}, dslice.data(), set(dx));
    f.expect("columns/slice/y", slice);
    f.expect("columns/slice/dx", dx);

    const auto a = f.in("columns/concat/a"), b = f.in("columns/concat/b"), dy = f.in("columns/concat/dy");
    auto y = f.like("columns/concat/y"), da = f.like("columns/concat/da"), db = f.like("columns/concat/db");
    RUN(copy_columns, ColumnsShape{5, 4, 7, 0, 0, 4}, a.data(), y.data());
    RUN(copy_columns, ColumnsShape{5, 3, 7, 0, 4, 3}, b.data(), y.data());
    RUN(copy_columns, ColumnsShape{5, 7, 4, 0, 0, 4}, dy.data(), set(da));
    RUN(copy_columns, ColumnsShape{5, 7, 3, 4, 0, 3}, dy.data(), set(db));
    f.expect("columns/concat/y", y);
    f.expect("columns/concat/da", da);
    f.expect("columns/concat/db", db);
  });
}

TEST(GoldenOps, RowReductions) {
  every_form([](const auto& f) {
    const RowReduceShape s{6, 17};
    const auto check = [&](const std::string& name, auto run) {
      const auto x = f.in(name + "/x"), dy = f.in(name + "/dy");
      auto y = f.like(name + "/y"), dx = f.like(name + "/dx");
      run(x.data(), y.data(), dy.data(), set(dx));
      f.expect(name + "/y", y, s.D);
      f.expect(name + "/dx", dx, s.D);
    };
    check("row_reduce/sum", [&](auto* x, auto* y, auto* dy, auto dx) {
      RUN(row_sum_forward, s, x, y);
      RUN(row_sum_backward, s, dy, dx);
    });
    check("row_reduce/mean", [&](auto* x, auto* y, auto* dy, auto dx) {
      RUN(row_mean_forward, s, x, y);
      RUN(row_mean_backward, s, dy, dx);
    });
    check("row_reduce/norm", [&](auto* x, auto* y, auto* dy, auto dx) {
      RUN(row_norm_forward, s, x, y);
      RUN(row_norm_backward, s, x, y, dy, dx);
    });
    check("row_reduce/log_sum_exp", [&](auto* x, auto* y, auto* dy, auto dx) {
      RUN(row_log_sum_exp_forward, s, x, y);
      RUN(row_log_sum_exp_backward, s, x, y, dy, dx);
    });
  });
}

TEST(GoldenOps, StreamingLogSumExp) {
  every_form([](const auto& f) {
    const auto x = f.in("row_reduce/log_sum_exp/x");
    auto y = f.like("row_reduce/log_sum_exp/y");
    std::vector<double> max(6, -std::numeric_limits<double>::infinity()), sum(6, 0.0);
    for (int first = 0, count = 2; first < 17; first += count, count = 5) {  // chunks of 2, 5, 5 and 5 columns
      Guarded<Element<decltype(f)>> chunk(6 * count);
      RUN(copy_columns, ColumnsShape{6, 17, count, first, 0, count}, x.data(), chunk.data());
      RUN(log_sum_exp_update, RowReduceShape{6, count}, chunk.data(), max.data(), sum.data());
    }
    for (size_t n = 0; n < 6; ++n) {
      y[static_cast<int64_t>(n)] = static_cast<Element<decltype(f)>>(max[n] + std::log(sum[n]));
    }
    f.expect("row_reduce/log_sum_exp/y", y, 17);
  });
}

}  // namespace
}  // namespace hourglass::test
