// SPDX-License-Identifier: Apache-2.0
// Where a program runs: the device, its threads, and the arena that all steps share.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/arena.h"
#include "kernels/base/context.h"
#include "kernels/base/thread_pool.h"

namespace hourglass {

struct RuntimeOptions {
  std::string device = "auto";  ///< auto, cpu, cuda or cuda:N
  int threads = 0;              ///< CPU threads; 0: one per core
};

class Runtime {
 public:
  /// Throws Error(kUsage) for a device name it does not know, Error(kDevice) for one this build or machine lacks.
  explicit Runtime(const RuntimeOptions& options = {});
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Context& ctx() const { return ctx_; }
  Arena& arena() { return arena_; }
  const Arena& arena() const { return arena_; }
  int threads() const { return pool_.threads(); }
  /// "cpu (2 threads): this build has no CUDA", the first line of every run.
  std::string description() const;

  /// Runs `step` on the measuring device, which launches nothing, and returns the bytes of arena it needs.
  size_t measure(const std::function<void()>& step);
  /// The most bytes that any step measured so far needs.
  size_t largest_step() const { return largest_step_; }

 private:
  ThreadPool pool_;
  Context ctx_;
  Arena arena_;
  size_t largest_step_ = 0;
  bool chosen_ = false;  // by name, not by auto
};

}  // namespace hourglass
