// SPDX-License-Identifier: Apache-2.0
// What the tape promises, whatever the op: fan-out, reuse, dead branches, groups, set and add, and its refusals.
//
// Ops whose backward is on purpose not the derivative have identity tests here instead of a gradient check:
//   detach            a_detached_value_takes_no_gradient
//   straight_through  straight_through_has_the_values_of_one_and_the_gradient_of_the_other
#include <cmath>

#include "engine/tape.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(tape, a_value_used_twice_collects_both_gradients) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 3});
  f.allocate();
  check_gradients(f, [&] {
    const Var t = activation(f.tape, a, Activation::kTanh);
    return sum(f.tape, add(f.tape, mul(f.tape, t, a), scale(f.tape, t, 0.5)));
  });
}

TEST(tape, the_same_value_may_be_both_factors) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {4, 2});
  f.allocate();
  check_gradients(f, [&] { return sum(f.tape, mul(f.tape, a, a)); });
  check_gradients(f, [&] { return sum(f.tape, add(f.tape, a, a)); });
  check_gradients(f, [&] { return sum(f.tape, mul(f.tape, sub(f.tape, a, a), a)); });
  check_gradients(f, [&] {
    const Var both = concat(f.tape, a, a);
    return sum(f.tape, mul(f.tape, both, both));
  });
}

TEST(tape, an_op_of_one_launch_refuses_the_same_value_twice) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {3, 3});
  f.allocate();
  const Var y = sum(f.tape, linear(f.tape, activation(f.tape, a, Activation::kTanh), a, {}));
  f.tape.backward({{y, 1.0}});  // x and w differ
  f.restart();
  const Var t = activation(f.tape, a, Activation::kTanh);
  const Var z = sum(f.tape, linear(f.tape, t, t, {}));
  expect_error([&] { f.tape.backward({{z, 1.0}}); }, Exit::kUsage, {"linear", "the same value is given twice"});
  f.restart();
  const Var p = sum(f.tape, linear(f.tape, a, a, {}));  // a parameter's gradient lies in the slab
  expect_error([&] { f.tape.backward({{p, 1.0}}); }, Exit::kUsage, {"linear", "the same value is given twice"});
}

TEST(tape, a_detached_value_takes_no_gradient) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var y = sum(f.tape, mul(f.tape, a, detach(a)));
  f.tape.backward({{y, 1.0}});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(f.gradient(a)[i], f.values(a)[i]);  // not 2 a
}

TEST(tape, straight_through_has_the_values_of_one_and_the_gradient_of_the_other) {
  TapeFixture f;
  Parameter &encoded = f.parameter("encoded", {1, 3}), &quantised = f.parameter("quantised", {1, 3});
  f.allocate();
  const Var z = straight_through(activation(f.tape, encoded, Activation::kTanh), detach(quantised));
  EXPECT_EQ(z.data, quantised.var.data);
  const Var y = sum(f.tape, mul(f.tape, z, z));
  f.tape.backward({{y, 1.0}});
  f.parameters.complete_gradients(f.runtime.ctx(), kAllGroups);
  for (int i = 0; i < 3; ++i) {
    const double t = std::tanh(f.values(encoded)[i]);
    EXPECT_NEAR(f.gradient(encoded)[i], 2 * f.values(quantised)[i] * (1 - t * t), 1e-12);
    EXPECT_EQ(f.gradient(quantised)[i], 0);
  }
}

TEST(tape, a_dead_branch_is_not_run) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var used = activation(f.tape, a, Activation::kTanh);
  activation(f.tape, used, Activation::kSigmoid);  // a metric nobody differentiates
  const Var y = sum(f.tape, used);
  EXPECT_EQ(f.tape.records(), 3u);
  f.tape.backward({{y, 1.0}});
  EXPECT_EQ(f.tape.records_run(), 2);
}

TEST(tape, backward_again_adds_for_parameters_alone) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var t = activation(f.tape, a, Activation::kTanh);
  const Var y = sum(f.tape, t);
  f.tape.backward({{y, 1.0}});
  const std::vector<double> once(f.gradient(a), f.gradient(a) + 4);
  f.tape.backward({{y, 1.0}});
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(f.gradient(a)[i], 2 * once[i]);
}

TEST(tape, partial_writers_leave_zeros_where_they_contribute_nothing) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {3, 5});
  f.allocate();
  check_gradients(f, [&] {
    const Var left = slice(f.tape, a, 0, 2), right = slice(f.tape, a, 3, 2);
    return sum(f.tape, mul(f.tape, left, right));
  });
  EXPECT_EQ(f.gradient(a)[2], 0);
}

TEST(tape, reshape_shares_data_and_gradient) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 6});
  f.allocate();
  check_gradients(f, [&] {
    const Var flat = reshape(activation(f.tape, a, Activation::kTanh), {3, 4});
    return sum(f.tape, mul(f.tape, flat, flat));
  });
  expect_error([&] { reshape(a, {5, 2}); }, Exit::kUsage, {"reshape", "10 elements", "(2, 6)"});
}

/// Encoder, decoder and discriminator, as in a VAE-GAN: each backward may touch its own group alone.
struct ToyGan : TapeFixture {
  Parameter& encoder = parameter("encoder", {3, 4}, "encoder");
  Parameter& decoder = parameter("decoder", {4, 3}, "decoder");
  Parameter& discriminator = parameter("discriminator", {1, 4}, "discriminator");
  Groups group(const char* name) { return parameters.group(name); }
  Var x, fake, realness, reconstruction;

  ToyGan() {
    allocate();
    x = full(tape, {2, 4}, Dtype::kF64, 0.25);
    const Var code = linear(tape, x, encoder, {}, Activation::kTanh);                    // record 1
    fake = linear(tape, code, decoder, {}, Activation::kSigmoid);                        // record 2
    realness = sum(tape, linear(tape, fake, discriminator, {}, Activation::kSoftplus));  // records 3, 4
    const Var error = sub(tape, fake, x);                                                // record 5
    reconstruction = sum(tape, mul(tape, error, error));                                 // records 6, 7
  }
  void poison(const Parameter& p) { std::fill_n(gradient(p), p.shape.elements(), kNaN); }
  bool untouched(const Parameter& p) const {
    return std::isnan(gradient(p)[0]) && std::isnan(gradient(p)[p.shape.elements() - 1]);
  }
  bool written(const Parameter& p) const {
    return std::isfinite(gradient(p)[0]) && std::isfinite(gradient(p)[p.shape.elements() - 1]);
  }
};

TEST(tape, a_backward_runs_and_writes_its_groups_alone) {
  ToyGan gan;
  for (const Parameter* p : {&gan.encoder, &gan.decoder, &gan.discriminator}) gan.poison(*p);

  gan.tape.backward({{gan.realness, 1.0}}, gan.group("discriminator"));
  EXPECT_EQ(gan.tape.records_run(), 2);  // the sum and the discriminator
  EXPECT_TRUE(gan.written(gan.discriminator));
  EXPECT_TRUE(gan.untouched(gan.encoder));
  EXPECT_TRUE(gan.untouched(gan.decoder));

  gan.poison(gan.discriminator);
  gan.tape.backward({{gan.realness, -1.0}, {gan.reconstruction, 0.5}}, gan.group("decoder"));
  EXPECT_EQ(gan.tape.records_run(), 6);  // all but the encoder
  EXPECT_TRUE(gan.written(gan.decoder));
  EXPECT_TRUE(gan.untouched(gan.encoder));
  EXPECT_TRUE(gan.untouched(gan.discriminator));

  gan.poison(gan.decoder);
  gan.tape.backward({{gan.reconstruction, 1.0}}, gan.group("encoder"));
  EXPECT_EQ(gan.tape.records_run(), 5);
  EXPECT_TRUE(gan.written(gan.encoder));
  EXPECT_TRUE(gan.untouched(gan.decoder));
  EXPECT_TRUE(gan.untouched(gan.discriminator));
}

TEST(tape, evaluation_records_nothing) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  f.tape.rewind(Mode::kEvaluate);
  const Var y = sum(f.tape, mul(f.tape, a, a));
  EXPECT_EQ(f.tape.records(), 0u);
  EXPECT_EQ(y.groups, 0u);
}

TEST(tape, refuses_a_value_from_before_the_last_rewind) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var stale = activation(f.tape, a, Activation::kTanh);
  f.tape.rewind();
  expect_error([&] { activation(f.tape, stale, Activation::kTanh); }, Exit::kInternal, {"before the last rewind"});
  expect_error([&] { f.tape.backward({{stale, 1.0}}); }, Exit::kInternal, {"before the last rewind"});
  // Values of an earlier step do not become fresh by the gradient they are paired with.
  const Var y = straight_through(a, stale);
  expect_error([&] { activation(f.tape, y, Activation::kTanh); }, Exit::kInternal, {"before the last rewind"});
  const Var now = activation(f.tape, a, Activation::kTanh);
  expect_error([&] { straight_through(now, stale); }, Exit::kInternal, {"before the last rewind"});
}

TEST(tape, refuses_to_go_on_after_a_commit) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var y = sum(f.tape, a);
  f.tape.close();
  expect_error([&] { activation(f.tape, a, Activation::kTanh); }, Exit::kInternal, {"closed until the next rewind"});
  expect_error([&] { f.tape.backward({{y, 1.0}}); }, Exit::kInternal, {"closed until the next rewind"});
  f.tape.rewind();
  EXPECT_NO_THROW(sum(f.tape, a));
}

TEST(tape, refuses_second_order_by_name) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  const Var y = f.tape.output({2, 2}, Dtype::kF64, {a});
  f.tape.on_backward("gradient_penalty", {y}, [v = a.var](Tape& t) { scale(t, v, 2.0); });
  expect_error([&] { f.tape.backward({{y, 1.0}}); }, Exit::kInternal, {"gradient_penalty", "second order is refused"});
}

TEST(tape, names_the_op_whose_values_are_not_finite) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {2, 2});
  f.allocate();
  f.tape.detect_anomaly(true);
  f.values(a)[3] = INFINITY;
  expect_error([&] { scale(f.tape, a, 2.0); }, Exit::kNotFinite, {"scale", "output (2, 2)", "element 3"});
  f.values(a)[3] = 0;
  f.tape.rewind();
  // d|a|/da of a zero row is defined as 0, so the anomaly is planted in a record of its own.
  const Var y = f.tape.output({1}, Dtype::kF64, {a});
  y.as<double>()[0] = 1;
  f.tape.on_backward("planted", {y}, [v = a.var](Tape& t) {
    const Slot da = t.grad_slot(v);
    std::fill_n(static_cast<double*>(da.data), 4, kNaN);
  });
  expect_error([&] { f.tape.backward({{y, 1.0}}); }, Exit::kNotFinite, {"planted", "gradient of a parameter"});
}

/// Each output of a record has inputs of its own.
TEST(tape, looks_at_the_gradients_behind_every_output) {
  TapeFixture f;
  Parameter &a = f.parameter("a", {2, 2}), &b = f.parameter("b", {1, 3});
  f.allocate();
  f.tape.detect_anomaly(true);
  const Var before = scale(f.tape, a, 2.0);  // records and outputs stand before those of the record in question
  const Var y = f.tape.output({1}, Dtype::kF64, {before}), z = f.tape.output({1}, Dtype::kF64, {b});
  y.as<double>()[0] = z.as<double>()[0] = 1;
  f.tape.on_backward("planted", {y, z}, [before, v = b.var](Tape& t) {
    std::fill_n(static_cast<double*>(t.grad_slot(before).data), 4, 0.0);
    std::fill_n(static_cast<double*>(t.grad_slot(v).data), 3, kNaN);
  });
  expect_error(
      [&] {
        f.tape.backward({{y, 1.0}, {z, 1.0}});
      },
      Exit::kNotFinite, {"planted", "gradient of a parameter (1, 3)"});
}

TEST(tape, repeats_with_the_same_addresses_and_no_allocation) {
  TapeFixture f;
  Parameter& a = f.parameter("a", {8, 8});
  f.allocate();
  const void* first = nullptr;
  const int64_t buffers = Buffer::allocations();
  for (int i = 0; i < 3; ++i) {
    f.restart();
    const Var y = sum(f.tape, activation(f.tape, a, Activation::kTanh));
    f.tape.backward({{y, 1.0}});
    if (i == 0) first = y.data;
    EXPECT_EQ(y.data, first);
    EXPECT_TRUE(f.runtime.arena().gradients_idle());
  }
  EXPECT_EQ(Buffer::allocations(), buffers);
}

TEST(tape, the_measuring_device_predicts_the_arena_to_the_byte) {
  TapeFixture f;
  Parameter& w = f.parameter("w", {7, 13});
  f.allocate();
  const auto step = [&] {
    f.restart();
    const Var x = full(f.tape, {5, 13}, Dtype::kF64, 1);
    const Var h = linear(f.tape, x, w, {}, Activation::kTanh);
    f.tape.backward({{sum(f.tape, mul(f.tape, h, h)), 1.0}});
  };
  const size_t predicted = f.runtime.measure(step);
  f.runtime.arena().clear_peak();
  step();
  EXPECT_EQ(f.runtime.arena().peak(), predicted);
  EXPECT_GT(predicted, 0u);
}

}  // namespace
}  // namespace hourglass::test
