// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "apps/signals.h"
#include "kernels/base/gemm_tile.h"
#include "kernels/base/thread_pool.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

/// Sends SIGHUP to the thread that made it, some thousand times a second. The first is caught, the others are ignored.
class Storm {
 public:
  Storm() : thread_([this, target = pthread_self()] { send_to(target); }) {}
  ~Storm() {
    stop_ = true;
    thread_.join();
  }
  int sent() const { return sent_; }

 private:
  void send_to(pthread_t target) {
    while (!stop_) {
      pthread_kill(target, SIGHUP);
      ++sent_;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  std::atomic<bool> stop_{false};
  std::atomic<int> sent_{0};
  std::thread thread_;
};

/// A layer of 24 units on 256 features, as oneDNN multiplies with a workspace on the heap.
cpu::GemmTile product(const std::vector<float>& a, const std::vector<float>& b, std::vector<float>& c) {
  return {false, true, 32, 24, 256, a.data(), 256, b.data(), 256, c.data(), 24, false};
}

TEST(Signals, LeaveTheHeapOfAMatrixProductAlone) {
  signal(SIGHUP, SIG_DFL);  // also where the tests run under nohup
  catch_signals();
  const auto a = random_values<float>(32 * 256, 1), b = random_values<float>(24 * 256, 2);
  std::vector<float> want(32 * 24), got(32 * 24);
  cpu::multiply(product(a, b, want));
  const Storm storm;
  while (storm.sent() < 3000) {
    const std::vector<unsigned char> below(20000, 0x5A);  // the workspace of the product follows it on the heap
    cpu::multiply(product(a, b, got));
    ASSERT_EQ(std::count(below.begin(), below.end(), 0x5A), 20000) << "after " << storm.sent() << " signals";
    ASSERT_EQ(got, want);
  }
  EXPECT_EQ(caught_signal(), SIGHUP);
  EXPECT_EQ(exit_code_of_signal(), 129);
}

TEST(Signals, DoNotReachTheThreadsOfAPool) {
  ThreadPool pool(3);
  Context ctx;
  ctx.threads = &pool;
  const pthread_t caller = pthread_self();
  std::atomic<int> elsewhere{0}, unblocked{0};
  while (elsewhere == 0) {
    parallel_for(ctx, 64, [&](int64_t) {
      if (pthread_equal(pthread_self(), caller)) return std::this_thread::yield();
      ++elsewhere;
      sigset_t blocked;
      pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
      for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGALRM}) unblocked += sigismember(&blocked, signal) == 0;
    });
  }
  EXPECT_EQ(unblocked, 0);
}

}  // namespace
}  // namespace hourglass
