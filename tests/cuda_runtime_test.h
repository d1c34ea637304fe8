// SPDX-License-Identifier: Apache-2.0
// The fixture of tests that train or run ops on the CUDA device through the engine; without one they are skipped, and
// say why.
#pragma once

#include <gtest/gtest.h>

#include "engine/runtime.h"
#include "kernels/base/error.h"

namespace hourglass::test {

class CudaRuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      Runtime runtime({"cuda", 1});
    } catch (const Error& error) {
      GTEST_SKIP() << "needs a CUDA device: " << error.what();
    }
  }
};

}  // namespace hourglass::test
