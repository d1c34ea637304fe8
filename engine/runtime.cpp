// SPDX-License-Identifier: Apache-2.0
#include "engine/runtime.h"

#include <algorithm>

#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass {

namespace {

/// N of "cuda:N", 0 of "cuda", -1 of anything else.
int cuda_index(const std::string& device) {
  if (device == "cuda") return 0;
  const bool numbered = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() < 9 &&
                        device.find_first_not_of("0123456789", 5) == std::string::npos;
  return numbered ? std::stoi(device.substr(5)) : -1;
}

}  // namespace

Runtime::Runtime(const RuntimeOptions& options) : pool_(options.threads), capture_(options.capture) {
  ctx_.own_gemm = options.own_gemm;
  choose(options.device);
}

void Runtime::choose(const std::string& device) {
  const int index = cuda_index(device);
  if (device != "auto" && device != "cpu" && index < 0) {
    throw Error(Exit::kUsage, "--device: expected auto, cpu, cuda or cuda:N, given " + device);
  }
  if (device == "cpu") return use_cpu("as asked");
  const cuda::Probe probe = cuda::probe(std::max(index, 0));
  if (index >= 0) {
    if (!probe.usable)
      throw Error(Exit::kDevice, "--device " + device + ": " + probe.description + "; try auto or cpu");
    return use_cuda(index, probe.description);
  }
  if (probe.usable && !probe.emulated) return use_cuda(0, probe.description);
  // A card that could be used is worth a word; none at all is not.
  if (probe.broken || (probe.count > 0 && !probe.usable)) warning_ = probe.description + "; going on with the CPU";
  use_cpu(probe.usable ? "this build emulates CUDA, which only --device cuda picks" : probe.description);
}

Runtime::~Runtime() {
  arena_ = Arena();
  workspace_ = Buffer();
  if (ctx_.stream) cuda::close_stream(ctx_.stream);
}

void Runtime::use_cpu(const std::string& reason) {
  ctx_.device = Device::kCpu;
  ctx_.threads = pool_.threads() > 1 ? &pool_ : nullptr;
  const std::string threads = std::to_string(pool_.threads()) + (pool_.threads() == 1 ? " thread" : " threads");
  description_ = "cpu (" + threads + "): " + reason;
}

void Runtime::use_cuda(int device, const std::string& name) {
  ctx_.device = Device::kCuda;
  ctx_.stream = cuda::open_stream(device);
  workspace_ = Buffer(ctx_, static_cast<size_t>(kWorkspaceBytes), "workspace");
  ctx_.workspace = workspace_.data();
  description_ = "cuda:" + std::to_string(device) + " (" + name + ")";
}

size_t Runtime::measure(const std::function<void()>& step) {
  // Back to real runs whatever the step throws.
  struct Restore {
    Runtime& runtime;
    ~Restore() {
      runtime.ctx_.measuring = false;
      runtime.arena_.measure(false);
    }
  } restore{*this};
  ctx_.measuring = true;
  arena_.measure(true);
  arena_.clear_peak();
  step();
  const size_t bytes = arena_.peak();
  arena_.clear_peak();
  largest_step_ = std::max(largest_step_, bytes);
  return bytes;
}

}  // namespace hourglass
