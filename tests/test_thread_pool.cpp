// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "kernels/base/thread_pool.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

Context on(ThreadPool& pool) {
  Context ctx;
  ctx.threads = &pool;
  return ctx;
}

TEST(thread_pool, counts_the_calling_thread) {
  for (int threads : {1, 2, 5}) EXPECT_EQ(ThreadPool(threads).threads(), threads);
  EXPECT_GE(ThreadPool(0).threads(), 1);
  expect_error([] { ThreadPool(-1); }, Exit::kUsage, {"thread pool", "-1"});
}

TEST(thread_pool, runs_every_tile_once) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int64_t tiles : {0, 1, 2, 3, 7, 100, 10000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tiles));
      parallel_for(on(pool), tiles, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
      for (const auto& count : runs) ASSERT_EQ(count, 1) << tiles << " tiles, " << threads << " threads";
    }
  }
}

TEST(thread_pool, jobs_follow_one_another_without_losing_tiles) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(5);
  for (int64_t job = 0; job < 20000; ++job) {
    const int64_t tiles = 1 + job % 5;
    for (int64_t& sum : sums) sum = -1;  // plain memory: the pool must order it before and after the tiles
    parallel_for(on(pool), tiles, [&](int64_t i) { sums[static_cast<size_t>(i)] = job + i; });
    for (int64_t i = 0; i < 5; ++i) ASSERT_EQ(sums[static_cast<size_t>(i)], i < tiles ? job + i : -1) << "job " << job;
  }
}

TEST(thread_pool, wakes_parked_threads) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // far beyond the spin time
    std::mutex mutex;
    std::set<std::thread::id> seen;
    std::atomic<int> arrived{0};
    parallel_for(on(pool), 3, [&](int64_t) {  // ends only when three threads are inside at once
      ++arrived;
      while (arrived < 3) std::this_thread::yield();
      std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    EXPECT_EQ(seen.size(), 3u);
  }
}

TEST(thread_pool, waits_for_slow_tiles) {
  ThreadPool pool(2);
  std::atomic<int> finished{0};
  std::atomic<bool> second_started{false};
  parallel_for(on(pool), 2, [&](int64_t) {
    const bool worker = second_started.exchange(true);
    if (worker) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ++finished;
  });
  EXPECT_EQ(finished, 2);
}

TEST(thread_pool, rethrows_the_error_of_the_lowest_tile_and_stays_usable) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> ran{0};
      expect_error(
          [&] {
            parallel_for(on(pool), 40, [&](int64_t i) {
              ++ran;
              if (i % 7 == 5) throw Error(Exit::kData, "tile " + std::to_string(i));
            });
          },
          Exit::kData, {"tile 5"});
      EXPECT_EQ(ran, 40) << "the other tiles still run";
    }
    std::atomic<int> ran{0};
    parallel_for(on(pool), 8, [&](int64_t) { ++ran; });
    EXPECT_EQ(ran, 8);
  }
}

TEST(thread_pool, refuses_to_be_entered_twice) {
  ThreadPool pool(2);
  expect_error([&] { parallel_for(on(pool), 2, [&](int64_t) { parallel_for(on(pool), 2, [](int64_t) {}); }); },
               Exit::kInternal, {"thread pool", "not reentrant"});
}

TEST(thread_pool, without_a_pool_tiles_run_in_order_on_the_caller) {
  std::vector<int64_t> order;
  parallel_for(Context{}, 5, [&](int64_t i) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(thread_pool, pools_come_and_go) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(1 + i % 4);
    std::atomic<int> ran{0};
    if (i % 2) parallel_for(on(pool), 6, [&](int64_t) { ++ran; });
    EXPECT_EQ(ran, i % 2 ? 6 : 0);
  }
}

}  // namespace
}  // namespace hourglass::test
