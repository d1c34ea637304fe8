// SPDX-License-Identifier: Apache-2.0
#include "engine/runtime.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace hourglass {

Runtime::Runtime(const RuntimeOptions& options) : pool_(options.threads), chosen_(options.device != "auto") {
  const std::string& device = options.device;
  const bool numbered = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() < 9 &&
                        device.find_first_not_of("0123456789", 5) == std::string::npos;
  const bool cuda = device == "cuda" || numbered;
  if (cuda) {
    throw Error(Exit::kDevice, "--device " + device + ": this build has no CUDA kernels; expected auto or cpu");
  }
  if (device != "auto" && device != "cpu") {
    throw Error(Exit::kUsage, "--device: expected auto, cpu, cuda or cuda:N, given " + device);
  }
  ctx_.device = Device::kCpu;
  ctx_.threads = pool_.threads() > 1 ? &pool_ : nullptr;
}

std::string Runtime::description() const {
  const std::string threads = std::to_string(pool_.threads()) + (pool_.threads() == 1 ? " thread" : " threads");
  return "cpu (" + threads + "): " + (chosen_ ? "as asked" : "this build has no CUDA kernels");
}

size_t Runtime::measure(const std::function<void()>& step) {
  // Back to the real device whatever the step throws.
  struct Restore {
    Runtime& runtime;
    Device device;
    ~Restore() {
      runtime.ctx_.device = device;
      runtime.arena_.measure(false);
    }
  } restore{*this, ctx_.device};
  ctx_.device = Device::kMeasure;
  arena_.measure(true);
  arena_.clear_peak();
  step();
  const size_t bytes = arena_.peak();
  arena_.clear_peak();
  largest_step_ = std::max(largest_step_, bytes);
  return bytes;
}

}  // namespace hourglass
