// SPDX-License-Identifier: Apache-2.0
// Shapes of the losses that compare each row of a prediction with a row of data, and sum over the row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/base/error.h"

namespace hourglass {

/// N predicted rows of D columns. With `draws` > 1 the rows come in groups of `draws` Monte-Carlo decodings of one
/// sample, so that row r is compared with row r / draws of the data, which has N / draws rows.
struct RowLossShape {
  int N = 0;
  int D = 0;
  int draws = 1;
};

/// Refuses negative extents and groups that do not divide the rows.
inline void check_row_loss(const char* op, int N, int D, int draws) {
  if (N < 0 || D < 0 || draws < 1 || N % draws != 0) {
    throw Error(Exit::kUsage, std::string(op) + ": expected N >= 0, D >= 0 and N a multiple of draws >= 1, got N = " +
                                  std::to_string(N) + ", D = " + std::to_string(D) +
                                  ", draws = " + std::to_string(draws));
  }
}

/// Refuses a mean over no samples.
inline void check_mean(const char* op, int N) {
  if (N == 0) throw Error(Exit::kUsage, std::string(op) + ": the mean needs at least one sample, got N = 0");
}

/// The cut of N rows into tiles for the timed forms: about 8192 elements a tile, and at most kMost of them, so that
/// the partial sums of a loss fit on the stack. A function of the shape alone.
struct RowTiles {
  static constexpr int kMost = 64;
  int rows = 1;   ///< rows a tile
  int count = 0;  ///< tiles

  RowTiles(int N, int D) {
    const int wanted = std::max(1, 8192 / std::max(1, D));
    rows = std::max(wanted, (N + kMost - 1) / kMost);
    count = (N + rows - 1) / rows;
  }
};

}  // namespace hourglass
