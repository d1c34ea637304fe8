// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/ptx/profile.h"

#include <algorithm>

#include "tests/simt/shared_memory.h"

namespace simt::ptx {
namespace {

constexpr uint64_t kSector = 32, kBank = 4, kBanks = 32;

/// What the lanes want, by numbers of units of `unit` bytes: in order, each once.
struct Units {
  std::array<uint64_t, kLanes> numbers;
  size_t count = 0;

  Units(uint32_t lanes, const Addresses& addresses, uint64_t unit) {
    for (; lanes; lanes &= lanes - 1) {
      numbers[count++] = reinterpret_cast<uint64_t>(addresses[static_cast<size_t>(__builtin_ctz(lanes))]) / unit;
    }
    const auto end = numbers.begin() + static_cast<std::ptrdiff_t>(count);
    if (!std::is_sorted(numbers.begin(), end)) std::sort(numbers.begin(), end);
    count = static_cast<size_t>(std::unique(numbers.begin(), end) - numbers.begin());
  }
};

/// The wavefronts of lanes that are served together.
uint64_t wavefronts_of_group(uint32_t lanes, const Addresses& addresses, size_t bytes) {
  const uint64_t words = std::max(bytes, kBank) / kBank;
  const Units pieces(lanes, addresses, words * kBank);  // what a lane wants never crosses one
  std::array<uint64_t, kBanks> of_bank{};
  for (size_t i = 0; i < pieces.count; ++i) {
    for (uint64_t word = 0; word < words; ++word) ++of_bank[(pieces.numbers[i] * words + word) % kBanks];
  }
  return *std::max_element(of_bank.begin(), of_bank.end());
}

const char* name_of(Access access) {
  return access == Access::kAtomic ? "atomic" : access == Access::kStore ? "store" : "load";
}

/// "file:line", the innermost place first.
void write_places(std::ostream& out, const Kernel& kernel, int location) {
  for (const char* separator = ""; location >= 0; separator = "\t") {
    const Location& place = kernel.locations[static_cast<size_t>(location)];
    const auto file = kernel.files.find(place.file);
    out << separator << (file == kernel.files.end() ? "?" : file->second) << ':' << place.line;
    location = place.inlined_at;
  }
}

}  // namespace

Cost sectors_of(uint32_t lanes, const Addresses& addresses, size_t bytes) {
  const Units wanted(lanes, addresses, bytes), sectors(lanes, addresses, kSector);
  return {sectors.count, (wanted.count * bytes + kSector - 1) / kSector};
}

Cost wavefronts_of(uint32_t lanes, const Addresses& addresses, size_t bytes) {
  const size_t together = kBank * kBanks / std::max(bytes, kBank);
  Cost cost;
  for (size_t first = 0; first < kLanes; first += together) {
    const uint32_t group = lanes & static_cast<uint32_t>(((uint64_t{1} << together) - 1) << first);
    if (group == 0) continue;
    cost.taken += wavefronts_of_group(group, addresses, bytes);
    ++cost.least;
  }
  return cost;
}

void Profile::add(const Kernel& kernel, const Instruction& instruction, Space space, size_t bytes, uint32_t lanes,
                  const Addresses& addresses) {
  if (space != Space::kGlobal && space != Space::kShared) return;
  const auto count = static_cast<uint64_t>(__builtin_popcount(lanes));
  const Cost cost =
      space == Space::kGlobal ? sectors_of(lanes, addresses, bytes) : wavefronts_of(lanes, addresses, bytes);
  Traffic& traffic = traffic_[{&kernel, instruction.location, space, instruction.access, bytes}];
  ++traffic.executions;
  traffic.lanes += count;
  traffic.bytes += count * bytes;
  traffic.cost.taken += cost.taken;
  traffic.cost.least += cost.least;
}

void Profile::write(std::ostream& out) const {
  for (const auto& [key, traffic] : traffic_) {
    const auto& [kernel, location, space, access, bytes] = key;
    out << kernel->file << '\t' << demangled(kernel->symbol) << '\t' << (space == Space::kGlobal ? "global" : "shared")
        << '\t' << name_of(access) << '\t' << bytes << '\t' << traffic.executions << '\t' << traffic.lanes << '\t'
        << traffic.bytes << '\t' << traffic.cost.taken << '\t' << traffic.cost.least << '\t';
    write_places(out, *kernel, location);
    out << '\n';
  }
}

}  // namespace simt::ptx
