// SPDX-License-Identifier: Apache-2.0
// Kernels of images against PyTorch: the references in double and float, and the timed float forms, against what
// PyTorch computed in double (tests/golden/README.md).
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/discretized_logistic.h"
#include "kernels/group_norm.h"
#include "kernels/optimal_gaussian.h"
#include "kernels/pool2d.h"
#include "kernels/upsample2d.h"
#include "tests/golden/golden.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

constexpr double kWeight = 0.7;

template <class Type, bool timed>
struct Form {
  using T = Type;
  static constexpr bool kTimed = timed;
  std::vector<T> in(const std::string& name) const { return golden.values<T>(name); }
  Guarded<T> like(const std::string& name) const { return Guarded<T>(static_cast<int64_t>(in(name).size())); }
  void expect(const std::string& name, const Guarded<T>& got, int64_t K = 1) const {
    expect_close(got, golden.values<double>(name), tolerance_for<T>(K), name);
  }
  Golden golden{"images"};
  Context ctx = test_context(2);
};

template <class Body>
void every_form(Body body) {
  body(Form<double, false>{});
  body(Form<float, false>{});
  body(Form<float, true>{});
}

/// Calls a kernel in the form `f`: naming the type picks the reference, leaving it out the timed form.
#define RUN(op, ...)                                   \
  do {                                                 \
    using Called = std::decay_t<decltype(f)>;          \
    if constexpr (Called::kTimed) {                    \
      cpu::op(f.ctx, __VA_ARGS__);                     \
    } else {                                           \
      cpu::op<typename Called::T>(f.ctx, __VA_ARGS__); \
    }                                                  \
  } while (false)

struct PoolCase {
  const char* name;
  int R, S, stride_h, stride_w, pad_h, pad_w;
};
constexpr PoolCase kPools[] = {{"halved", 2, 2, 2, 2, 0, 0},
                               {"overlapping", 3, 3, 2, 2, 1, 1},
                               {"uneven", 4, 3, 3, 1, 2, 1},
                               {"same", 2, 2, 2, 2, 0, 0}};

Pool2dShape shape_of(const Golden& golden, const std::string& name, const PoolCase& c) {
  const auto extent = [&](const char* tensor, size_t axis) { return golden.extent(name + tensor, axis); };
  return {
      extent("/x", 0), extent("/x", 1), extent("/x", 2), extent("/x", 3), extent("/y", 1), extent("/y", 2), c.R, c.S,
      c.stride_h,      c.stride_w,      c.pad_h,         c.pad_w};
}

TEST(GoldenImages, MaxPooling) {
  every_form([](const auto& f) {
    for (const PoolCase& c : kPools) {
      const std::string name = std::string("max_pool2d/") + c.name;
      const Pool2dShape s = shape_of(f.golden, name, c);
      const auto x = f.in(name + "/x"), dy = f.in(name + "/dy");
      auto y = f.like(name + "/y"), dx = f.like(name + "/dx");
      Guarded<int32_t> argmax(y.size());
      RUN(max_pool2d_forward, s, x.data(), y.data(), argmax.data());
      RUN(max_pool2d_backward, s, argmax.data(), dy.data(), {dx.data()});
      f.expect(name + "/y", y);
      f.expect(name + "/dx", dx, s.R * s.S);
    }
  });
}

TEST(GoldenImages, AveragePooling) {
  every_form([](const auto& f) {
    for (const PoolCase& c : kPools) {
      for (const bool counted : {false, true}) {
        if (counted && std::string(c.name) == "same") continue;
        const std::string name = std::string("average_pool2d/") + c.name + (counted ? "_counted" : "");
        Pool2dShape s = shape_of(f.golden, name, c);
        s.count_padding = counted;
        const auto x = f.in(name + "/x"), dy = f.in(name + "/dy");
        auto y = f.like(name + "/y"), dx = f.like(name + "/dx");
        RUN(average_pool2d_forward, s, x.data(), y.data());
        RUN(average_pool2d_backward, s, dy.data(), {dx.data()});
        f.expect(name + "/y", y, s.R * s.S);
        f.expect(name + "/dx", dx, s.R * s.S);
      }
    }
  });
}

TEST(GoldenImages, Upsampling) {
  every_form([](const auto& f) {
    const Upsample2dShape s{2, 3, 4, 3, 2, 3};
    const auto x = f.in("upsample2d/x"), dy = f.in("upsample2d/dy");
    auto y = f.like("upsample2d/y"), dx = f.like("upsample2d/dx");
    RUN(upsample2d_forward, s, x.data(), y.data());
    RUN(upsample2d_backward, s, dy.data(), {dx.data()});
    f.expect("upsample2d/y", y);
    f.expect("upsample2d/dx", dx, 6);
  });
}

TEST(GoldenImages, GroupNorm) {
  every_form([](const auto& f) {
    using T = typename std::decay_t<decltype(f)>::T;
    for (int groups : {1, 2, 6}) {
      const std::string name = "group_norm/" + std::to_string(groups);
      const GroupNormShape s{3, 20, 6, groups, 1e-3};
      const auto x = f.in(name + "/x"), gamma = f.in(name + "/gamma"), beta = f.in(name + "/beta"),
                 dy = f.in(name + "/dy");
      auto y = f.like(name + "/y"), dx = f.like(name + "/dx");
      auto dgamma = f.like(name + "/dgamma"), dbeta = f.like(name + "/dbeta");
      Guarded<T> mean(3 * groups), rstd(3 * groups);
      std::vector<T> scratch(group_norm_scratch_bytes(s, 1));
      RUN(group_norm_forward, s, x.data(), gamma.data(), beta.data(), y.data(), mean.data(), rstd.data());
      RUN(group_norm_backward, s, x.data(), gamma.data(), mean.data(), rstd.data(), dy.data(), scratch.data(),
          {dx.data()}, {dgamma.data()}, {dbeta.data()});
      f.expect(name + "/y", y, 20);
      f.expect(name + "/dx", dx, 20);
      f.expect(name + "/dgamma", dgamma, 60);
      f.expect(name + "/dbeta", dbeta, 60);
    }
  });
}

TEST(GoldenImages, BatchNorm) {
  every_form([](auto f) {
    using T = typename std::decay_t<decltype(f)>::T;
    f.golden = Golden("batch_norm");
    const BatchNormShape s{60, 6, 1e-3};
    const auto gamma = f.in("gamma"), beta = f.in("beta");
    std::vector<T> scratch(batch_norm_scratch_bytes(s, 1));
    Guarded<T> running_mean(std::vector<T>(6, 0)), running_var(std::vector<T>(6, 1)), mean(6), rstd(6), moments(18);
    for (const std::string step : {"0/", "1/", "2/"}) {
      const auto x = f.in(step + "x"), dy = f.in(step + "dy");
      auto y = f.like(step + "y"), dx = f.like(step + "dx"), dgamma = f.like("gamma"), dbeta = f.like("beta");
      RUN(batch_norm_forward, s, x.data(), gamma.data(), beta.data(), scratch.data(), y.data(), mean.data(),
          rstd.data(), {moments.data()});
      RUN(batch_norm_backward, s, x.data(), gamma.data(), mean.data(), rstd.data(), dy.data(), scratch.data(),
          {dx.data()}, {dgamma.data()}, {dbeta.data()});
      cpu::batch_norm_update<T>({}, 6, 0.1, nullptr, moments.data(), running_mean.data(), running_var.data());
      f.expect(step + "y", y, 60);
      f.expect(step + "dx", dx, 60);
      f.expect(step + "dgamma", dgamma, 60);
      f.expect(step + "dbeta", dbeta, 60);
      f.expect(step + "running_mean", running_mean, 60);
      f.expect(step + "running_var", running_var, 60);
    }
    const auto x = f.in("inference/x");
    auto y = f.like("inference/y");
    RUN(batch_norm_inference, BatchNormShape({40, 6, 1e-3}), x.data(), gamma.data(), beta.data(), running_mean.data(),
        running_var.data(), y.data());
    f.expect("inference/y", y);
  });
}

template <class F>
void check_discretized_logistic(const F& f, Tolerance limit) {
  using T = typename F::T;
  const std::string name = "discretized_logistic/";
  const DiscretizedLogisticShape s{4, 12, 1, 3};
  const auto mu = f.in(name + "mu"), x = f.in(name + "x"), log_scale = f.in(name + "log_scale"),
             dnll = f.in(name + "dnll");
  auto nll = f.like(name + "nll"), dmu = f.like(name + "dmu"), dlog_scale = f.like(name + "dlog_scale");
  const auto expect = [&](const std::string& tensor, const Guarded<T>& got) {
    expect_close(got, f.golden.template values<double>(name + tensor), limit, tensor);
  };
  cpu::discretized_logistic_forward<T>(f.ctx, s, mu.data(), x.data(), log_scale.data(), nll.data());
  cpu::discretized_logistic_backward<T>(f.ctx, s, mu.data(), x.data(), log_scale.data(), dnll.data(), {dmu.data()},
                                        {dlog_scale.data()});
  expect("nll", nll);
  expect("dmu", dmu);
  expect("dlog_scale", dlog_scale);
  cpu::discretized_logistic_loss<T>(f.ctx, s, mu.data(), x.data(), log_scale.data(), {kWeight}, {}, {dmu.data()},
                                    {dlog_scale.data()});
  expect("loss/dmu", dmu);
  expect("loss/dlog_scale", dlog_scale);
}
TEST(GoldenImages, DiscretizedLogistic) {
  check_discretized_logistic(Form<double, false>{}, {1e-11, 1});  // PyTorch's difference of sigmoids cancels
  check_discretized_logistic(Form<float, false>{}, {4e-6, 1});
}

TEST(GoldenImages, OptimalGaussian) {
  every_form([](const auto& f) {
    using T = typename std::decay_t<decltype(f)>::T;
    const RowLossShape s{5, 7};
    const auto y = f.in("optimal_gaussian/y"), x = f.in("optimal_gaussian/x");
    auto dy = f.like("optimal_gaussian/dy");
    Guarded<T> mse(1), value(1);
    RUN(optimal_gaussian_forward, s, y.data(), x.data(), mse.data());
    RUN(optimal_gaussian_loss, s, y.data(), x.data(), mse.data(), {kWeight}, {value.data()}, {dy.data()});
    f.expect("optimal_gaussian/mse", mse, 35);
    f.expect("optimal_gaussian/value", value, 35);
    f.expect("optimal_gaussian/dy", dy, 35);
  });
}

}  // namespace
}  // namespace hourglass::test
