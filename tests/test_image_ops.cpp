// SPDX-License-Identifier: Apache-2.0
// Pooling and upsampling through the tape: the gradient check in double, the shapes they infer, and what they refuse.
#include <cmath>

#include "engine/ops.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

Var weighted(TapeFixture& f, const Var& x) {
  const Var flat = reshape(x, {1, x.shape.elements()});
  const Var weights = f.tape.constant(flat.shape, flat.dtype);
  for (int64_t i = 0; i < flat.shape.elements(); ++i) {
    weights.as<double>()[i] = std::sin(1.0 + static_cast<double>(i));
  }
  return sum(f.tape, mul(f.tape, flat, weights));
}

TEST(image_ops, gradients) {
  TapeFixture f;
  Parameter& x = f.parameter("x", {2, 5, 4, 3});
  f.allocate();
  for (int i = 0; i < 120; ++i) f.values(x)[i] += i * 7 % 11;  // no two of a window within the differences' reach
  Pool2d overlapping;
  overlapping.window_h = overlapping.window_w = 3;
  overlapping.stride_h = overlapping.stride_w = 2;
  overlapping.pad_h = overlapping.pad_w = 1;
  Pool2d same;
  same.same = true;
  for (const Pool2d& pool : {Pool2d{}, overlapping, same}) {
    check_gradients(f, [&] { return weighted(f, max_pool2d(f.tape, x, pool)); });
    check_gradients(f, [&] { return weighted(f, average_pool2d(f.tape, x, pool)); });
    Pool2d counted = pool;
    counted.count_padding = true;
    check_gradients(f, [&] { return weighted(f, average_pool2d(f.tape, x, counted)); });
  }
  check_gradients(f, [&] { return weighted(f, upsample2d(f.tape, x, 2, 3)); });
  check_gradients(f, [&] {  // two uses of one value
    return weighted(f, add(f.tape, x, upsample2d(f.tape, max_pool2d(f.tape, x, {1, 1}), 1, 1)));
  });
}

TEST(image_ops, infer_shapes) {
  TapeFixture f;
  f.allocate();
  const auto image = [&](int H, int W) { return full(f.tape, {2, H, W, 3}, Dtype::kF64, 1); };
  Pool2d same;
  same.same = true;
  EXPECT_EQ(max_pool2d(f.tape, image(7, 8), {}).shape, (Shape{2, 3, 4, 3}));
  EXPECT_EQ(max_pool2d(f.tape, image(7, 8), same).shape, (Shape{2, 4, 4, 3}));
  Pool2d wide = same;
  wide.window_h = wide.window_w = 3;
  wide.stride_h = wide.stride_w = 1;
  const Var y = average_pool2d(f.tape, image(4, 5), wide);
  EXPECT_EQ(y.shape, (Shape{2, 4, 5, 3}));
  for (int64_t i = 0; i < y.shape.elements(); ++i) EXPECT_NEAR(y.as<double>()[i], 1, 1e-15) << "padding is not counted";
  EXPECT_EQ(upsample2d(f.tape, image(4, 5), 2, 3).shape, (Shape{2, 8, 15, 3}));
}

/// The op draws the kernel's numbers, in training and in evaluation, and its result depends on no parameter.
TEST(image_ops, corrupt) {
  TapeFixture f;
  f.allocate();
  Noise noise;
  noise.stream = stream_id("evaluate/corrupt");
  const Corruption mask{CorruptionKind::kMask, 0.5};
  std::vector<double> want(96, 0.25);
  cpu::corrupt<double>({}, {2, 48, mask}, want.data(), noise, want.data());
  for (const Mode mode : {Mode::kTrain, Mode::kEvaluate}) {
    f.tape.rewind(mode);
    const Var x = full(f.tape, {2, 4, 4, 3}, Dtype::kF64, 0.25), y = corrupt(f.tape, x, mask, noise);
    EXPECT_EQ(y.shape, x.shape);
    EXPECT_EQ(y.groups, 0u);
    EXPECT_EQ(std::vector<double>(y.as<double>(), y.as<double>() + 96), want);
  }
  EXPECT_EQ(f.tape.records(), 0u);
}

/// The gradient of the whole, through the mean squared error too.
TEST(image_ops, optimal_gaussian_gradients) {
  TapeFixture f;
  Parameter& y = f.parameter("y", {4, 2, 1, 3});
  f.allocate();
  for (int rows : {4, 2}) {
    const auto x = [&] { return full(f.tape, {rows, 2, 1, 3}, Dtype::kF64, 0.4); };
    check_gradients(
        f,
        [&] {
          return std::vector<Term>{{optimal_gaussian_nll(f.tape, y, x()), 0.7}};
        },
        [&] {
          const double mse = mean(f.tape, squared_error_per_sample(f.tape, y, x())).as<double>()[0] / 6;
          return 0.7 * 3 * (std::log(2 * M_PI * mse) + 1);
        });
  }
}

TEST(image_ops, discretized_logistic_gradients) {
  TapeFixture f;
  Parameter &mu = f.parameter("mu", {4, 2, 1, 3}), &channels = f.parameter("channels", {3});
  Parameter &one = f.parameter("one", {1}), &pixels = f.parameter("pixels", {6});
  f.allocate();
  const auto x = [&] { return full(f.tape, {2, 2, 1, 3}, Dtype::kF64, 0.4); };  // two draws of each
  for (Parameter* log_scale : {&channels, &one, &pixels}) {
    const auto per_sample = [&] { return mean(f.tape, discretized_logistic_per_sample(f.tape, mu, x(), *log_scale)); };
    check_gradients(
        f,
        [&] {
          return std::vector<Term>{{discretized_logistic(f.tape, mu, x(), *log_scale), 0.7}};
        },
        [&] { return 0.7 * per_sample().as<double>()[0]; });
    check_gradients(f, per_sample);
  }
}

TEST(image_ops, group_norm_gradients) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {2, 3, 2, 4}), &gamma = f.parameter("gamma", {4}), &beta = f.parameter("beta", {4});
  f.allocate();
  for (int groups : {1, 2}) {
    check_gradients(f, [&] { return weighted(f, group_norm(f.tape, x, gamma, beta, groups)); });
    check_gradients(f, [&] { return weighted(f, group_norm(f.tape, x, {}, beta, groups)); });
    check_gradients(f, [&] { return weighted(f, group_norm(f.tape, reshape(x, {12, 4}), {}, {}, groups)); });
  }
}

TEST(image_ops, refusals) {
  TapeFixture f;
  f.parameter("learned", {2, 3});
  f.allocate();
  const Var x = full(f.tape, {2, 4, 4, 3}, Dtype::kF64, 1), flat = full(f.tape, {2, 48}, Dtype::kF64, 1);
  Pool2d pool;
  expect_error([&] { max_pool2d(f.tape, flat, pool); }, Exit::kUsage, {"max_pool2d", "rank 4", "(2, 48)"});
  pool.window_w = 5;
  expect_error([&] { average_pool2d(f.tape, x, pool); }, Exit::kUsage, {"average_pool2d", "2 x 5", "(2, 4, 4, 3)"});
  pool.window_w = 0;
  expect_error([&] { max_pool2d(f.tape, x, pool); }, Exit::kUsage, {"max_pool2d", "window 0"});
  pool = {};
  pool.pad_h = 2;
  expect_error([&] { max_pool2d(f.tape, x, pool); }, Exit::kUsage, {"max_pool2d", "a window without a pixel"});
  pool.same = true;
  expect_error([&] { max_pool2d(f.tape, x, pool); }, Exit::kUsage, {"`same`", "padding 2"});
  expect_error([&] { upsample2d(f.tape, x, 0, 2); }, Exit::kUsage, {"upsample2d", "0 x 2"});
  const Corruption salt{CorruptionKind::kSaltPepper, 1.5};
  expect_error([&] { corrupt(f.tape, x, salt, Noise{}); }, Exit::kUsage, {"corrupt", "probability", "1.5"});
  expect_error([&] { discretized_logistic(f.tape, x, x, full(f.tape, {5}, Dtype::kF64, 0)); }, Exit::kUsage,
               {"discretized_logistic", "divides 48", "(5)"});
  expect_error([&] { group_norm(f.tape, x, {}, {}, 2); }, Exit::kUsage, {"group_norm", "3 channels", "given 2"});
  expect_error([&] { group_norm(f.tape, x, full(f.tape, {2}, Dtype::kF64, 1), {}, 3); }, Exit::kUsage,
               {"group_norm", "gamma", "(3)", "(2)"});
  const Var learned = f.parameters.all().front();
  expect_error([&] { corrupt(f.tape, learned, {}, Noise{}); }, Exit::kUsage, {"corrupt", "detach"});
}

}  // namespace
}  // namespace hourglass::test
