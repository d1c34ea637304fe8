// SPDX-License-Identifier: Apache-2.0
// The persistent kernel against the tape's step, on both devices.
#include "tests/cuda_runtime_test.h"
#include "tests/vae_step_checks.h"
#if defined(HOURGLASS_CUDA_EMULATED)
#include "tests/simt/simt.h"
#endif

namespace hourglass::test {
namespace {

const RuntimeOptions kCuda{"cuda", 1}, kCpu{"cpu", 1};
#if defined(HOURGLASS_CUDA_EMULATED)
const int kBlocks = std::getenv("HOURGLASS_SIMT_PTX") ? 1 : 3;  // of 32 that the emulated card holds
#else
constexpr int kBlocks = 0;
#endif

using VaeStepCuda = CudaRuntimeTest;

/// Whether g++ compiled what runs. nvcc may fuse other multiply-adds in one kernel than in another.
bool is_emulated() {
#if defined(HOURGLASS_CUDA_EMULATED)
  return !std::getenv("HOURGLASS_SIMT_PTX");
#else
  return false;
#endif
}

void expect_as_tape(const Trained& got, const Trained& want, const std::string& name) {
  const double relative = is_emulated() ? 0 : 1;
  expect_close(got.values, want.values, Tolerance{1e-4 * relative, 0}, name);
  expect_close(got.log, want.log, Tolerance{1e-5 * relative, 0}, name + ", log");
}

TEST_F(VaeStepCuda, IsTheStepOfTheTape) {
  for (const VaeStepShape& s : kVaeStepCases) {
    for (const std::vector<int>& calls : {std::vector<int>{1}, {2}, {5}}) {
      const Trained got = train_vae(kCuda, s, vae_step_options(s, true, kBlocks), calls);
      expect_as_tape(got, train_vae(kCuda, s, vae_step_options(s, false), calls), name_of(s));
      const Trained cpu = train_vae(kCpu, s, vae_step_options(s, false), calls);
      expect_close(got.values, cpu.values, Tolerance{1e-3, 0}, name_of(s) + ", CPU");
      expect_close(got.log, cpu.log, Tolerance{1e-5, 0}, name_of(s) + ", CPU's log");
    }
  }
}

TEST_F(VaeStepCuda, StaysTheStepOfTheTape) {
  const VaeStepShape s = kVaeStepCases[0];
  expect_as_tape(train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {20}),
                 train_vae(kCuda, s, vae_step_options(s, false), {20}), "20 steps");
}

TEST_F(VaeStepCuda, HasTheSameBitsOnAnyGridAndInAnyNumberOfLaunches) {
  for (const VaeStepShape& s : {kVaeStepCases[0], kVaeStepCases[3]}) {
    const Trained want = train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {4});
    for (const int blocks : {1, 2, 7, 0}) {
      const Trained got = train_vae(kCuda, s, vae_step_options(s, true, blocks), {4});
      expect_same_bits(got.values, want.values, name_of(s) + " on " + std::to_string(blocks) + " blocks");
      expect_same_bits(got.log, want.log, name_of(s) + ", log");
    }
    expect_same_bits(train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {1, 1, 2}).values, want.values,
                     name_of(s));
  }
}

TEST_F(VaeStepCuda, RunsTenTimesWithTheSameBits) {
  const VaeStepShape s = kVaeStepCases[0];
  const Trained want = train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {3});
  for (int run = 1; run < 10; ++run) {
    expect_same_bits(train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {3}).values, want.values);
  }
}

#if defined(HOURGLASS_CUDA_EMULATED)
/// Whatever the order of blocks and threads, and of what nobody has written.
TEST_F(VaeStepCuda, HasTheSameBitsUnderEverySchedule) {
  const VaeStepShape s = kVaeStepCases[0];
  std::vector<double> want;
  for (const simt::Config& schedule : simt::test_schedules()) {
    const simt::ScopedConfig scope(schedule);
    const Trained got = train_vae(kCuda, s, vae_step_options(s, true, kBlocks), {3});
    if (want.empty()) want = got.values;
    expect_same_bits(got.values, want, simt::describe(schedule));
    for (const simt::Report& report : simt::take_reports()) ADD_FAILURE() << report.kind << ": " << report.text;
  }
}
#endif

TEST_F(VaeStepCuda, AFaultIsNamedAndNothingChanges) {
  const VaeStepShape s = kVaeStepCases[0];
  const SmallData data(2 * s.N + 3, 1, s.D);
  Runtime runtime(kCuda);
  Trainer trainer(runtime, data.store(), data.split, vae_step_options(s, true, kBlocks));
  trainer.run(2);
  const float bad = std::numeric_limits<float>::quiet_NaN();
  const int64_t last = trainer.parameters().all().back().offset;
  to_device(runtime.ctx(), static_cast<float*>(trainer.parameters().values()) + last, &bad, sizeof bad);
  const std::vector<double> before = state_of(runtime, trainer);
  expect_error([&] { trainer.run(3); }, Exit::kNotFinite, {"step 2", "finite"});
  EXPECT_EQ(trainer.step(), 2);
  const std::vector<double> after = state_of(runtime, trainer);
  ASSERT_EQ(after.size(), before.size());
  EXPECT_EQ(std::memcmp(after.data(), before.data(), after.size() * sizeof(double)), 0);
}

TEST_F(VaeStepCuda, ResumesWhatTheTapeHasSavedAndTheOtherWayRound) {
  const VaeStepShape s = kVaeStepCases[0];
  const SmallData data(2 * s.N + 3, 1, s.D);
  const std::string path = testing::TempDir() + "/vae-step.safetensors";
  const Trained want = train_vae(kCuda, s, vae_step_options(s, false), {2, 3});
  for (const bool persistent_first : {false, true}) {
    Runtime runtime(kCuda);
    {
      Trainer first(runtime, data.store(), data.split, vae_step_options(s, persistent_first, kBlocks));
      first.run(2);
      static_cast<void>(first.take_log());
      save_checkpoint(path, first.state_tensors(), {}, runtime.ctx());
    }
    Trainer second(runtime, data.store(), data.split, vae_step_options(s, !persistent_first, kBlocks));
    second.restore(open_checkpoint(path));
    second.run(3);
    static_cast<void>(second.take_log());
    expect_as_tape({state_of(runtime, second), {}}, {want.values, {}}, persistent_first ? "persistent" : "tape");
  }
}

TEST_F(VaeStepCuda, RefusesMoreBlocksThanTheDeviceHolds) {
  const VaeStepShape s = kVaeStepCases[0];
  expect_error([&] { train_vae(kCuda, s, vae_step_options(s, true, 100000), {1}); }, Exit::kDevice,
               {"vae_step_persistent_kernel", "100000"});
}

}  // namespace
}  // namespace hourglass::test
