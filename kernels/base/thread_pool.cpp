// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr std::chrono::microseconds kSpin{20};
constexpr int64_t kMostTilesAtOnce = int64_t{1} << 30;

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/// Signals go to the other threads: a handler on the stack of a matrix product damages the heap (gemm_onednn.cpp). But
/// a fault of this thread's own is reported.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, fault);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

/// Spins until `ready` or the spin time is over; says whether it is ready.
template <class Ready>
bool spin(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

struct ThreadPool::State {
  // High half: number of the job. Low half: tiles of it that nobody has taken. A thread takes a tile by a
  // compare-exchange of the whole word, so success proves that the job it read below is still the one running:
  // the fields are rewritten only when the low half is zero. Thus the caller never waits for a parked thread.
  alignas(64) std::atomic<uint64_t> word{0};
  std::atomic<void (*)(void*, int64_t)> job{nullptr};
  std::atomic<void*> argument{nullptr};
  std::atomic<int64_t> first{0}, tiles{0};

  alignas(64) std::atomic<int64_t> done{0};

  alignas(64) std::mutex mutex;
  std::condition_variable wake, finished;
  std::atomic<int> parked{0};
  std::atomic<bool> caller_parked{false}, stop{false}, running{false};
  std::exception_ptr error;  // guarded by mutex, as is error_tile
  int64_t error_tile = 0;
  std::vector<std::thread> workers;

  ~State() {  // also runs when the constructor of the pool could start only some of its threads
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  static uint32_t untaken(uint64_t word) { return static_cast<uint32_t>(word); }

  void run_tile(void (*f)(void*, int64_t), void* with, int64_t tile) {
    try {
      f(with, tile);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!error || tile < error_tile) {
        error = std::current_exception();
        error_tile = tile;
      }
    }
  }

  /// Takes and runs tiles until none is left.
  void work() {
    uint64_t now = word.load(std::memory_order_acquire);
    while (untaken(now) != 0) {
      const auto f = job.load(std::memory_order_relaxed);
      void* const with = argument.load(std::memory_order_relaxed);
      const int64_t all = tiles.load(std::memory_order_relaxed);
      const int64_t base = first.load(std::memory_order_relaxed);
      if (!word.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      run_tile(f, with, base + all - untaken(now));
      if (done.fetch_add(1) + 1 == all && caller_parked.load()) {
        std::lock_guard lock(mutex);
        finished.notify_one();
      }
      now = word.load(std::memory_order_acquire);
    }
  }

  void worker() {
    block_signals();
    const auto ready = [&] { return untaken(word.load()) != 0 || stop.load(); };
    while (!stop.load(std::memory_order_relaxed)) {
      if (!spin(ready)) {
        std::unique_lock lock(mutex);
        ++parked;  // before `ready` looks at the word: run() stores the word before it looks at `parked`
        wake.wait(lock, ready);
        --parked;
      }
      work();
    }
  }

  void run_some(int64_t from, int64_t count, void (*f)(void*, int64_t), void* with) {
    job.store(f, std::memory_order_relaxed);
    argument.store(with, std::memory_order_relaxed);
    first.store(from, std::memory_order_relaxed);
    tiles.store(count, std::memory_order_relaxed);
    done.store(0, std::memory_order_relaxed);
    const uint64_t number = (word.load(std::memory_order_relaxed) >> 32) + 1;
    word.store(number << 32 | static_cast<uint64_t>(count));
    if (parked.load() > 0) {
      { std::lock_guard lock(mutex); }
      wake.notify_all();
    }
    work();
    const auto all_done = [&] { return done.load() == count; };
    if (spin(all_done)) return;
    std::unique_lock lock(mutex);
    caller_parked = true;
    finished.wait(lock, all_done);
    caller_parked = false;
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  if (threads < 0) {
    throw Error(Exit::kUsage, "thread pool: expected 0 or more threads, got " + std::to_string(threads));
  }
  const int extra = (threads == 0 ? available_cores() : threads) - 1;
  for (int i = 0; i < extra; ++i) state_->workers.emplace_back([state = state_.get()] { state->worker(); });
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run(int64_t tiles, void (*job)(void* argument, int64_t tile), void* argument) {
  if (tiles <= 0) return;
  if (state_->running.exchange(true)) {
    throw Error(Exit::kInternal, "thread pool: run was called while another job runs; it is not reentrant");
  }
  for (int64_t from = 0; from < tiles; from += kMostTilesAtOnce) {
    state_->run_some(from, std::min(kMostTilesAtOnce, tiles - from), job, argument);
  }
  const std::exception_ptr error = std::exchange(state_->error, nullptr);
  state_->running = false;
  if (error) std::rethrow_exception(error);
}

}  // namespace hourglass
