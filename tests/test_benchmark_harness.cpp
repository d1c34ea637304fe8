// SPDX-License-Identifier: Apache-2.0
// What the benchmarks promise besides times: a case for every form of an op, and --case NAME --once.
#include <gtest/gtest.h>

#include "benchmarks/device_cases.h"
#include "benchmarks/harness.h"
#include "kernels/elementwise.h"
#if defined(HOURGLASS_CUDA_EMULATED)
#include "tests/simt/simt.h"
#endif

namespace hourglass::bench {
namespace {

constexpr int64_t kCount = 100;

/// Registers the cases of `scale` once, and returns their names.
const std::vector<std::string>& names() {
  static const std::vector<std::string> all = [] {
    add_forms_bf16({"scale_forward", "100"}, {.elements = 2 * kCount}, [](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, x = values<T>(lane, kCount), y = zeros<T>(lane, kCount)] {
        BENCH_OP(scale_forward)(lane, ElementwiseShape{kCount}, x.data(), 0.5, y.data());
      };
    });
    std::vector<std::string> found;
    for (const Single& single : singles()) found.push_back(single.name);
    return found;
  }();
  return all;
}

bool has(const std::string& name) { return std::count(names().begin(), names().end(), name) == 1; }

TEST(BenchmarkHarness, RegistersEveryFormOfAnOp) {
  EXPECT_TRUE(has("scale_forward/reference/100/f32/cpu"));
  EXPECT_TRUE(has("scale_forward/simd/100/f32/cpu"));
  const std::string device = kEmulated ? "emulated" : "cuda";
  for (const char* type : {"f32", "bf16"}) {
    EXPECT_EQ(has("scale_forward/kernel/100/" + std::string(type) + "/" + device), device_usable()) << type;
  }
}

TEST(BenchmarkHarness, ANameThatIsNoCaseIsRefused) {
  EXPECT_FALSE(names().empty());
  EXPECT_EQ(run_once("scale_forward/simd/100/f32"), 2);
}

TEST(BenchmarkHarness, EveryCaseRunsOnce) {
  for (const std::string& name : names()) EXPECT_EQ(run_once(name), 0) << name;
}

TEST(BenchmarkHarness, SameWorkTimedTwiceTellsTheNoise) {
  EXPECT_EQ(difference_of_halves({2}), 0);
  EXPECT_EQ(difference_of_halves({2, 9, 2, 2, 2, 9}), 0);  // an outlier in each half
  EXPECT_EQ(difference_of_halves({2, 2, 2, 3, 3}), 50);
}

TEST(BenchmarkHarness, EveryCeilingAndLatencyIsMeasured) {
  size_t measured = 0;
  for (const auto& cases : {ceiling_cases(), launch_cases(), barrier_cases()}) {
    for (const DeviceCase& c : cases) {
      if (!device_usable()) continue;
      try {
        const Sample sample = c.prepare()();
        EXPECT_GT(sample.seconds, 0) << c.op << "/" << c.technique;
        for (const auto& [unit, value] : sample.counters)
          EXPECT_GT(value, 0) << c.op << "/" << c.technique << " " << unit;
        ++measured;
      } catch (const Error& error) {  // not on this device
        EXPECT_EQ(error.exit(), Exit::kDevice) << c.op << "/" << c.technique << ": " << error.what();
      }
    }
  }
  EXPECT_EQ(measured >= 19, device_usable());
}

/// An op with a reference and a timed overload, as the kernels have them.
}  // namespace
}  // namespace hourglass::bench
namespace hourglass::cpu {
template <class T>
void harness_probe(const Context&, const char** form, T) {
  *form = "reference";
}
inline void harness_probe(const Context&, const char** form, float) { *form = "timed"; }
}  // namespace hourglass::cpu
namespace hourglass::bench {
namespace {

TEST(BenchmarkHarness, TheReferenceIsTheTemplateAndTheTimedFormTheOverload) {
  const char* form = nullptr;
  BENCH_OP(harness_probe)(ReferenceLane(), &form, 1.0f);
  EXPECT_STREQ(form, "reference");
  BENCH_OP(harness_probe)(cpu::Lane<float>(), &form, 1.0f);
  EXPECT_STREQ(form, "timed");
}

#if defined(HOURGLASS_CUDA_EMULATED)
TEST(BenchmarkHarness, TheProfilerSeesExactlyOneLaunch) {
  ASSERT_TRUE(has("scale_forward/kernel/100/f32/emulated"));
  static_cast<void>(device_context());
  const simt::Counters before = simt::counters();
  EXPECT_EQ(run_once("scale_forward/kernel/100/f32/emulated"), 0);
  EXPECT_EQ(simt::counters().profiled_launches - before.profiled_launches, 1);
  EXPECT_EQ(simt::counters().launches - before.launches, 2) << "one before the range, so that it holds no first call";
}

TEST(BenchmarkHarness, ReplaysLaunchTheCapturedCalls) {
  int calls = 0;
  const auto setup = [&](auto lane) {
    const Array<float> y = zeros<float>(lane, kCount);
    return [&calls, lane, y] {
      ++calls;
      scale_forward(lane, ElementwiseShape{kCount}, static_cast<const float*>(y.data()), 0.5, y.data());
    };
  };
  const auto body = setup(lane_of<cuda::Lane<float>>(device_context()));
  const Replay replay(3, [&](int) { body(); });
  EXPECT_EQ(calls, 6) << "three eagerly, three into the graph";
  const int64_t before = simt::counters().launches;
  EXPECT_GT(replay.seconds(), 0);
  EXPECT_EQ(simt::counters().launches - before, 6) << "three that are timed, behind three";
}
#endif

}  // namespace
}  // namespace hourglass::bench
