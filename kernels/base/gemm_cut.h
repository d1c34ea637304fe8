// SPDX-License-Identifier: Apache-2.0
// How a CUDA matrix product is cut into blocks: a function of the shapes alone, never of the card, so that the order of
// every sum, and with it every bit, is the same on all of them.
//
// A block computes one tile of the result. Where the tiles are too few to keep a card busy, the depth (the summed
// extent) is cut into slices too: each block writes the sums of its slice to the workspace, and the block that arrives
// last at the tile's ticket adds the slices in index order (gemm_tile.cuh).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass::gpu {

/// c (rows, columns) = sum over `depth` terms.
struct Product {
  int rows = 0, columns = 0, depth = 0;
};

struct TileShape {
  int rows, columns;
  int depth;          ///< terms that are staged in shared memory at a time
  double efficiency;  ///< assumed share of the multiply-add peak; only their ratios matter
};

enum class TileSize : uint8_t { kSmall, kMedium, kLarge };

/// Indexed by TileSize. A thread of a larger tile does more multiply-adds for each word it reads from shared memory:
/// 2 in the small tile, 4 in the others. The large one also reads each operand half as often as the medium one.
inline constexpr TileShape kTileShapes[] = {{32, 32, 32, 0.4}, {64, 64, 16, 0.6}, {128, 128, 8, 0.75}};

/// The blocks of one product. Several products may share a launch, its tickets and its workspace.
struct GemmCut {
  int down = 0, across = 0;             ///< tiles
  int stages = 0;                       ///< the depth in units of TileShape::depth
  int slices = 1;                       ///< blocks that share a tile; slice i has stages [i stages / slices, ...)
  int first_row = 0, first_column = 0;  ///< where the tiles begin
  int first_block = 0;                  ///< in the launch
  int first_ticket = 0;
  int64_t first_partial = 0;  ///< in floats, behind the tickets
  bool tf32 = false;          ///< operands are rounded to tf32 as they are staged

  HOURGLASS_HD int64_t tiles() const { return int64_t{down} * across; }
  HOURGLASS_HD int64_t blocks() const { return tiles() * slices; }
  /// Stages of the longest slice.
  int longest() const { return (stages + slices - 1) / slices; }
};

/// One launch: products one after the other, the one with the longest blocks first, so that none starts late.
template <size_t kProducts>
struct GemmPlan {
  TileSize tile = TileSize::kSmall;
  std::array<GemmCut, kProducts> cuts;
  int64_t blocks = 0;

  /// The same, multiplied as `math` says.
  GemmPlan with(Math math) const {
    GemmPlan plan = *this;
    for (GemmCut& cut : plan.cuts) cut.tf32 = math == Math::kTf32;
    return plan;
  }
};

/// The ends of the tickets and of the workspace that the slices of a launch leave alone.
struct Reserved {
  int tickets = 0;
  int64_t partials = 0;
};

namespace detail {

inline constexpr int kTickets = 64;  // the first 256 bytes of the workspace
inline constexpr int64_t kPartials = kWorkspaceBytes / 4 - kTickets;
inline constexpr int kMultiprocessors = 132;  // of an H100: what the cuts are made for
inline constexpr int kLeastStages = 4;        // of a slice, so that writing and adding partials stays the smaller part
inline constexpr int kOverheadStages = 2;     // what a block costs beside its stages, assumed

inline int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

inline int slices_of(const GemmCut& cut, int64_t tile_area, int tickets, int64_t partials) {
  const int64_t tiles = cut.tiles();
  if (tiles == 0 || tiles > tickets) return 1;
  const int64_t wanted = 2 * kMultiprocessors / tiles, room = partials / (tiles * tile_area);
  return static_cast<int>(std::max<int64_t>(1, std::min({wanted, room, int64_t{cut.stages / kLeastStages}})));
}

template <size_t kProducts>
GemmPlan<kProducts> plan_with(TileSize tile, const std::array<Product, kProducts>& products, const Reserved& kept) {
  const TileShape& shape = kTileShapes[static_cast<int>(tile)];
  const int64_t area = int64_t{shape.rows} * shape.columns;
  GemmPlan<kProducts> plan;
  plan.tile = tile;
  int tickets = 0;
  int64_t partials = 0;
  for (size_t i = 0; i < kProducts; ++i) {
    GemmCut& cut = plan.cuts[i];
    cut.down = divide_up(products[i].rows, shape.rows);
    cut.across = divide_up(products[i].columns, shape.columns);
    cut.stages = divide_up(products[i].depth, shape.depth);
    cut.first_ticket = tickets;
    cut.first_partial = partials;
    cut.slices = slices_of(cut, area, kTickets - kept.tickets - tickets, kPartials - kept.partials - partials);
    if (cut.slices > 1) {
      tickets += static_cast<int>(cut.tiles());
      partials += cut.blocks() * area;
    }
    plan.blocks += cut.blocks();
  }
  return plan;
}

/// Estimated time of a plan: the work of all blocks spread over the card, or its longest block if that is more.
template <size_t kProducts>
double cost_of(const GemmPlan<kProducts>& plan) {
  const TileShape& shape = kTileShapes[static_cast<int>(plan.tile)];
  double total = 0, longest = 0;
  for (const GemmCut& cut : plan.cuts) {
    if (cut.blocks() == 0) continue;
    const double block = 1.0 * (cut.longest() + kOverheadStages) * shape.depth * shape.rows * shape.columns;
    total += block * static_cast<double>(cut.blocks());
    longest = std::max(longest, block);
  }
  return std::max(total / kMultiprocessors, longest) / shape.efficiency;
}

}  // namespace detail

/// The cheapest of the tile sizes for a launch of these products; `only_small`: rows that allow no vector access;
/// `kept`: what the launch needs itself.
template <size_t kProducts>
GemmPlan<kProducts> plan_products(const std::array<Product, kProducts>& products, bool only_small,
                                  const Reserved& kept = {}) {
  GemmPlan<kProducts> best = detail::plan_with(TileSize::kSmall, products, kept);
  for (TileSize tile : {TileSize::kMedium, TileSize::kLarge}) {
    const GemmPlan<kProducts> plan = detail::plan_with(tile, products, kept);
    if (!only_small && detail::cost_of(plan) < detail::cost_of(best)) best = plan;
  }
  std::array<GemmCut*, kProducts> order;
  for (size_t i = 0; i < kProducts; ++i) order[i] = &best.cuts[i];
  std::stable_sort(order.begin(), order.end(),
                   [](const GemmCut* a, const GemmCut* b) { return a->longest() > b->longest(); });
  int64_t block = 0;
  for (GemmCut* cut : order) {
    cut->first_block = static_cast<int>(block);
    block += cut->blocks();
  }
  return best;
}

}  // namespace hourglass::gpu
