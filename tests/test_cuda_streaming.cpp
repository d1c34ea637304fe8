// SPDX-License-Identifier: Apache-2.0
// Samples beyond the device's memory: captured and eager, against a run that holds them all.
#include <gtest/gtest.h>

#include "tests/cuda_runtime_test.h"
#include "tests/streaming_checks.h"
#if defined(HOURGLASS_CUDA_EMULATED)
#include "tests/simt/simt.h"
#endif

namespace hourglass::test {
namespace {

class CudaStreaming : public CudaRuntimeTest {
 protected:
  void SetUp() override {
    CudaRuntimeTest::SetUp();
    options_.batch.batch = 16;
    options_.model.hidden = {8};
  }
  TrainerOptions options_ = small_trainer_options();
};

TEST_F(CudaStreaming, EagerStepsHaveTheBitsOfATrainingThatHoldsItsData) {
  check_streaming({"cuda", 1, false}, options_);
}

TEST_F(CudaStreaming, CapturedStepsTakeAnotherSlotEachTime) { check_streaming({"cuda", 1, true}, options_); }

TEST_F(CudaStreaming, MicroBatches) {
  options_.micro_batches = 2;
  check_streaming({"cuda", 1, true}, options_);
}

#if defined(HOURGLASS_CUDA_EMULATED)
/// Work runs as late as the events allow, in either order of the streams: what is not ordered by them shows.
TEST_F(CudaStreaming, OnlyEventsOrderTheCopiesAndTheSteps) {
  simt::Config config = simt::config();
  config.lazy_streams = true;
  for (const simt::Order order : {simt::Order::kForward, simt::Order::kReverse}) {
    config.order = order;
    const simt::ScopedConfig scope(config);
    check_streaming({"cuda", 1, true}, options_);
  }
}
#endif

}  // namespace
}  // namespace hourglass::test
