// SPDX-License-Identifier: Apache-2.0
// Convolution and transposed convolution through the tape: shapes, gradients in double, and refusals.
#include <cmath>

#include "engine/ops.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

/// A weighted sum, so that no two elements of x have the same gradient by accident.
Var weighted(TapeFixture& f, const Var& x) {
  const Var flat = reshape(x, {1, x.shape.elements()});
  Var weights = f.tape.constant(flat.shape, flat.dtype);
  for (int64_t i = 0; i < flat.shape.elements(); ++i) {
    weights.as<double>()[i] = std::sin(1.0 + static_cast<double>(i));
  }
  return sum(f.tape, mul(f.tape, flat, weights));
}

struct OptionsCase {
  const char* name;
  Conv2dOptions options;
};
const OptionsCase kOptions[] = {
    {"plain", {}},
    {"strided", {.stride = 2, .padding = 1}},
    {"uneven", {.stride = {1, 2}, .padding = {2, 0}, .dilation = {2, 1}}},
    {"same", {.same = true}},
    {"same, strided", {.stride = 2, .same = true}},
};

TEST(convolution, shapes_are_pytorchs) {
  TapeFixture f;
  f.allocate();
  const auto shape = [&](const Shape& x, const Shape& w, const Conv2dOptions& o, bool transposed) {
    const Var input = f.tape.constant(x, Dtype::kF64), weight = f.tape.constant(w, Dtype::kF64);
    return to_string(
        (transposed ? conv_transpose2d(f.tape, input, weight, {}, o) : conv2d(f.tape, input, weight, {}, o)).shape);
  };
  const Shape x{2, 9, 8, 3};
  EXPECT_EQ(shape(x, {4, 3, 3, 3}, {}, false), "(2, 7, 6, 4)");
  EXPECT_EQ(shape(x, {4, 4, 4, 3}, {.stride = 2, .padding = 1}, false), "(2, 4, 4, 4)");
  EXPECT_EQ(shape(x, {4, 3, 3, 3}, {.stride = {1, 3}, .padding = {2, 0}, .dilation = {2, 1}}, false), "(2, 9, 2, 4)");
  EXPECT_EQ(shape(x, {4, 2, 4, 3}, {.same = true}, false), "(2, 9, 8, 4)");
  EXPECT_EQ(shape(x, {4, 3, 3, 3}, {.stride = 2, .same = true}, false), "(2, 5, 4, 4)");
  EXPECT_EQ(shape(x, {3, 3, 3, 4}, {}, true), "(2, 11, 10, 4)");
  EXPECT_EQ(shape(x, {3, 4, 4, 4}, {.stride = 2, .padding = 1}, true), "(2, 18, 16, 4)");
  EXPECT_EQ(shape(x, {3, 3, 3, 4}, {.stride = 2, .padding = 1, .output_padding = {1, 0}}, true), "(2, 18, 15, 4)");
  EXPECT_EQ(shape(x, {3, 3, 3, 4}, {.dilation = 2}, true), "(2, 13, 12, 4)");
  EXPECT_EQ(shape(x, {3, 3, 2, 4}, {.stride = 2, .same = true}, true), "(2, 18, 16, 4)");
}

TEST(convolution, gradients) {
  for (const OptionsCase& c : kOptions) {
    for (bool with_residual : {false, true}) {
      SCOPED_TRACE(c.name);
      TapeFixture f;
      f.allocate();
      const Var input = f.tape.constant({2, 5, 4, 2}, Dtype::kF64), weight = f.tape.constant({3, 3, 2, 2}, Dtype::kF64);
      const Shape out = conv2d(f.tape, input, weight, {}, c.options).shape;
      TapeFixture g;
      Parameter &x = g.parameter("x", {2, 5, 4, 2}), &w = g.parameter("w", {3, 3, 2, 2}), &b = g.parameter("b", {3});
      Parameter& residual = g.parameter("residual", out);
      g.allocate();
      check_gradients(g, [&] {
        const Var r = with_residual ? Var(residual) : Var{};
        return weighted(g, conv2d(g.tape, x, w, b, c.options, Activation::kTanh, r));
      });
    }
  }
}

TEST(convolution, transposed_gradients) {
  for (const OptionsCase& c : kOptions) {
    for (bool with_residual : {false, true}) {
      SCOPED_TRACE(c.name);
      TapeFixture f;
      f.allocate();
      const Var input = f.tape.constant({2, 3, 4, 3}, Dtype::kF64), weight = f.tape.constant({3, 3, 3, 2}, Dtype::kF64);
      const Shape out = conv_transpose2d(f.tape, input, weight, {}, c.options).shape;
      TapeFixture g;
      Parameter &x = g.parameter("x", {2, 3, 4, 3}), &w = g.parameter("w", {3, 3, 3, 2}), &b = g.parameter("b", {2});
      Parameter& residual = g.parameter("residual", out);
      g.allocate();
      check_gradients(g, [&] {
        const Var r = with_residual ? Var(residual) : Var{};
        return weighted(g, conv_transpose2d(g.tape, x, w, b, c.options, Activation::kSigmoid, r));
      });
    }
  }
}

TEST(convolution, gradients_of_every_activation) {
  for (Activation a : kActivations) {
    SCOPED_TRACE(activation_name(a));
    TapeFixture f;
    Parameter &x = f.parameter("x", {1, 3, 3, 2}), &w = f.parameter("w", {2, 2, 2, 2}), &b = f.parameter("b", {2});
    f.allocate();
    // |sums| stay below 0.5 and the biases are +-1: no pre-activation comes near a kink.
    for (int i = 0; i < 16; ++i) f.values(w)[i] *= 0.05;
    for (int i = 0; i < 2; ++i) f.values(b)[i] = i % 2 ? 1 : -1;
    const Conv2dOptions options{.stride = 2, .padding = 1, .output_padding = 1};
    check_gradients(f, [&] { return weighted(f, conv2d(f.tape, x, w, b, {.padding = 1}, a)); });
    check_gradients(f, [&] { return weighted(f, conv_transpose2d(f.tape, x, w, b, options, a)); });
  }
}

/// y = tanh(conv(x) + x): one gradient from two launches; and the same weight in two layers.
TEST(convolution, the_input_may_be_the_residual) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {2, 4, 3, 2}), &w = f.parameter("w", {2, 3, 3, 2}), &b = f.parameter("b", {2});
  f.allocate();
  check_gradients(f, [&] {
    const Var h = scale(f.tape, x, 0.5);
    const Var y = conv2d(f.tape, h, w, b, {.same = true}, Activation::kTanh, h);
    return weighted(f, conv_transpose2d(f.tape, y, w, b, {.padding = 1}, Activation::kTanh, y));
  });
}

TEST(convolution, a_frozen_weight_gets_no_gradient) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {1, 4, 4, 2}, "input"), &w = f.parameter("w", {2, 3, 3, 2}, "layer");
  f.allocate();
  f.restart();
  const Var y = weighted(f, conv2d(f.tape, x, w, {}, {.padding = 1}, Activation::kRelu));
  f.tape.backward({{y, 1.0}}, f.parameters.group("input"));
  EXPECT_TRUE(x.leaf.written);
  EXPECT_FALSE(w.leaf.written);
}

TEST(convolution, refusals) {
  TapeFixture f;
  f.allocate();
  const auto var = [&](const Shape& shape, Dtype dtype = Dtype::kF64) { return f.tape.constant(shape, dtype); };
  const Var x = var({1, 8, 8, 1}), w = var({32, 3, 3, 3}), good = var({4, 3, 3, 1});
  const auto refuse_both = [&](const Var& input, const Var& weight, const Var& b, const Conv2dOptions& o,
                               const Var& residual, std::initializer_list<const char*> parts) {
    expect_error([&] { conv2d(f.tape, input, weight, b, o, Activation::kNone, residual); }, Exit::kUsage, parts);
    expect_error([&] { conv_transpose2d(f.tape, input, weight, b, o, Activation::kNone, residual); }, Exit::kUsage,
                 parts);
  };
  expect_error([&] { conv2d(f.tape, x, w, {}); }, Exit::kUsage,
               {"conv2d: weight (32, 3, 3, 3) expects C = 3, input has C = 1"});
  expect_error([&] { conv_transpose2d(f.tape, x, w, {}); }, Exit::kUsage,
               {"conv_transpose2d: weight (32, 3, 3, 3) expects C = 32, input has C = 1"});
  const Var square = var({1, 3, 3, 1});
  refuse_both(var({8, 8}), square, {}, {}, {}, {"input expects rank 4", "(8, 8)"});
  refuse_both(x, var({9, 1}), {}, {}, {}, {"weight expects rank 4", "(9, 1)"});
  refuse_both(x, square, var({2}), {}, {}, {"bias expects (1)", "(2)"});
  refuse_both(x, square, {}, {}, var({1, 8, 8, 2}), {"residual expects", "(1, 8, 8, 2)"});
  refuse_both(x, square, var({1}, Dtype::kF32), {}, {}, {"one dtype"});
  refuse_both(x, square, {}, {.groups = 2}, {}, {"groups = 2", "expected 1"});
  refuse_both(x, square, {}, {.stride = {1, 0}}, {}, {"stride", "(1, 0)"});
  refuse_both(x, square, {}, {.padding = {0, -1}}, {}, {"padding", "(0, -1)"});
  refuse_both(x, square, {}, {.dilation = 0}, {}, {"dilation", "(0, 0)"});
  refuse_both(x, square, {}, {.padding = 1, .same = true}, {}, {"same", "padding"});
  refuse_both(x, var({1, 0, 3, 1}), {}, {}, {}, {"empty window", "(1, 0, 3, 1)"});
  expect_error([&] { conv2d(f.tape, x, good, {}, {.output_padding = 1}); }, Exit::kUsage, {"conv_transpose2d"});
  expect_error([&] { conv2d(f.tape, x, var({1, 9, 3, 1}), {}); }, Exit::kUsage, {"larger", "(1, 9, 3, 1)"});
  expect_error([&] { conv_transpose2d(f.tape, x, square, {}, {.stride = 2, .output_padding = 2}); }, Exit::kUsage,
               {"output_padding", "less than", "(2, 2)"});
  expect_error([&] { conv_transpose2d(f.tape, x, square, {}, {.padding = 5}); }, Exit::kUsage, {"no output"});
}

}  // namespace
}  // namespace hourglass::test
