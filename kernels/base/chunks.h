// SPDX-License-Identifier: Apache-2.0
// The cut of n independent elements into tiles for the timed elementwise forms.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/thread_pool.h"

namespace hourglass {

inline constexpr int64_t kChunk = 16384;  ///< elements a tile: a few microseconds, well above the cost of a dispatch

/// Calls f(first, count) for consecutive chunks of [0, n).
template <class F>
void parallel_chunks(const Context& ctx, int64_t n, F&& f) {
  parallel_for(ctx, (n + kChunk - 1) / kChunk, [&](int64_t i) { f(i * kChunk, std::min(kChunk, n - i * kChunk)); });
}

}  // namespace hourglass
