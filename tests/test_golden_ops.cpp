// SPDX-License-Identifier: Apache-2.0
// Kernels against PyTorch: the reference forms in double and float, and the timed float forms, against results that
// PyTorch computed in double (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/activation.h"
#include "kernels/bernoulli_nll.h"
#include "kernels/columns.h"
#include "kernels/elementwise.h"
#include "kernels/gaussian_kl.h"
#include "kernels/gaussian_latent.h"
#include "kernels/gaussian_nll.h"
#include "kernels/gradient_norm.h"
#include "kernels/linear.h"
#include "kernels/reparameterize.h"
#include "kernels/row_reduce.h"
#include "kernels/squared_error.h"
#include "tests/golden/golden.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

constexpr double kWeight = 0.7;  // of the fused losses

/// One form of the kernels, with what a test of it needs: inputs, poisoned outputs, comparisons.
template <class Type, bool reference>
struct Form {
  using T = Type;
  static constexpr bool kReference = reference;

  std::vector<T> in(const std::string& name) const { return golden.values<T>(name); }
  Guarded<T> like(const std::string& name) const { return Guarded<T>(static_cast<int64_t>(in(name).size())); }
  int rows(const std::string& name) const { return golden.extent(name, 0); }
  int columns(const std::string& name) const { return golden.extent(name, 1); }

  /// K: the number of terms in an element's sum.
  void expect(const std::string& name, const Guarded<T>& got, int64_t K = 1) const {
    expect_close(got, golden.values<double>(name), tolerance_for<T>(K), name);
  }
  /// The value of a fused loss is the mean of its per-sample results, without the weight.
  void expect_mean(const std::string& name, const Guarded<T>& value, int64_t K) const {
    const auto samples = golden.values<double>(name);
    double mean = 0;
    for (double sample : samples) mean += sample / static_cast<double>(samples.size());
    expect_close(value, std::vector<double>{mean}, tolerance_for<T>(K), "mean of " + name);
  }

  Golden golden{"ops"};
  Context ctx = test_context(2);
};

template <class Body>
void every_form(Body body) {
  const auto run = [&](const char* name, auto form) {
    SCOPED_TRACE(name);
    body(form);
  };
  run("reference, double", Form<double, true>{});
  run("reference, float", Form<float, true>{});
  run("timed, float", Form<float, false>{});
}

/// Calls a kernel in the form `f`: naming the type picks the reference, leaving it out the timed form where one exists.
#define RUN(op, ...)                                   \
  do {                                                 \
    using Called = std::decay_t<decltype(f)>;          \
    if constexpr (Called::kReference) {                \
      cpu::op<typename Called::T>(f.ctx, __VA_ARGS__); \
    } else {                                           \
      cpu::op(f.ctx, __VA_ARGS__);                     \
    }                                                  \
  } while (false)

template <class F>
using Element = typename std::decay_t<F>::T;

template <class T>
Grad<T> set(Guarded<T>& gradient) {
  return {gradient.data(), Write::kSet};
}

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

/// The noise of every latent case.
struct LatentNoise {
  int64_t step = 5;
  int32_t first_draw = 1;
  Noise noise() const {
    Noise n;
    n.seed = 11, n.stream = stream_id("golden/latent"), n.step = &step;
    n.first_row = 2, n.draws = 3, n.first_draw = &first_draw;
    return n;
  }
};
constexpr LatentShape kLatent{4, 10, 3};

TEST(GoldenOps, Noise) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    auto eps = f.like("noise/eps");
    RUN(normal_fill, kLatent, latent.noise(), eps.data());
    f.expect("noise/eps", eps);
  });
}

TEST(GoldenOps, Reparameterize) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    const auto mu = f.in("reparameterize/mu"), logvar = f.in("reparameterize/logvar"), dz = f.in("reparameterize/dz");
    auto z = f.like("reparameterize/z"), dmu = f.like("reparameterize/dmu"), dlogvar = f.like("reparameterize/dlogvar");
    RUN(reparameterize_forward, kLatent, mu.data(), logvar.data(), latent.noise(), z.data());
    RUN(reparameterize_backward, kLatent, logvar.data(), latent.noise(), dz.data(), set(dmu), set(dlogvar));
    f.expect("reparameterize/z", z);
    f.expect("reparameterize/dmu", dmu, 3);
    f.expect("reparameterize/dlogvar", dlogvar, 3);
  });
}

TEST(GoldenOps, GaussianKl) {
  every_form([](const auto& f) {
    for (const bool general : {false, true}) {
      const std::string name = general ? "gaussian_kl/general/" : "gaussian_kl/standard/";
      const GaussianKlShape s{4, 10, 0, general};
      using T = Element<decltype(f)>;
      const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar"), dkl = f.in(name + "dkl");
      const auto prior_mu = general ? f.in(name + "prior_mu") : std::vector<T>();
      const auto prior_logvar = general ? f.in(name + "prior_logvar") : std::vector<T>();
      const T *pm = general ? prior_mu.data() : nullptr, *pl = general ? prior_logvar.data() : nullptr;
      auto kl = f.like(name + "kl"), dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
      auto dprior_mu = f.like(name + "dmu"), dprior_logvar = f.like(name + "dmu");
      RUN(gaussian_kl_forward, s, mu.data(), logvar.data(), pm, pl, kl.data());
      RUN(gaussian_kl_backward, s, mu.data(), logvar.data(), pm, pl, dkl.data(), set(dmu), set(dlogvar),
          general ? set(dprior_mu) : Grad<T>(), general ? set(dprior_logvar) : Grad<T>());
      f.expect(name + "kl", kl, s.D);
      f.expect(name + "dmu", dmu);
      f.expect(name + "dlogvar", dlogvar);
      if (!general) continue;
      f.expect(name + "dprior_mu", dprior_mu);
      f.expect(name + "dprior_logvar", dprior_logvar);
    }
  });
}

TEST(GoldenOps, GaussianKlLoss) {
  every_form([](const auto& f) {
    const std::string name = "gaussian_kl/standard/";
    const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar");
    Guarded<Element<decltype(f)>> value(1);
    auto dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
    RUN(gaussian_kl_loss, GaussianKlShape{4, 10}, mu.data(), logvar.data(), Weight{kWeight}, set(value), set(dmu),
        set(dlogvar));
    f.expect_mean(name + "kl", value, 40);
    f.expect(name + "loss/dmu", dmu);
    f.expect(name + "loss/dlogvar", dlogvar);
  });
}

TEST(GoldenOps, GaussianLatent) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    const std::string name = "gaussian_latent/";
    const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar"), dz = f.in(name + "dz");
    Guarded<Element<decltype(f)>> value(1);
    auto z = f.like(name + "z"), kl = f.like(name + "kl");
    auto dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
    RUN(gaussian_latent_forward, kLatent, mu.data(), logvar.data(), latent.noise(), z.data(), kl.data());
    RUN(gaussian_latent_backward, kLatent, mu.data(), logvar.data(), latent.noise(), dz.data(), Weight{kWeight},
        kl.data(), set(value), set(dmu), set(dlogvar));
    f.expect(name + "z", z);
    f.expect(name + "kl", kl, 10);
    f.expect_mean(name + "kl", value, 40);
    f.expect(name + "dmu", dmu, 3);
    f.expect(name + "dlogvar", dlogvar, 3);
  });
}

constexpr RowLossShape kRowLoss{6, 15, 2};

TEST(GoldenOps, BernoulliNll) {
  every_form([](const auto& f) {
    const std::string name = "bernoulli_nll/";
    const auto logits = f.in(name + "logits"), x = f.in(name + "x"), dnll = f.in(name + "dnll");
    Guarded<Element<decltype(f)>> value(1);
    auto nll = f.like(name + "nll"), dlogits = f.like(name + "dlogits"), fused = f.like(name + "dlogits");
    RUN(bernoulli_nll_forward, kRowLoss, logits.data(), x.data(), nll.data());
    RUN(bernoulli_nll_backward, kRowLoss, logits.data(), x.data(), dnll.data(), set(dlogits));
    RUN(bernoulli_nll_loss, kRowLoss, logits.data(), x.data(), Weight{kWeight}, set(value), set(fused));
    f.expect(name + "nll", nll, 15);
    f.expect(name + "dlogits", dlogits);
    f.expect_mean(name + "nll", value, 90);
    f.expect(name + "loss/dlogits", fused);
  });
}

TEST(GoldenOps, SquaredError) {
  every_form([](const auto& f) {
    const std::string name = "squared_error/";
    const auto y = f.in(name + "y"), x = f.in(name + "x"), dloss = f.in(name + "dnll");
    Guarded<Element<decltype(f)>> value(1);
    auto loss = f.like(name + "nll"), dy = f.like(name + "dy"), fused = f.like(name + "dy");
    RUN(squared_error_forward, kRowLoss, y.data(), x.data(), loss.data());
    RUN(squared_error_backward, kRowLoss, y.data(), x.data(), dloss.data(), set(dy));
    RUN(squared_error_loss, kRowLoss, y.data(), x.data(), Weight{kWeight}, set(value), set(fused));
    f.expect(name + "nll", loss, 15);
    f.expect(name + "dy", dy);
    f.expect_mean(name + "nll", value, 90);
    f.expect(name + "loss/dy", fused);
  });
}

TEST(GoldenOps, GaussianNll) {
  every_form([](const auto& f) {
    for (const std::string name : {"gaussian_nll/shared/", "gaussian_nll/columns/"}) {
      const auto y = f.in(name + "y"), x = f.in(name + "x"), log_sigma = f.in(name + "log_sigma");
      const auto dnll = f.in(name + "dnll");
      const GaussianNllShape s{6, 15, 2, f.rows(name + "log_sigma")};
      Guarded<Element<decltype(f)>> value(1);
      auto nll = f.like(name + "nll"), dy = f.like(name + "dy"), dlog_sigma = f.like(name + "dlog_sigma");
      auto fused_dy = f.like(name + "dy"), fused_dlog_sigma = f.like(name + "dlog_sigma");
      RUN(gaussian_nll_forward, s, y.data(), x.data(), log_sigma.data(), nll.data());
      RUN(gaussian_nll_backward, s, y.data(), x.data(), log_sigma.data(), dnll.data(), set(dy), set(dlog_sigma));
      RUN(gaussian_nll_loss, s, y.data(), x.data(), log_sigma.data(), Weight{kWeight}, set(value), set(fused_dy),
          set(fused_dlog_sigma));
      f.expect(name + "nll", nll, 15);
      f.expect(name + "dy", dy);
      f.expect(name + "dlog_sigma", dlog_sigma, 90);
      f.expect_mean(name + "nll", value, 90);
      f.expect(name + "loss/dy", fused_dy);
      f.expect(name + "loss/dlog_sigma", fused_dlog_sigma, 90);
    }
  });
}

TEST(GoldenOps, ClipByNorm) {
  every_form([](const auto& f) {
    const auto slab = f.in("gradient_norm/g");
    for (const auto& [name, limit] :
         {std::pair("gradient_norm/clipped", 1.5), std::pair("gradient_norm/within", 1e3)}) {
      SCOPED_TRACE(name);
      Norm norm;
      Fault fault;
      const int64_t step = 0;
      RUN(gradient_check, GradientNormShape{1000, 1000}, slab.data(), limit, &norm, &fault, &step);
      EXPECT_EQ(fault.code, 0);
      const auto want_norm = f.golden.template values<double>(std::string(name) + "/norm")[0];
      EXPECT_TRUE(std::abs(norm.norm - want_norm) <= 1e-12 * want_norm) << norm.norm << ", PyTorch: " << want_norm;
      std::vector<double> clipped(slab.begin(), slab.end());
      for (double& g : clipped) g *= norm.scale;
      expect_close(clipped, f.golden.template values<double>(std::string(name) + "/g"), fp64_tolerance(), name);
    }
  });
}

}  // namespace
}  // namespace hourglass::test
