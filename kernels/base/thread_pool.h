// SPDX-License-Identifier: Apache-2.0
// A small pool for the CPU kernels: work is cut into tiles by shape alone, threads take tiles by index, so the result
// has the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/base/context.h"

namespace hourglass {

/// Spins for about 20 us after each job, then parks: a training step dispatches a job every few tens of microseconds,
/// and spinning longer would steal the core from others on a busy machine.
class ThreadPool {
 public:
  /// `threads` counts the calling thread: 1 starts none. 0 means one per available core.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Calls job(argument, i) once for each i in [0, tiles), on any thread, and returns when all are done.
  /// An exception of a tile is rethrown here (that of the lowest tile index). Not reentrant.
  void run(int64_t tiles, void (*job)(void* argument, int64_t tile), void* argument);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Runs f(tile) for each tile in [0, tiles). The cut into tiles must depend on the shape alone.
template <class F>
void parallel_for(const Context& ctx, int64_t tiles, F&& f) {
  if (!ctx.threads || tiles <= 1) {
    for (int64_t i = 0; i < tiles; ++i) f(i);
    return;
  }
  using Function = std::remove_reference_t<F>;
  ctx.threads->run(tiles, [](void* argument, int64_t i) { (*static_cast<Function*>(argument))(i); },
                   const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace hourglass
