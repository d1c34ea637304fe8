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
  bool capture = true;          ///< CUDA: replay steps as captured graphs; the results are the same bits
  bool own_gemm = false;        ///< CUDA: our own matrix products even where cuBLASLt is there
};

class Runtime {
 public:
  /// Throws Error(kUsage) for a device name it does not know, Error(kDevice) for one this build or machine lacks.
  explicit Runtime(const RuntimeOptions& options = {});
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const Context& ctx() const { return ctx_; }
  Arena& arena() { return arena_; }
  const Arena& arena() const { return arena_; }
  int threads() const { return pool_.threads(); }
  /// Whether steps are captured and replayed.
  bool captures() const { return capture_ && ctx_.device == Device::kCuda; }
  /// From the first capture on the arena must not move.
  void pin_arena() { arena_pinned_ = true; }
  bool arena_pinned() const { return arena_pinned_; }
  /// "cpu (2 threads): this build has no CUDA kernels", the first line of every run.
  const std::string& description() const { return description_; }
  /// What the user should know: a driver that is too old for the device that is there. Often empty.
  const std::string& warning() const { return warning_; }

  /// Runs `step` dry, launching nothing, and returns the bytes of arena it needs on the device.
  size_t measure(const std::function<void()>& step);
  /// The most bytes that any step measured so far needs.
  size_t largest_step() const { return largest_step_; }

 private:
  void choose(const std::string& device);
  void use_cpu(const std::string& reason);
  void use_cuda(int device, const std::string& name);

  friend class MathScope;
  ThreadPool pool_;
  Context ctx_;
  Buffer workspace_;
  Arena arena_;
  size_t largest_step_ = 0;
  bool capture_ = true, arena_pinned_ = false;
  std::string description_, warning_;
};

/// While it lives float products on CUDA multiply as `math` says: those of a step function, which a capture keeps.
class MathScope {
 public:
  MathScope(Runtime& runtime, Math math) : runtime_(&runtime), before_(runtime.ctx_.math) { runtime.ctx_.math = math; }
  ~MathScope() { runtime_->ctx_.math = before_; }
  MathScope(const MathScope&) = delete;
  MathScope& operator=(const MathScope&) = delete;

 private:
  Runtime* runtime_;
  Math before_;
};

}  // namespace hourglass
