// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/gemm_cut.h"
#include "tests/linear_cuda_checks.h"

namespace hourglass {
namespace {

using namespace test;

using LinearCuda = CudaTest;

/// These, and shapes whose backward gets the medium tile, and slices of a long sum.
std::vector<LinearShape> all_cases() {
  auto cases = own_cases();
  const std::vector<LinearShape> more = {
      {700, 516, 36, Activation::kRelu, false},  {1500, 12, 1496, Activation::kTanh, false},
      {1500, 12, 1496, Activation::kRelu, true}, {1100, 20, 36, Activation::kSoftplus, false},
      {1100, 36, 20, Activation::kNone, true},   {36, 32, 1100, Activation::kSigmoid, false},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

template <class T>
using Gradients = std::tuple<std::vector<T>, std::vector<float>, std::vector<float>>;

/// All three gradients at output `y`.
template <class T>
Gradients<T> backward_on_cuda(const LinearShape& s, const Inputs<T>& in, const std::vector<T>& output, int offset = 0,
                              Math math = Math::kFp32) {
  return on_cuda(
      [&](const Context& ctx) {
        const DeviceArray<T> x(in.x, offset), w(in.w, offset), y(output, offset), dy(in.dy, offset);
        DeviceArray<T> dx(x_size(s), offset);
        DeviceArray<float> dw(w_size(s), offset), db(s.K, offset);
        Context chosen = ctx;
        chosen.math = math;
        cuda::linear_backward<T>(chosen, s, x.data(), w.data(), y.data(), dy.data(), nullptr, Grad<T>{dx.data()},
                                 Grad<float>{dw.data()}, Grad<float>{db.data()});
        return Gradients<T>(dx.values(), dw.values(), db.values());
      },
      name_of(s));
}

template <class T>
void expect_matches_double(const LinearShape& s) {
  SCOPED_TRACE(name_of(s));
  const auto in = Inputs<T>::random(s);
  const auto want_y = forward(s, in);
  std::vector<T> y(want_y.size());
  for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<T>(static_cast<float>(want_y[i]));
  expect_close(forward_on_cuda(s, in), want_y, cuda_tolerance<T>(s.C + 1, 1e-2), "y");
  const Truth want = backward(s, in, y);
  const auto [dx, dw, db] = backward_on_cuda(s, in, y);
  expect_close(dx, want.dx, cuda_tolerance<T>(s.K), "dx");
  expect_close(dw, want.dw, cuda_tolerance<float>(s.N), "dw");
  expect_close(db, want.db, cuda_tolerance<float>(s.N), "db");
}

gpu::GemmPlan<2> backward_plan_of(const LinearShape& s) {
  return gpu::plan_products<2>({{{s.N, s.C, s.K}, {s.K, s.C + 1, s.N}}}, false);
}

/// The smallest product whose backward gets the large tile.
constexpr LinearShape kLargeTileCase = {232, 3548, 236, Activation::kRelu, false};

TEST(LinearCut, CasesReachEveryTileAndSlices) {
  bool tile[3] = {}, sliced[2] = {};
  auto cases = all_cases();
  cases.push_back(kLargeTileCase);
  for (const LinearShape& s : cases) {
    const auto plan = backward_plan_of(s);
    tile[static_cast<int>(plan.tile)] = true;
    for (size_t i = 0; i < 2; ++i) sliced[i] |= plan.cuts[i].slices > 2;
  }
  EXPECT_TRUE(tile[0] && tile[1] && tile[2]) << tile[0] << tile[1] << tile[2];
  EXPECT_TRUE(sliced[0] && sliced[1]) << sliced[0] << sliced[1];
}

TEST_F(LinearCuda, FloatMatchesDouble) {
  for (const LinearShape& s : all_cases()) expect_matches_double<float>(s);
}

TEST_F(LinearCuda, Bf16MatchesDouble) {
  for (const LinearShape& s : all_cases()) expect_matches_double<bf16>(s);
}

/// Operands are rounded, the bias and the activation are not.
TEST_F(LinearCuda, Tf32MatchesTheProductsOfRoundedOperands) {
  for (const LinearShape& s : {LinearShape{36, 68, 260, Activation::kTanh, false},
                               {65, 97, 30, Activation::kRelu, true},
                               {9, 13, 50, Activation::kNone, false}}) {
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::random(s);
    const Inputs<float> rounded{rounded_to_tf32(in.x), rounded_to_tf32(in.w), in.b, in.dy};
    const auto want_y = forward(s, rounded);
    const auto y = forward_on_cuda(s, in, 0, false, Math::kTf32);
    expect_close(y, want_y, cuda_tolerance<float>(s.C + 1, 1e-2), "y");
    EXPECT_NE(y, forward_on_cuda(s, in)) << "rounded";
    const Truth want = backward(s, in, y);
    const auto [dx, dw, db] = backward_on_cuda(s, in, y, 0, Math::kTf32);
    expect_close(dx, want.dx, kTf32Tolerance, "dx");
    expect_close(dw, want.dw, kTf32Tolerance, "dw");
    expect_close(db, want.db, kTf32Tolerance, "db");
    EXPECT_NE(dw, std::get<1>(backward_on_cuda(s, in, y))) << "rounded";
  }
}

TEST_F(LinearCuda, IntegersAreExact) {
  for (LinearShape s : all_cases()) {
    if (s.activation != Activation::kRelu) s.activation = Activation::kNone;
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::integers(s);
    const auto y = forward_on_cuda(s, in);
    expect_close(y, forward(s, in), exact(), "y");
    const Truth want = backward(s, in, y);
    const auto [dx, dw, db] = backward_on_cuda(s, in, y);
    expect_close(dx, want.dx, exact(), "dx");
    expect_close(dw, want.dw, exact(), "dw");
    expect_close(db, want.db, exact(), "db");
  }
}

TEST_F(LinearCuda, TheLargeTileIsExact) {
  // Once, under one schedule: too many products for more. The CPU's float form is exact here too.
  for (bool transposed : {false, true}) {
    LinearShape s = kLargeTileCase;
    s.transposed_weight = transposed;
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::integers(s);
    const auto output = random_integers<float>(y_size(s), 5);
    std::vector<float> want_dx(in.x.size()), want_dw(in.w.size()), want_db(in.b.size()), scratch(output.size());
    cpu::linear_backward(test_context(2), s, in.x.data(), in.w.data(), output.data(), in.dy.data(), scratch.data(),
                         Grad<float>{want_dx.data()}, Grad<float>{want_dw.data()}, Grad<float>{want_db.data()});
    const DeviceArray<float> x(in.x), w(in.w), y(output), dy(in.dy);
    DeviceArray<float> dx(x_size(s)), dw(w_size(s)), db(s.K);
    cuda::linear_backward<float>(cuda_context(), s, x.data(), w.data(), y.data(), dy.data(), nullptr,
                                 Grad<float>{dx.data()}, Grad<float>{dw.data()}, Grad<float>{db.data()});
    expect_close(dx.values(), want_dx, exact(), "dx");
    expect_close(dw.values(), want_dw, exact(), "dw");
    expect_close(db.values(), want_db, exact(), "db");
  }
}

TEST_F(LinearCuda, AnyAlignment) {
  for (bool transposed : {false, true}) {
    const LinearShape s{36, 68, 260, Activation::kRelu, transposed};
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::integers(s);
    const auto y = forward_on_cuda(s, in, 1);
    expect_close(y, forward(s, in), exact(), "y");
    const Truth want = backward(s, in, y);
    const auto [dx, dw, db] = backward_on_cuda(s, in, y, 1);
    expect_close(dx, want.dx, exact(), "dx");
    expect_close(dw, want.dw, exact(), "dw");
    expect_close(db, want.db, exact(), "db");
  }
}

TEST_F(LinearCuda, WithoutBias) {
  for (Activation a : {Activation::kNone, Activation::kSigmoid}) {
    const LinearShape s{9, 13, 50, a, false};
    auto in = Inputs<float>::random(s);
    in.b.clear();
    expect_close(forward_on_cuda(s, in), forward(s, in), cuda_tolerance<float>(s.C));
  }
}

TEST_F(LinearCuda, WithoutActivationTheOutputIsNotRead) {
  const LinearShape s{9, 20, 52};
  const auto in = Inputs<float>::integers(s);
  const DeviceArray<float> x(in.x), w(in.w), dy(in.dy);
  DeviceArray<float> dx(x_size(s));
  cuda::linear_backward<float>(cuda_context(), s, x.data(), w.data(), nullptr, dy.data(), nullptr,
                               Grad<float>{dx.data()}, {}, {});
  expect_close(dx.values(), backward(s, in, in.dy).dx, exact());
}

/// Each gradient alone, so that the other blocks of the grid are absent, set and added.
template <class T>
void expect_sets_and_adds(const LinearShape& s) {
  SCOPED_TRACE(name_of(s));
  const auto in = Inputs<T>::random(s);
  std::vector<T> output;
  for (double y : forward(s, in)) output.push_back(static_cast<T>(static_cast<float>(y)));
  const Truth want = backward(s, in, output);
  const DeviceArray<T> x(in.x), w(in.w), y(output), dy(in.dy);
  const auto run = [&](const Context& ctx, Grad<T> dx, Grad<float> dw, Grad<float> db) {
    cuda::linear_backward<T>(ctx, s, x.data(), w.data(), y.data(), dy.data(), nullptr, dx, dw, db);
  };
  const Tolerance over_k = cuda_tolerance<T>(s.K), over_n = cuda_tolerance<float>(s.N);
  expect_close(expect_set_and_add_on_cuda<T>(
                   x_size(s), [&](const Context& ctx, Grad<T> g) { run(ctx, g, {}, {}); }, over_k, "dx"),
               want.dx, over_k, "dx");
  expect_close(expect_set_and_add_on_cuda<float>(
                   w_size(s), [&](const Context& ctx, Grad<float> g) { run(ctx, {}, g, {}); }, over_n, "dw"),
               want.dw, over_n, "dw");
  expect_close(expect_set_and_add_on_cuda<float>(
                   s.K, [&](const Context& ctx, Grad<float> g) { run(ctx, {}, {}, g); }, over_n, "db"),
               want.db, over_n, "db");
}

TEST_F(LinearCuda, SetsAddsAndSkips) {
  for (const LinearShape& s : own_cases()) expect_sets_and_adds<float>(s);
  for (bool transposed : {false, true}) expect_sets_and_adds<bf16>({40, 20, 36, Activation::kTanh, transposed});
}

#if defined(HOURGLASS_CUDA_EMULATED)
TEST_F(LinearCuda, ForwardAndBackwardAreOneLaunchEach) {
  const LinearShape s{64, 100, 40, Activation::kRelu, false};
  const auto in = Inputs<float>::random(s);
  const DeviceArray<float> x(in.x), w(in.w), b(in.b), dy(in.dy);
  DeviceArray<float> y(y_size(s)), dx(x_size(s)), dw(w_size(s)), db(s.K);
  const auto launches = [] {
    cuda_synchronize();
    return simt::counters().launches;
  };
  const int64_t before = launches();
  cuda::linear_forward<float>(cuda_context(), s, x.data(), w.data(), b.data(), y.data());
  const int64_t between = launches();
  cuda::linear_backward<float>(cuda_context(), s, x.data(), w.data(), y.data(), dy.data(), nullptr,
                               Grad<float>{dx.data()}, Grad<float>{dw.data()}, Grad<float>{db.data()});
  EXPECT_EQ(between - before, 1);
  EXPECT_EQ(launches() - between, 1);
}
#endif

TEST_F(LinearCuda, RefusesGeluAndNegativeExtents) {
  const LinearShape gelu{1, 1, 1, Activation::kGelu}, negative{1, -2, 1};
  const Context ctx = cuda_context();
  expect_error([&] { cuda::linear_forward<float>(ctx, gelu, nullptr, nullptr, nullptr, nullptr); }, Exit::kUsage,
               {"linear", "gelu"});
  expect_error(
      [&] { cuda::linear_backward<float>(ctx, negative, nullptr, nullptr, nullptr, nullptr, nullptr, {}, {}, {}); },
      Exit::kUsage, {"linear", "C = -2"});
}

}  // namespace
}  // namespace hourglass
