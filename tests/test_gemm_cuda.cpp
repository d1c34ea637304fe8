// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/cublaslt.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/gemm_cut.h"
#include "kernels/gemm.h"
#include "tests/cases/gemm.h"
#include "tests/cuda_harness.h"

namespace hourglass {
namespace {

using namespace test;

using GemmCuda = CudaTest;

std::string name_of(const GemmShape& s) {
  return describe("gemm", {s.M, s.N, s.K}) + (s.transpose_a ? " a^T" : "") + (s.transpose_b ? " b^T" : "");
}
int64_t a_size(const GemmShape& s) { return int64_t{s.M} * s.K; }
int64_t b_size(const GemmShape& s) { return int64_t{s.K} * s.N; }
int64_t c_size(const GemmShape& s) { return int64_t{s.M} * s.N; }

/// In tf32: every tile, ragged, slices of a long sum, and no vector access.
const std::vector<GemmShape> kTf32Cases = {{40, 44, 260, false, true},   {65, 97, 300, true, true},
                                           {7, 15, 16, false, false},    {700, 900, 20, true, false},
                                           {1500, 1496, 8, false, true}, {60, 20, 1300, false, true}};

Context with_own_gemm(Context ctx, bool own = true) {
  ctx.own_gemm = own;
  return ctx;
}

gpu::GemmPlan<1> plan_of(const GemmShape& s) { return gpu::plan_products<1>({{{s.M, s.N, s.K}}}, false); }

/// Shapes that get the medium and the large tile, ragged in every direction, and slices of a long sum.
const std::vector<GemmShape> kTileCases = {
    {700, 900, 36, false, true},   {1500, 1496, 12, false, false}, {1500, 1496, 20, true, true},
    {1028, 516, 20, true, false},  {60, 20, 1300, false, true},    {32, 36, 4100, true, false},
    {130, 94, 1030, false, false},  // no vector access
};

std::vector<GemmShape> own_cases() {
  return affordable(kGemmCases, kMostProducts, [](const GemmShape& s) { return a_size(s) * s.N; });
}
std::vector<GemmShape> all_cases() {
  auto cases = own_cases();
  cases.insert(cases.end(), kTileCases.begin(), kTileCases.end());
  return cases;
}

template <class T>
std::vector<double> product(const GemmShape& s, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<double> c(static_cast<size_t>(c_size(s)));
  cpu::gemm<double>({}, s, converted<double>(a).data(), converted<double>(b).data(), Grad<double>{c.data()});
  return c;
}

enum class Who { kOwn, kLibrary };  // the library: what the machine has

template <class T>
std::vector<T> product_on_cuda(const GemmShape& s, const std::vector<T>& a, const std::vector<T>& b, int offset = 0,
                               Who who = Who::kOwn, Math math = Math::kFp32) {
  return on_cuda(
      [&](const Context& ctx) {
        const DeviceArray<T> device_a(a, offset), device_b(b, offset);
        DeviceArray<T> c(c_size(s), offset);
        Context chosen = with_own_gemm(ctx, who == Who::kOwn);
        chosen.math = math;
        cuda::gemm<T>(chosen, s, device_a.data(), device_b.data(), Grad<T>{c.data()});
        return c.values();
      },
      name_of(s));
}

TEST(GemmCut, CasesReachEveryTileAndSlices) {
  bool tile[3] = {}, sliced = false;
  for (const GemmShape& s : all_cases()) {
    const auto plan = plan_of(s);
    tile[static_cast<int>(plan.tile)] = true;
    sliced |= plan.cuts[0].slices > 2;
  }
  EXPECT_TRUE(tile[0] && tile[1] && tile[2] && sliced) << tile[0] << tile[1] << tile[2] << sliced;
}

TEST(GemmCut, StaysWithinTheWorkspace) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    std::array<gpu::Product, 2> products;
    for (gpu::Product& p : products) {
      for (int* extent : {&p.rows, &p.columns, &p.depth})
        *extent = static_cast<int>(random.integer(0, 1 << random.integer(0, 13)));
    }
    const gpu::Reserved kept{static_cast<int>(random.integer(0, 8)), random.integer(0, kWorkspaceBytes / 4 - 64)};
    const auto plan = gpu::plan_products<2>(products, random.integer(0, 1) == 0, kept);
    const gpu::TileShape& tile = gpu::kTileShapes[static_cast<int>(plan.tile)];
    int64_t tickets = 0, floats = 64, blocks = 0;  // what is kept lies behind
    for (int j = 0; j < 2; ++j) {
      const gpu::GemmCut& cut = plan.cuts[j];
      blocks += cut.blocks();
      EXPECT_GE(int64_t{cut.down} * tile.rows, products[j].rows);
      EXPECT_GE(int64_t{cut.across} * tile.columns, products[j].columns);
      EXPECT_GE(int64_t{cut.stages} * tile.depth, products[j].depth);
      EXPECT_GE(cut.slices, 1);
      if (cut.slices == 1) continue;
      EXPECT_LE(cut.slices, cut.stages) << "a slice without work";
      EXPECT_EQ(cut.first_ticket, tickets);
      EXPECT_EQ(cut.first_partial, floats - 64);
      tickets += cut.tiles();
      floats += cut.blocks() * tile.rows * tile.columns;
    }
    EXPECT_EQ(plan.blocks, blocks);
    const bool swapped = plan.cuts[1].first_block < plan.cuts[0].first_block;
    const gpu::GemmCut &first = plan.cuts[swapped], &second = plan.cuts[!swapped];
    if (first.blocks() > 0) {
      EXPECT_EQ(first.first_block, 0);
    }
    if (second.blocks() > 0) {
      EXPECT_EQ(second.first_block, first.blocks());
    }
    if (first.blocks() > 0 && second.blocks() > 0) {
      EXPECT_GE(first.longest(), second.longest());
    }
    EXPECT_LE(tickets + kept.tickets, 64);
    EXPECT_LE((floats + kept.partials) * 4, kWorkspaceBytes);
  }
}

TEST_F(GemmCuda, FloatMatchesDouble) {
  for (const GemmShape& s : all_cases()) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    expect_close(product_on_cuda(s, a, b), product(s, a, b), cuda_tolerance<float>(s.K));
  }
}

TEST_F(GemmCuda, Bf16MatchesDouble) {
  for (const GemmShape& s : all_cases()) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<bf16>(a_size(s), 1), b = random_values<bf16>(b_size(s), 2);
    expect_close(product_on_cuda(s, a, b), product(s, a, b), cuda_tolerance<bf16>(s.K));
  }
}

/// Our tiles round the operands to nearest, and then differ from the double product of those by float sums alone.
TEST_F(GemmCuda, Tf32MatchesTheProductOfRoundedOperands) {
  for (const GemmShape& s : kTf32Cases) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    const auto got = product_on_cuda(s, a, b, 0, Who::kOwn, Math::kTf32);
    expect_close(got, product(s, rounded_to_tf32(a), rounded_to_tf32(b)), cuda_tolerance<float>(s.K));
    expect_close(got, product(s, a, b), kTf32Tolerance, "in full");
    const auto a16 = converted<bf16>(a), b16 = converted<bf16>(b);
    expect_same_bits(product_on_cuda(s, a16, b16, 0, Who::kOwn, Math::kTf32), product_on_cuda(s, a16, b16), "bf16");
  }
}

TEST_F(GemmCuda, IntegersAreExactInTf32) {
  for (const GemmShape& s : kTf32Cases) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_integers<float>(a_size(s), 1), b = random_integers<float>(b_size(s), 2);
    expect_close(product_on_cuda(s, a, b, 1, Who::kOwn, Math::kTf32), product(s, a, b), exact());
  }
}

TEST_F(GemmCuda, TheLibraryRoundsInTf32Alone) {
  const GemmShape s{24, 40, 520, false, true};
  const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
  const auto full = product_on_cuda(s, a, b, 0, Who::kLibrary);
  const auto rounded = product_on_cuda(s, a, b, 0, Who::kLibrary, Math::kTf32);
  expect_close(full, product(s, a, b), cuda_tolerance<float>(s.K), "fp32");
  expect_close(rounded, product(s, a, b), kTf32Tolerance, "tf32");
  EXPECT_NE(full, rounded);
  if (cuda::cublaslt_version().empty()) return;
  int plans = 0;
  for (const cuda::LibraryPlan& plan : cuda::library_plans()) plans += plan.product.starts_with("24x40x520 b^T tf32");
  EXPECT_EQ(plans, 1);
}

TEST_F(GemmCuda, OwnProductsDoNotAskTheLibrary) {
  const GemmShape s{23, 41, 19};  // of no other test: plans are kept
  const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
  const size_t before = cuda::library_plans().size();
  product_on_cuda(s, a, b);
  EXPECT_EQ(cuda::library_plans().size(), before);
  if (cuda::cublaslt_version().empty()) return;
  product_on_cuda(s, a, b, 0, Who::kLibrary);
  EXPECT_EQ(cuda::library_plans().size(), before + 1);
}

TEST_F(GemmCuda, IntegersAreExact) {
  for (const GemmShape& s : all_cases()) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_integers<float>(a_size(s), 1), b = random_integers<float>(b_size(s), 2);
    expect_close(product_on_cuda(s, a, b), product(s, a, b), exact());
  }
}

TEST_F(GemmCuda, TheLibraryMatchesDouble) {
  for (const GemmShape& s : own_cases()) {
    SCOPED_TRACE(name_of(s) + " by " + cuda::gemm_library());
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    expect_close(product_on_cuda(s, a, b, 0, Who::kLibrary), product(s, a, b), cuda_tolerance<float>(s.K));
    const auto a16 = random_values<bf16>(a_size(s), 1), b16 = random_values<bf16>(b_size(s), 2);
    expect_close(product_on_cuda(s, a16, b16, 1, Who::kLibrary), product(s, a16, b16), cuda_tolerance<bf16>(s.K),
                 "bf16");
  }
}

TEST_F(GemmCuda, AnyAlignment) {
  for (bool transpose_a : {false, true}) {
    for (bool transpose_b : {false, true}) {
      const GemmShape s{36, 68, 260, transpose_a, transpose_b};
      SCOPED_TRACE(name_of(s));
      const auto a = random_integers<float>(a_size(s), 1), b = random_integers<float>(b_size(s), 2);
      expect_close(product_on_cuda(s, a, b, 1), product(s, a, b), exact());
    }
  }
}

template <class T>
void expect_sets_and_adds(const GemmShape& s) {
  SCOPED_TRACE(name_of(s));
  const auto a = random_values<T>(a_size(s), 1), b = random_values<T>(b_size(s), 2);
  const DeviceArray<T> device_a(a), device_b(b);
  expect_set_and_add_on_cuda<T>(
      c_size(s),
      [&](const Context& ctx, Grad<T> c) { cuda::gemm<T>(with_own_gemm(ctx), s, device_a.data(), device_b.data(), c); },
      cuda_tolerance<T>(s.K));
}

TEST_F(GemmCuda, SetsAddsAndSkips) {
  for (const GemmShape& s : own_cases()) expect_sets_and_adds<float>(s);
  for (const GemmShape& s : {GemmShape{40, 20, 400, true, false}, {7, 15, 16, false, true}})
    expect_sets_and_adds<bf16>(s);
}

TEST_F(GemmCuda, NotANumberPropagates) {
  // A zero in a must not hide a NaN of b, nor may it reach another column.
  const GemmShape s{9, 52, 20, false, true};
  const std::vector<float> a(static_cast<size_t>(a_size(s)), 0.0f);
  std::vector<float> b(static_cast<size_t>(b_size(s)), 1.0f);
  b[static_cast<size_t>(51 * s.K + 19)] = std::numeric_limits<float>::quiet_NaN();
  const auto c = product_on_cuda(s, a, b);
  for (size_t m = 0; m < 9; ++m) {
    EXPECT_TRUE(std::isnan(c[m * 52 + 51])) << m;
    EXPECT_EQ(c[m * 52 + 50], 0) << m;
  }
}

/// The first eager product makes the plan and lists it; a capture finds it, and is refused where there is none.
TEST_F(GemmCuda, TheLibraryPlansBeforeACapture) {
  const Context ctx = cuda_context();
  if (cuda::cublaslt_version().empty()) GTEST_SKIP() << "there is no cuBLASLt";
  const GemmShape s{23, 29, 31, false, true};
  const auto a = random_integers<float>(a_size(s), 1), b = random_integers<float>(b_size(s), 2);
  const DeviceArray<float> device_a(a), device_b(b);
  DeviceArray<float> c(c_size(s));
  const auto multiply = [&] { cuda::gemm<float>(ctx, s, device_a.data(), device_b.data(), Grad<float>{c.data()}); };
  const auto plans = [] {
    int found = 0;
    for (const cuda::LibraryPlan& plan : cuda::library_plans()) {
      const bool ours = plan.product.starts_with("23x29x31 b^T f32");
      EXPECT_TRUE(!ours || plan.algorithm >= 0) << plan.product;
      found += ours;
    }
    return found;
  };
  cuda::begin_capture(ctx.stream);
  expect_error(multiply, Exit::kInternal, {"capture", "23x29x31 b^T f32"});
  cuda::abandon_capture(ctx.stream);
  EXPECT_EQ(plans(), 0);
  multiply();
  EXPECT_EQ(plans(), 1);
  const size_t bytes = sizeof(float) * static_cast<size_t>(c_size(s));
  CUDA_CHECK(cudaMemsetAsync(c.data(), 0, bytes, static_cast<cudaStream_t>(ctx.stream)));
  cuda::begin_capture(ctx.stream);
  multiply();
  int nodes = 0;
  void* const graph = cuda::end_capture(ctx.stream, &nodes);
  EXPECT_EQ(nodes, 1);
  cuda::launch_graph(graph, ctx.stream);
  expect_close(c.values(), product(s, a, b), exact());
  cuda::destroy_graph(graph);
  EXPECT_EQ(plans(), 1);
}

TEST(GemmLibrary, IsNamed) {
  const std::string library = cuda::gemm_library();
  EXPECT_TRUE(library == "own tiles" || library.rfind("cuBLASLt ", 0) == 0) << library;
}

TEST_F(GemmCuda, RefusesNegativeExtents) {
  expect_error(
      [] {
        cuda::gemm<float>(cuda_context(), {2, -3, 4}, nullptr, nullptr, {});
      },
      Exit::kUsage, {"gemm", "N = -3"});
}

}  // namespace
}  // namespace hourglass
