// SPDX-License-Identifier: Apache-2.0
// Each fusion is what it stands for: the same values and gradients through the tape as the ops that it replaces, on
// every device; and its own gradient check in double.
#include <functional>

#include "engine/transfer.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

constexpr int kRows = 6, kIn = 5, kLatent = 3, kHidden = 7, kPixels = 10, kDraws = 2;

Noise noise_of() {
  Noise noise;
  noise.seed = 3;
  noise.stream = stream_id("test");
  noise.draws = kDraws;
  return noise;
}

/// A small VAE: x is a parameter too, so that its gradient is seen; the data are a constant.
struct SmallVae {
  SmallVae(const char* device, Dtype dtype) : runtime({device, 1}), parameters(dtype) {
    runtime.arena().reserve(runtime.ctx(), size_t{1} << 20);
    parameters.allocate(7, runtime.ctx());
  }
  Parameter& add(const std::string& name, const Shape& shape, const char* group) {
    return parameters.add(name, shape, Init::uniform(0.8), parameters.group(group));
  }
  Var target(bool wide) { return full(tape, {wide ? kRows * kDraws : kRows, kPixels}, parameters.dtype(), 0.3); }

  std::vector<Term> record(bool fused) {
    const Noise noise = noise_of();
    const GaussianLatent latent = fused ? gaussian_head(tape, x, head_w, head_b, noise)
                                        : gaussian_latent(tape, linear(tape, x, head_w, head_b), noise);
    const Var h = linear(tape, latent.z, hidden, {}, Activation::kTanh);
    const Loss rec = fused ? linear_bce(tape, h, out_w, out_b, target(false), true)
                           : bernoulli_nll(tape, linear(tape, h, out_w, out_b, Activation::kNone, true), target(false));
    // The last layer a second time, without a bias, for each draw its own data.
    const Loss again = fused ? linear_bce(tape, h, out_w, {}, target(true), true)
                             : bernoulli_nll(tape, linear(tape, h, out_w, {}, Activation::kNone, true), target(true));
    return {{rec, 1, rec_value}, {latent.kl, 0.5, kl_value}, {again, 0.25, again_value}};
  }

  /// Gradients of `groups`, then the three values.
  std::vector<double> gradients(bool fused, Groups groups) {
    tape.rewind();
    const std::vector<Term> terms = record(fused);
    tape.backward(terms.data(), terms.size(), groups);
    parameters.complete_gradients(runtime.ctx(), kAllGroups);
    parameters.forget_gradients(kAllGroups);
    const auto count = static_cast<size_t>(parameters.gradient_elements());
    const auto copy = [&](auto zero) {
      std::vector<decltype(zero)> all(count);
      to_host(runtime.ctx(), all.data(), parameters.gradients(), count * sizeof(zero));
      return std::vector<double>(all.begin(), all.end());
    };
    return parameters.dtype() == Dtype::kF64 ? copy(0.0) : copy(0.0f);
  }

  Runtime runtime;
  Parameters parameters;
  Parameter& x = add("x", {kRows, kIn}, "input");
  Parameter& head_w = add("head.weight", {2 * kLatent, kIn}, "encoder");
  Parameter& head_b = add("head.bias", {2 * kLatent}, "encoder");
  Parameter& hidden = add("hidden", {kHidden, kLatent}, "decoder");
  Parameter& out_w = add("out.weight", {kHidden, kPixels}, "decoder");
  Parameter& out_b = add("out.bias", {kPixels}, "decoder");
  Leaf* rec_value = parameters.statistic("reconstruction");
  Leaf* kl_value = parameters.statistic("kl");
  Leaf* again_value = parameters.statistic("again");
  Tape tape{runtime.ctx(), runtime.arena()};
};

void expect_fused_is_composed(const char* device, Dtype dtype, Tolerance tolerance) {
  SmallVae vae(device, dtype);
  const Groups decoder = vae.parameters.group("decoder"), input = vae.parameters.group("input");
  for (const Groups groups : {kAllGroups, decoder, input}) {
    const std::vector<double> want = vae.gradients(false, groups), got = vae.gradients(true, groups);
    expect_close(got, want, tolerance, std::string("gradients and values on ") + device);
    EXPECT_GT(want.back(), 0);
  }
}

TEST(fusions, are_their_compositions) {
  expect_fused_is_composed("cpu", Dtype::kF64, fp64_tolerance());
  expect_fused_is_composed("cpu", Dtype::kF32, fp32_tolerance(1000));
}

TEST(fusions, are_their_compositions_on_cuda) {
  try {
    expect_fused_is_composed("cuda", Dtype::kF32, fp32_tolerance(1000));
  } catch (const Error& error) {
    GTEST_SKIP() << "needs a CUDA device: " << error.what();
  }
}

TEST(fusions, linear_bce_gradients) {
  for (const bool transposed : {false, true}) {
    TapeFixture f;
    Parameter& x = f.parameter("x", {4, 3});
    Parameter& w = f.parameter("w", transposed ? Shape{3, 5} : Shape{5, 3});
    Parameter& b = f.parameter("b", {5});
    f.allocate();
    const auto data = [&] { return full(f.tape, {2, 5}, Dtype::kF64, 0.4); };
    check_gradients(
        f,
        [&] {
          return std::vector<Term>{{linear_bce(f.tape, x, w, b, data(), transposed), 1.5}};
        },
        [&] {
          const Var logits = linear(f.tape, x, w, b, Activation::kNone, transposed);
          return 1.5 * mean(f.tape, bernoulli_nll_per_sample(f.tape, logits, data())).as<double>()[0];
        });
  }
}

TEST(fusions, gaussian_head_gradients) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {4, 3}), &w = f.parameter("w", {4, 3}), &b = f.parameter("b", {4});
  f.allocate();
  check_gradients(
      f,
      [&] {
        const GaussianLatent latent = gaussian_head(f.tape, x, w, b, noise_of());
        return std::vector<Term>{{latent.kl, 0.5}, {sum(f.tape, activation(f.tape, latent.z, Activation::kTanh)), 1.0}};
      },
      [&] {
        const GaussianLatent latent = gaussian_head(f.tape, x, w, b, noise_of());
        const double kl = mean(f.tape, latent.kl_per_sample).as<double>()[0];
        return 0.5 * kl + sum(f.tape, activation(f.tape, latent.z, Activation::kTanh)).as<double>()[0];
      });
}

TEST(fusions, refusals) {
  TapeFixture f;
  Parameter& x = f.parameter("x", {4, 3});
  f.allocate();
  const auto var = [&](const Shape& shape, Dtype dtype = Dtype::kF64) { return f.tape.constant(shape, dtype); };
  const auto bce = [&](const Var& w, const Var& b, const Var& target) { linear_bce(f.tape, x, w, b, target); };
  expect_error(
      [&] {
        bce(var({5, 2}), {}, var({4, 5}));
      },
      Exit::kUsage, {"linear_bce", "(5, 2)", "2 columns", "(4, 3)"});
  expect_error([&] { bce(var({5, 3}), var({4}), var({4, 5})); }, Exit::kUsage, {"linear_bce", "bias", "(5)", "(4)"});
  expect_error([&] { bce(var({5, 3}), {}, var({3, 5})); }, Exit::kUsage, {"linear_bce", "5 columns", "(3, 5)"});
  expect_error([&] { bce(var({5, 3}), {}, var({4, 6})); }, Exit::kUsage, {"linear_bce", "5 columns", "(4, 6)"});
  expect_error([&] { bce(var({5, 3}), {}, x); }, Exit::kUsage, {"linear_bce", "detach"});
  expect_error([&] { bce(var({5, 3}, Dtype::kF32), {}, var({4, 5})); }, Exit::kUsage, {"linear_bce", "f32", "f64"});
  const auto head = [&](const Var& w, const Var& b, int draws) {
    Noise noise = noise_of();
    noise.draws = draws;
    gaussian_head(f.tape, x, w, b, noise);
  };
  expect_error([&] { head(var({5, 3}), {}, 1); }, Exit::kUsage, {"gaussian_head", "even", "(5, 3)"});
  expect_error([&] { head(var({4, 2}), {}, 1); }, Exit::kUsage, {"gaussian_head", "3 columns", "(4, 2)"});
  expect_error([&] { head(var({4, 3}), var({3}), 1); }, Exit::kUsage, {"gaussian_head", "bias", "(4)", "(3)"});
  expect_error([&] { head(var({4, 3}), {}, 0); }, Exit::kUsage, {"gaussian_head", "1 draw"});
}

}  // namespace
}  // namespace hourglass::test
