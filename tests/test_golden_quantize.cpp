// SPDX-License-Identifier: Apache-2.0
// Vector quantisation on the tape against PyTorch (tests/golden/README.md), in double and in float.
#include "engine/ops.h"
#include "engine/transfer.h"
#include "tests/golden/golden.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

template <class T>
std::vector<T> copy(const void* data, int64_t n) {
  return {static_cast<const T*>(data), static_cast<const T*>(data) + n};
}

template <class T>
void check_gradients_of(const Golden& golden) {
  TapeFixture f(std::is_same_v<T, double> ? Dtype::kF64 : Dtype::kF32);
  Parameter &x = f.parameter("x", {3, 4, 4, 6}), &codebook = f.parameter("codebook", {9, 6});
  Leaf *commitment = f.parameters.statistic("commitment"), *loss = f.parameters.statistic("codebook");
  f.allocate();
  const auto set = [](void* to, const std::vector<T>& values) {
    std::copy(values.begin(), values.end(), static_cast<T*>(to));
  };
  set(x.var.data, golden.values<T>("x"));
  set(codebook.var.data, golden.values<T>("codebook"));
  const Var dq = f.tape.constant(x.shape, x.var.dtype);
  set(dq.data, golden.values<T>("dquantized"));

  const Quantized q = vector_quantize(f.tape, x, codebook);
  f.tape.backward(
      {{sum(f.tape, mul(f.tape, q.codes, dq)), 1.0}, {q.commitment, 0.25, commitment}, {q.codebook, 0.75, loss}});
  const Tolerance tolerance = tolerance_for<T>(48);
  expect_close(copy<int32_t>(q.nearest.index.data, 48), golden.values<double>("index"), exact(), "index");
  expect_close(copy<T>(q.codes.data, 288), golden.values<double>("quantized"), tolerance, "quantized");
  expect_close(copy<T>(x.leaf.grad, 288), golden.values<double>("dx"), tolerance, "dx");
  expect_close(copy<T>(codebook.leaf.grad, 54), golden.values<double>("dcodebook"), tolerance, "dcodebook");
  expect_close(copy<T>(commitment->grad, 1), golden.values<double>("commitment"), tolerance, "commitment");
  expect_close(copy<T>(loss->grad, 1), golden.values<double>("codebook_loss"), tolerance, "codebook loss");
}

TEST(golden_quantize, losses_and_gradients) {
  const Golden golden("vector_quantize");
  check_gradients_of<double>(golden);
  check_gradients_of<float>(golden);
}

TEST(golden_quantize, moving_average) {
  const Golden golden("vector_quantize");
  Runtime runtime({"cpu", 1});
  runtime.arena().reserve(runtime.ctx(), size_t{1} << 20);
  Parameters parameters(Dtype::kF64);
  CodebookEmaOptions options;
  options.decay = 0.9;
  const EmaCodebook ema(parameters, "codebook", 9, 6, Init::zeros(), options);
  parameters.allocate(1);
  const auto start = golden.values<double>("codebook"), rows = golden.values<double>("x");
  std::copy(start.begin(), start.end(), ema.codebook().as<double>());
  ema.start(runtime.ctx());
  Tape tape(runtime.ctx(), runtime.arena());
  for (int step = 0; step < 3; ++step) {
    tape.rewind();
    const Var x = tape.constant({3, 4, 4, 6}, Dtype::kF64);
    std::copy(rows.begin(), rows.end(), x.as<double>());
    ema.quantize(tape, x, {});
    tape.run_commits({runtime.ctx(), nullptr, nullptr});
    parameters.forget_gradients(kAllGroups);
  }
  expect_close(copy<double>(ema.counts().data, 9), golden.values<double>("ema_counts"), fp64_tolerance(), "counts");
  expect_close(copy<double>(ema.codebook().data, 54), golden.values<double>("ema_codebook"), fp64_tolerance(), "codes");
}

}  // namespace
}  // namespace hourglass::test
