// SPDX-License-Identifier: Apache-2.0
// Every op through the tape: the gradient check in double, its fused and per-sample forms against each other, and what
// it refuses. Kernels are tested one by one in tests of their own name.
#include <cmath>

#include "engine/ops.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

Noise noise_of(int draws = 1) {
  Noise noise;
  noise.seed = 3;
  noise.stream = stream_id("test");
  noise.draws = draws;
  return noise;
}

/// A weighted sum, so that no two elements of x have the same gradient by accident.
Var weighted(TapeFixture& f, const Var& x) {
  const Var flat = reshape(x, {1, x.shape.elements()});
  Var weights = f.tape.constant(flat.shape, flat.dtype);
  for (int64_t i = 0; f.runtime.ctx().device == Device::kCpu && i < flat.shape.elements(); ++i) {
    weights.as<double>()[i] = std::sin(1.0 + static_cast<double>(i));
  }
  return sum(f.tape, mul(f.tape, flat, weights));
}

/// Data in 0..1 that depend on no parameter.
Var data(TapeFixture& f, const Shape& shape) {
  Var x = f.tape.constant(shape, Dtype::kF64);
  for (int64_t i = 0; i < shape.elements(); ++i) x.as<double>()[i] = 0.5 + 0.5 * std::sin(3.7 * static_cast<double>(i));
  return x;
}

TEST(ops, linear_gradients) {
  for (Activation a : kActivations) {
    if (a == Activation::kRelu || a == Activation::kLeakyRelu) continue;  // kinks: below
    TapeFixture f;
    Parameter &x = f.parameter("x", {3, 4}), &w = f.parameter("w", {5, 4}), &b = f.parameter("b", {5});
    Parameter& tied = f.parameter("tied", {4, 2});
    f.allocate();
    SCOPED_TRACE(activation_name(a));
    check_gradients(f, [&] { return weighted(f, linear(f.tape, x, w, b, a)); });
    check_gradients(f, [&] { return weighted(f, linear(f.tape, x, tied, {}, a, true)); });
  }
}

TEST(ops, linear_gradients_beside_the_kink) {
  for (Activation a : {Activation::kRelu, Activation::kLeakyRelu}) {
    TapeFixture f;
    Parameter &x = f.parameter("x", {2, 2}), &w = f.parameter("w", {3, 2}), &b = f.parameter("b", {3});
    f.allocate();
    // |x w^T| is at most 0.5 and the biases are +-1: no pre-activation comes near zero.
    for (int i = 0; i < 4; ++i) f.values(x)[i] *= 0.5;
    for (int i = 0; i < 6; ++i) f.values(w)[i] *= 0.5;
    for (int i = 0; i < 3; ++i) f.values(b)[i] = i % 2 ? 1 : -1;
    check_gradients(f, [&] { return weighted(f, linear(f.tape, x, w, b, a)); });
  }
}

TEST(ops, elementwise_and_shape_gradients) {
  TapeFixture f;
  Parameter &a = f.parameter("a", {3, 4}), &b = f.parameter("b", {3, 4});
  f.allocate();
  check_gradients(f, [&] { return weighted(f, add(f.tape, a, b)); });
  check_gradients(f, [&] { return weighted(f, sub(f.tape, a, b)); });
  check_gradients(f, [&] { return weighted(f, mul(f.tape, a, b)); });
  check_gradients(f, [&] { return weighted(f, scale(f.tape, a, -2.5)); });
  check_gradients(f, [&] { return weighted(f, concat(f.tape, a, slice(f.tape, b, 1, 2))); });
  check_gradients(f, [&] { return weighted(f, reshape(a, {2, 6})); });
}

TEST(ops, cast_hands_values_and_gradients_through) {
  TapeFixture f;
  Parameter& x = f.parameter("x", {3, 4});
  f.allocate();
  f.tape.rewind();
  const Var y = cast(f.tape, x, Dtype::kF32), z = cast(f.tape, y, Dtype::kF64);
  EXPECT_EQ(y.dtype, Dtype::kF32);
  EXPECT_EQ(cast(f.tape, x, Dtype::kF64).data, f.values(x)) << "nothing to do";
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(y.as<float>()[i], static_cast<float>(f.values(x)[i]));
    EXPECT_EQ(z.as<double>()[i], static_cast<double>(y.as<float>()[i]));
  }
  f.tape.backward({{z, 2.5}, {y, 0.25}});
  for (int i = 0; i < 12; ++i) EXPECT_EQ(static_cast<double*>(x.leaf.grad)[i], 2.75);
  expect_error([&] { cast(f.tape, x, Dtype::kI32); }, Exit::kUsage, {"cast", "i32"});
  expect_error([&] { add(f.tape, x, y); }, Exit::kUsage, {"add", "f64", "f32", "cast"});
}

TEST(ops, activation_gradients) {
  for (Activation a : kActivations) {
    TapeFixture f;
    Parameter& x = f.parameter("x", {3, 4}, "all", 3);
    f.allocate();
    for (int i = 0; i < 12; ++i) {
      if (std::abs(f.values(x)[i]) < 1e-3) f.values(x)[i] = 0.5;
    }
    SCOPED_TRACE(activation_name(a));
    check_gradients(f, [&] { return weighted(f, activation(f.tape, x, a)); });
  }
}

TEST(ops, reduction_gradients) {
  TapeFixture f;
  Parameter& x = f.parameter("x", {4, 5});
  f.allocate();
  check_gradients(f, [&] { return weighted(f, row_sum(f.tape, x)); });
  check_gradients(f, [&] { return weighted(f, row_mean(f.tape, x)); });
  check_gradients(f, [&] { return weighted(f, row_norm(f.tape, x)); });
  check_gradients(f, [&] { return weighted(f, row_log_sum_exp(f.tape, x)); });
  check_gradients(f, [&] { return sum(f.tape, mul(f.tape, x, x)); });
  check_gradients(f, [&] { return mean(f.tape, mul(f.tape, x, x)); });
}

TEST(ops, latent_gradients) {
  for (int draws : {1, 3}) {
    TapeFixture f;
    Parameter &mu = f.parameter("mu", {4, 5}), &logvar = f.parameter("logvar", {4, 5});
    Parameter &prior_mu = f.parameter("prior_mu", {4, 5}), &prior_logvar = f.parameter("prior_logvar", {4, 5});
    f.allocate();
    check_gradients(f, [&] { return weighted(f, reparameterize(f.tape, mu, logvar, noise_of(draws))); });
    check_gradients(f, [&] { return weighted(f, gaussian_kl_per_sample(f.tape, mu, logvar)); });
    check_gradients(f, [&] { return weighted(f, gaussian_kl_per_sample(f.tape, mu, logvar, prior_mu, prior_logvar)); });
  }
}

/// A weighted sum of a loss and another use of its inputs, against the same sum of per-sample means.
void check_loss(TapeFixture& f, const std::function<Loss()>& loss, const std::function<Var()>& per_sample) {
  constexpr double kWeight = 0.7;
  check_gradients(
      f,
      [&] {
        return std::vector<Term>{{loss(), kWeight}};
      },
      [&] { return kWeight * mean(f.tape, per_sample()).as<double>()[0]; });
  // The per-sample form has the same gradient, through its own backward.
  check_gradients(f, [&] { return scale(f.tape, mean(f.tape, per_sample()), kWeight); });
}

TEST(ops, fused_losses_have_the_gradient_of_the_per_sample_mean) {
  TapeFixture f;
  Parameter &y = f.parameter("y", {6, 5}, "all", 2), &log_sigma = f.parameter("log_sigma", {1});
  Parameter& per_pixel = f.parameter("per_pixel", {5});
  f.allocate();
  for (int rows : {6, 2}) {  // 2: three draws of each image
    const auto x = [&] { return data(f, {rows, 5}); };
    check_loss(
        f, [&] { return bernoulli_nll(f.tape, y, x()); }, [&] { return bernoulli_nll_per_sample(f.tape, y, x()); });
    check_loss(
        f, [&] { return squared_error(f.tape, y, x()); }, [&] { return squared_error_per_sample(f.tape, y, x()); });
    for (Parameter* s : {&log_sigma, &per_pixel}) {
      check_loss(
          f, [&] { return gaussian_nll(f.tape, y, x(), *s); },
          [&] { return gaussian_nll_per_sample(f.tape, y, x(), *s); });
    }
  }
}

TEST(ops, fused_kl_has_the_gradient_of_the_per_sample_mean) {
  TapeFixture f;
  Parameter &mu = f.parameter("mu", {4, 3}), &logvar = f.parameter("logvar", {4, 3});
  f.allocate();
  check_loss(
      f, [&] { return gaussian_kl(f.tape, mu, logvar); }, [&] { return gaussian_kl_per_sample(f.tape, mu, logvar); });
}

TEST(ops, gaussian_latent_equals_its_unfused_composition) {
  for (int draws : {1, 3}) {
    TapeFixture f;
    Parameter& head = f.parameter("head", {4, 10});
    f.allocate();
    constexpr double kBeta = 0.3;
    const auto unfused = [&] {
      const Var mu = slice(f.tape, head, 0, 5), logvar = slice(f.tape, head, 5, 5);
      const Var z = reparameterize(f.tape, mu, logvar, noise_of(draws));
      return add(f.tape, weighted(f, activation(f.tape, z, Activation::kTanh)),
                 scale(f.tape, mean(f.tape, gaussian_kl_per_sample(f.tape, mu, logvar)), kBeta));
    };
    check_gradients(
        f,
        [&] {
          const GaussianLatent latent = gaussian_latent(f.tape, head, noise_of(draws));
          return std::vector<Term>{{weighted(f, activation(f.tape, latent.z, Activation::kTanh)), 1.0},
                                   {latent.kl, kBeta}};
        },
        [&] { return unfused().as<double>()[0]; });
    f.restart();
    const GaussianLatent latent = gaussian_latent(f.tape, head, noise_of(draws));
    const Var z = reparameterize(f.tape, slice(f.tape, head, 0, 5), slice(f.tape, head, 5, 5), noise_of(draws));
    expect_close(std::vector<double>(latent.z.as<double>(), latent.z.as<double>() + 4 * draws * 5),
                 std::vector<double>(z.as<double>(), z.as<double>() + 4 * draws * 5), fp64_tolerance());
  }
}

TEST(ops, a_loss_reports_its_unweighted_value) {
  TapeFixture f;
  Parameter& y = f.parameter("y", {3, 4});
  Leaf* value = f.parameters.statistic("reconstruction");
  f.allocate();
  const Var x = data(f, {3, 4});
  const double expected = mean(f.tape, squared_error_per_sample(f.tape, y, x)).as<double>()[0];
  f.tape.backward({{squared_error(f.tape, y, x), 0.25, value}});
  EXPECT_NEAR(*static_cast<double*>(value->grad), expected, 1e-12);
}

TEST(ops, a_scheduled_weight_is_read_when_the_loss_runs) {
  TapeFixture f;
  Parameter& mu = f.parameter("mu", {2, 2});
  Parameter& logvar = f.parameter("logvar", {2, 2});
  f.allocate();
  double beta = 0;
  const Loss kl = gaussian_kl(f.tape, mu, logvar);
  f.tape.backward({{kl, Weight{1, &beta}}});
  EXPECT_EQ(f.gradient(mu)[0], 0);
  f.restart();
  beta = 2;
  f.tape.backward({{gaussian_kl(f.tape, mu, logvar), Weight{0.5, &beta}}});
  EXPECT_NEAR(f.gradient(mu)[0], f.values(mu)[0] / 2, 1e-15);
}

TEST(ops, refusals_name_op_and_both_shapes) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {3, 4}), &w = f.parameter("w", {5, 6}), &v = f.parameter("v", {4});
  f.allocate();
  Tape& t = f.tape;
  expect_error([&] { linear(t, x, w, {}); }, Exit::kUsage, {"linear", "(5, 6)", "(3, 4)"});
  expect_error([&] { linear(t, v, w, {}); }, Exit::kUsage, {"linear", "rank 2", "(4)"});
  expect_error([&] { linear(t, x, linear(t, w, w, {}), {}); }, Exit::kUsage, {"linear", "(5, 5)"});
  expect_error([&] { add(t, x, w); }, Exit::kUsage, {"add", "(3, 4)", "(5, 6)"});
  expect_error([&] { mul(t, x, w); }, Exit::kUsage, {"mul", "(3, 4)", "(5, 6)"});
  expect_error([&] { slice(t, x, 2, 3); }, Exit::kUsage, {"slice", "2 .. 5", "(3, 4)"});
  expect_error([&] { concat(t, x, w); }, Exit::kUsage, {"concat", "(3, 4)", "(5, 6)"});
  expect_error([&] { row_sum(t, v); }, Exit::kUsage, {"row_sum", "rank 2", "(4)"});
  expect_error([&] { reparameterize(t, x, w, noise_of()); }, Exit::kUsage, {"reparameterize", "(3, 4)", "(5, 6)"});
  expect_error([&] { reparameterize(t, x, x, noise_of(0)); }, Exit::kUsage, {"reparameterize", "at least 1 draw", "0"});
  expect_error([&] { gaussian_kl_per_sample(t, x, x, x, {}); }, Exit::kUsage, {"gaussian_kl", "both"});
  expect_error(
      [&] {
        gaussian_latent(t, full(t, {2, 3}, Dtype::kF64, 0), noise_of());
      },
      Exit::kUsage, {"gaussian_latent", "(2, 3)"});
  expect_error(
      [&] {
        bernoulli_nll(t, x, full(t, {2, 4}, Dtype::kF64, 0));
      },
      Exit::kUsage, {"bernoulli_nll", "(3, 4)", "(2, 4)"});
  expect_error(
      [&] {
        bernoulli_nll(t, x, full(t, {3, 4}, Dtype::kF32, 0));
      },
      Exit::kUsage, {"bernoulli_nll", "f64", "f32"});
  expect_error([&] { squared_error(t, x, x); }, Exit::kUsage, {"squared_error", "detach"});
  expect_error(
      [&] {
        gaussian_nll(t, x, full(t, {3, 4}, Dtype::kF64, 0), full(t, {3}, Dtype::kF64, 0));
      },
      Exit::kUsage, {"gaussian_nll", "1 or 4", "(3)"});
  expect_error(
      [&] {
        activation(t, t.constant({2, 2}, Dtype::kI32), Activation::kTanh);
      },
      Exit::kUsage, {"activation", "i32"});
}

TEST(ops, empty_and_single_element_inputs) {
  TapeFixture f;
  Parameter &w = f.parameter("w", {3, 1}), &one = f.parameter("one", {1, 1});
  f.allocate();
  const Var none = f.tape.constant({0, 1}, Dtype::kF64);
  const Var y = linear(f.tape, none, w, {}, Activation::kTanh);
  EXPECT_EQ(y.shape, Shape({0, 3}));
  const Var total = sum(f.tape, y);
  EXPECT_EQ(total.as<double>()[0], 0);
  f.tape.backward({{total, 1.0}});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f.gradient(w)[i], 0);
  EXPECT_NO_THROW(activation(f.tape, none, Activation::kSigmoid));
  EXPECT_NO_THROW(concat(f.tape, none, none));
  EXPECT_NO_THROW(reparameterize(f.tape, none, none, noise_of()));
  expect_error([&] { mean(f.tape, none); }, Exit::kUsage, {"mean"});
  check_gradients(f, [&] { return sum(f.tape, activation(f.tape, one, Activation::kTanh)); });
}

}  // namespace
}  // namespace hourglass::test
