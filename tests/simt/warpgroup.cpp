// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/warpgroup.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/simt/bulk_copy.h"
#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"

namespace simt {
namespace {

Scheduler& scheduler() { return *Scheduler::running(); }

constexpr int kDepth = 16, kUnit = 8;  // elements of a product, and of 16 bytes

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

bool is_poison(const float* values, int count, uint8_t poison) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(values);
  return std::all_of(bytes, bytes + sizeof(float) * static_cast<size_t>(count),
                     [poison](unsigned char byte) { return byte == poison; });
}

}  // namespace

void Warpgroups::begin_block(unsigned threads) {
  warps_.assign((threads + kLanes - 1) / kLanes, {});
  groups_.assign((warps_.size() + kWarps - 1) / kWarps, {});
}

void Warpgroups::end_block() {
  for (size_t w = 0; w < groups_.size() * kWarps; ++w) {
    const size_t all = groups_[w / kWarps].size(), issued = w < warps_.size() ? warps_[w].issued : 0;
    if (issued != all) {
      report("warpgroup", "warp " + std::to_string(w) + " took part in " + std::to_string(issued) + " of the " +
                              std::to_string(all) + " products of its warpgroup" + scheduler().position());
    } else if (all > 0 && !warps_[w].products.empty()) {
      report("warpgroup",
             "warp " + std::to_string(w) + " ended with products that it never waited for" + scheduler().position());
    }
  }
}

void Warpgroups::run(Warp& warp, Operation operation) {
  const auto call = *static_cast<const WarpgroupCall*>(warp.lanes[0]->value);
  State& state = warps_[call.warp];
  switch (operation) {
    case Operation::kFenceProducts:
      state.fenced = true;
      return;
    case Operation::kCommitProducts:
      ++state.group;
      return;
    case Operation::kWaitForProducts:
      return wait(state, call.groups);
    default:
      return issue(warp, state, call);
  }
}

// ---------------------------------------------------------------- starting a product

/// The warps of a group must agree; they may come at different times.
void Warpgroups::compare(const WarpgroupCall& call, State& state, Site site) {
  std::vector<Issued>& group = groups_[call.warp / kWarps];
  if (state.issued++ == group.size()) return group.push_back({site, call.a, call.b, call.columns});
  const Issued& first = group[state.issued - 1];
  if (first.a != call.a || first.b != call.b || first.columns != call.columns || !same_place(first.site, site)) {
    scheduler().stop("warpgroup", "warps of one warpgroup issue different products: warp " + std::to_string(call.warp) +
                                      " at " + describe(site) + ", another one at " + describe(first.site));
  }
}

void Warpgroups::check_untouched(const Sums& sums) {
  for (unsigned l = 0; l < kLanes; ++l) {
    if (!is_poison(sums.of[l], sums.each, scheduler().poison())) {
      scheduler().stop("warpgroup", "sums of a product under way have been changed");
    }
  }
}

Warpgroups::Sums& Warpgroups::sums_of(Warp& warp, State& state, const WarpgroupCall& call) {
  const uint8_t poison = scheduler().poison();
  for (Sums& sums : state.sums) {
    if (sums.of[0] != call.sums) continue;
    check_untouched(sums);
    return sums;
  }
  if (!state.fenced) {
    scheduler().stop("warpgroup", "a product of registers that no fence has ordered before it");
  }
  Sums sums{};
  sums.each = call.columns / 2;
  for (unsigned l = 0; l < kLanes; ++l) {
    sums.of[l] = static_cast<const WarpgroupCall*>(warp.lanes[l]->value)->sums;
    sums.values.insert(sums.values.end(), sums.of[l], sums.of[l] + sums.each);
    std::memset(sums.of[l], poison, sizeof(float) * static_cast<size_t>(sums.each));
  }
  state.sums.push_back(std::move(sums));
  return state.sums.back();
}

void Warpgroups::issue(Warp& warp, State& state, const WarpgroupCall& call) {
  compare(call, state, warp.lanes[0]->site);
  for (unsigned l = 1; l < kLanes; ++l) {
    const auto& other = *static_cast<const WarpgroupCall*>(warp.lanes[l]->value);
    if (other.a != call.a || other.b != call.b) scheduler().stop("warpgroup", "lanes of a warp give other descriptors");
  }
  decoded(call.a, 64, "A");
  decoded(call.b, call.columns, "B");
  ++sums_of(warp, state, call).under_way;
  state.products.push_back({call, state.group});
}

// ---------------------------------------------------------------- matrix descriptors

/// Bits 0-13: address / 16; 16-29: unused with a swizzle; 32-45: bytes from eight rows to the next / 16; 49-51: where
/// in the pattern the matrix begins; 62-63: 1 for the 128-byte swizzle. A row is 128 bytes, of which a product
/// reads 32.
Warpgroups::Operand Warpgroups::decoded(uint64_t descriptor, int rows, const char* what) {
  const auto field = [descriptor](int first, int bits) {
    return static_cast<uint32_t>(descriptor >> first & ((uint64_t{1} << bits) - 1));
  };
  const Operand operand{field(0, 14) << 4, field(32, 14) << 4};
  const std::string name = std::string("operand ") + what + " of a product ";
  if (field(62, 2) != 1)
    scheduler().stop("swizzle", name + "is not laid out with the 128-byte swizzle, which the emulator knows");
  if (field(49, 3) != 0 || operand.start % 1024 >= 128) {
    scheduler().stop("swizzle", name + "begins at address " + std::to_string(operand.start) +
                                    ", not in the first row of eight aligned to 1024 bytes");
  }
  if (operand.start % 128 > 128 - 32) scheduler().stop("swizzle", name + "reads past the end of its rows of 128 bytes");
  const uint32_t base = shared_address(scheduler().dynamic_shared());
  const uint64_t first = operand.start / 1024 * 1024, end = first + uint64_t{operand.stride} * (rows / 8 - 1) + 1024;
  if (first < base || end > base + scheduler().dynamic_shared_bytes()) {
    scheduler().stop("out-of-bounds", name + "lies outside of dynamic shared memory");
  }
  const char* const memory = static_cast<const char*>(scheduler().dynamic_shared()) + (first - base);
  if (scheduler().bulk().will_write(memory, end - first)) {
    scheduler().stop("bulk-copy", name + "is memory that a bulk copy under way will write");
  }
  return operand;
}

void Warpgroups::read_row(const Operand& operand, int row, float* values, const void* pc) {
  const auto r = static_cast<uint32_t>(row);
  const auto* const memory = static_cast<const char*>(scheduler().dynamic_shared());
  const uint32_t base = shared_address(memory);
  for (uint32_t unit = 0; unit < kDepth / kUnit; ++unit) {
    const uint32_t plain = operand.start + r / 8 * operand.stride + r % 8 * 128 + unit * 16;
    const char* const from = memory + (BulkCopies::swizzled(plain) - base);
    scheduler().operand_read(from, 16, pc);
    uint16_t bits[kUnit];
    std::memcpy(bits, from, sizeof bits);
    for (int i = 0; i < kUnit; ++i) values[static_cast<int>(unit) * kUnit + i] = from_bf16(bits[i]);
  }
}

// ---------------------------------------------------------------- its end

void Warpgroups::wait(State& state, unsigned groups) {
  size_t done = 0;
  for (; done < state.products.size() && state.products[done].group + groups < state.group; ++done) {
    const Product& product = state.products[done];
    Sums& sums = *std::find_if(state.sums.begin(), state.sums.end(),
                               [&](const Sums& s) { return s.of[0] == product.call.sums; });
    multiply(product, sums);
    --sums.under_way;
  }
  state.products.erase(state.products.begin(), state.products.begin() + static_cast<std::ptrdiff_t>(done));
  std::erase_if(state.sums, [&](const Sums& sums) {
    if (sums.under_way > 0) return false;
    check_untouched(sums);
    for (unsigned l = 0; l < kLanes; ++l) {
      std::copy_n(sums.values.begin() + static_cast<std::ptrdiff_t>(l) * sums.each, sums.each, sums.of[l]);
    }
    state.fenced = false;
    return true;
  });
}

/// Sum i of lane l is that of row l / 4 + 8 (i / 2 % 2) of the warp's, column 8 (i / 4) + 2 (l % 4) + i % 2.
void Warpgroups::multiply(const Product& product, Sums& sums) {
  const WarpgroupCall& call = product.call;
  const Operand a = decoded(call.a, 64, "A"), b = decoded(call.b, call.columns, "B");
  float of_b[kDepth][256], row_of_b[kDepth], of_a[kDepth];
  for (int n = 0; n < call.columns; ++n) {
    read_row(b, n, row_of_b, call.pc);
    for (int k = 0; k < kDepth; ++k) of_b[k][n] = row_of_b[k];
  }
  for (int row = 0; row < 16; ++row) {
    read_row(a, static_cast<int>(call.warp % kWarps) * 16 + row, of_a, call.pc);
    float totals[256] = {};
    for (int k = 0; k < kDepth; ++k) {
      for (int n = 0; n < call.columns; ++n) totals[n] += of_a[k] * of_b[k][n];
    }
    for (int n = 0; n < call.columns; ++n) {
      const int lane = row % 8 * 4 + n % 8 / 2, i = n / 8 * 4 + row / 8 * 2 + n % 2;
      sums.values[static_cast<size_t>(lane * sums.each + i)] += totals[n];
    }
  }
}

}  // namespace simt
