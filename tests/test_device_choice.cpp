// SPDX-License-Identifier: Apache-2.0
// Which device --device auto|cuda takes and what it says, on machines that the emulator pretends to be: with a driver
// or without, with an old one, with a card that no kernel was compiled for. And when cuBLASLt is opened.
#include <utility>

#include "engine/runtime.h"
#include "kernels/base/cuda_device.h"
#include "kernels/gemm.h"
#include "tests/harness.h"
#include "tests/simt/simt.h"

namespace hourglass::test {
namespace {

struct Machine {
  int driver = 13000, devices = 1;
  bool starts = true, image = true;
};

/// The emulator as such a machine, for a scope.
class ScopedMachine {
 public:
  explicit ScopedMachine(Machine machine) : config_(changed(machine)) {}

 private:
  static simt::Config changed(Machine machine) {
    simt::Config config = simt::config();
    config.driver = machine.driver;
    config.devices = machine.devices;
    config.starts = machine.starts;
    config.image = machine.image;
    return config;
  }
  simt::ScopedConfig config_;
};

using Words = std::pair<std::string, std::string>;

Words description_and_warning() {
  const Runtime runtime({"auto", 1});
  EXPECT_EQ(runtime.ctx().device, Device::kCpu);
  return {runtime.description(), runtime.warning()};
}

TEST(DeviceChoice, AutoNeverPicksTheEmulator) {
  const auto [description, warning] = description_and_warning();
  EXPECT_EQ(description, "cpu (1 thread): this build emulates CUDA, which only --device cuda picks");
  EXPECT_EQ(warning, "");
  const Runtime asked({"cuda", 1});
  EXPECT_EQ(asked.ctx().device, Device::kCuda);
  EXPECT_EQ(asked.description(), "cuda:0 (SIMT emulator, compute capability 9.0)");
}

TEST(DeviceChoice, NoDriverIsNoReasonToSpeak) {
  const ScopedMachine machine({.driver = 0});
  EXPECT_EQ(description_and_warning(), Words("cpu (1 thread): no NVIDIA driver", ""));
  EXPECT_FALSE(cuda::probe(0).broken);
  expect_error([] { Runtime({"cuda", 1}); }, Exit::kDevice, {"--device cuda", "no NVIDIA driver", "try auto or cpu"});
}

TEST(DeviceChoice, NoCardIsNoReasonEither) {
  const ScopedMachine machine({.devices = 0});
  setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  EXPECT_EQ(description_and_warning(), Words("cpu (1 thread): no NVIDIA GPU with CUDA_VISIBLE_DEVICES=7", ""));
  unsetenv("CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(description_and_warning(), Words("cpu (1 thread): no NVIDIA GPU", ""));
  expect_error([] { Runtime({"cuda:1", 1}); }, Exit::kDevice, {"--device cuda:1", "no NVIDIA GPU"});
}

TEST(DeviceChoice, ACardThatDoesNotStartIsWorthAWord) {
  const ScopedMachine machine({.starts = false});
  const auto [description, warning] = description_and_warning();
  EXPECT_EQ(description.find("cpu (1 thread): no usable NVIDIA GPU: "), 0u) << description;
  EXPECT_EQ(warning.find("no usable NVIDIA GPU: "), 0u) << warning;
  expect_error([] { Runtime({"cuda", 1}); }, Exit::kDevice, {"--device cuda", "no usable NVIDIA GPU"});
}

TEST(DeviceChoice, AnOldDriverIsNamedWithBothVersions) {
  const ScopedMachine machine({.driver = 12020});
  const auto [description, warning] = description_and_warning();
  EXPECT_EQ(description, "cpu (1 thread): the NVIDIA driver supports CUDA 12.2, this build needs 13.0");
  EXPECT_EQ(warning, "the NVIDIA driver supports CUDA 12.2, this build needs 13.0; going on with the CPU");
  expect_error([] { Runtime({"cuda", 1}); }, Exit::kDevice, {"--device cuda", "12.2", "13.0"});
}

TEST(DeviceChoice, ACardWithoutAKernelImageIsNamed) {
  const ScopedMachine machine({.image = false});
  const auto [description, warning] = description_and_warning();
  EXPECT_EQ(description, "cpu (1 thread): SIMT emulator, compute capability 9.0: this build has no kernels for it");
  EXPECT_EQ(warning, "SIMT emulator, compute capability 9.0: this build has no kernels for it; going on with the CPU");
  expect_error([] { Runtime({"cuda", 1}); }, Exit::kDevice, {"--device cuda", "no kernels for it"});
}

TEST(DeviceChoice, ACardThatIsNotThereIsRefused) {
  expect_error([] { Runtime({"cuda:7", 1}); }, Exit::kDevice, {"--device cuda:7", "there is 1 CUDA device"});
}

TEST(DeviceChoice, CublasltIsOpenedByTheFirstProduct) {
  const int64_t before = simt::counters().library_opens;
  static_cast<void>(Runtime({"auto", 1}));
  static_cast<void>(Runtime({"cuda", 1}));
  EXPECT_EQ(simt::counters().library_opens, before) << "neither the choice nor the start";
  Runtime runtime({"cuda", 1});
  const Buffer a(runtime.ctx(), 64, "a"), c(runtime.ctx(), 64, "c");
  for (int product = 0; product < 2; ++product) {
    cuda::gemm(runtime.ctx(), {4, 4, 4}, static_cast<const float*>(a.data()), static_cast<const float*>(a.data()),
               Grad<float>{static_cast<float*>(c.data())});
    EXPECT_EQ(simt::counters().library_opens, before + 1) << "once, also where it is absent";
  }
}

}  // namespace
}  // namespace hourglass::test
