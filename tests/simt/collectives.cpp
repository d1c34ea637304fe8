// SPDX-License-Identifier: Apache-2.0
// What each warp collective computes, by the definitions of the CUDA C++ Programming Guide, "Warp Shuffle Functions",
// "Warp Vote Functions", "Warp Match Functions" and "Warp Reduce Functions".
#include <algorithm>
#include <cstring>

#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"

namespace simt {
namespace {

template <class F>
void for_each_lane(uint32_t members, F f) {
  for (; members != 0; members &= members - 1) f(__builtin_ctz(members));
}

uint32_t word(const Warp& warp, int lane) {
  uint32_t value;
  std::memcpy(&value, warp.lanes[lane]->value, sizeof value);
  return value;
}

void give_all(Warp& warp, uint32_t members, uint32_t value) {
  for_each_lane(members, [&](int lane) { std::memcpy(warp.lanes[lane]->value, &value, sizeof value); });
}

/// The lane that `lane` reads; its own where the source would lie outside the segment.
int shuffle_source(const Collective& c, int lane) {
  const int first = lane & ~(c.width - 1), last = first + c.width - 1;
  int source = lane;
  switch (c.operation) {
    case Operation::kShuffleIndex:
      source = first + (c.argument & (c.width - 1));
      break;
    case Operation::kShuffleUp:
      source = lane - c.argument;
      break;
    case Operation::kShuffleDown:
      source = lane + c.argument;
      break;
    default:
      source = lane ^ c.argument;
      return source > last ? lane : source;  // a lower segment may be read
  }
  return source < first || source > last ? lane : source;
}

void shuffle(Warp& warp, uint32_t members, uint8_t poison) {
  alignas(16) unsigned char before[kWarpLanes][16];
  for_each_lane(members,
                [&](int lane) { std::memcpy(before[lane], warp.lanes[lane]->value, warp.lanes[lane]->bytes); });
  for_each_lane(members, [&](int lane) {
    const Collective& c = *warp.lanes[lane];
    const int source = shuffle_source(c, lane);
    if (members >> source & 1u) {
      std::memcpy(c.value, before[source], c.bytes);
      return;
    }
    std::memset(c.value, poison, c.bytes);  // undefined on the device
    report("shuffle-source", describe(c.site) + ": lane " + std::to_string(lane) + " reads lane " +
                                 std::to_string(source) + ", which has exited or is not in the mask");
  });
}

void vote(Warp& warp, uint32_t members, Operation operation) {
  uint32_t ballot = 0;
  for_each_lane(members, [&](int lane) { ballot |= static_cast<uint32_t>(word(warp, lane) != 0) << lane; });
  if (operation == Operation::kAny) ballot = ballot != 0;
  if (operation == Operation::kAll) ballot = ballot == members;
  give_all(warp, members, ballot);
}

void match(Warp& warp, uint32_t members) {
  uint64_t values[kWarpLanes] = {};
  for_each_lane(members, [&](int lane) { std::memcpy(&values[lane], warp.lanes[lane]->value, sizeof(uint64_t)); });
  for_each_lane(members, [&](int lane) {
    uint64_t equal = 0;
    for_each_lane(members, [&](int other) { equal |= static_cast<uint64_t>(values[other] == values[lane]) << other; });
    std::memcpy(warp.lanes[lane]->value, &equal, sizeof equal);
  });
}

uint32_t combine(Operation operation, uint32_t a, uint32_t b) {
  const auto signed_a = static_cast<int32_t>(a), signed_b = static_cast<int32_t>(b);
  switch (operation) {
    case Operation::kAddUnsigned:
    case Operation::kAddSigned:
      return a + b;
    case Operation::kMinUnsigned:
      return std::min(a, b);
    case Operation::kMaxUnsigned:
      return std::max(a, b);
    case Operation::kMinSigned:
      return static_cast<uint32_t>(std::min(signed_a, signed_b));
    case Operation::kMaxSigned:
      return static_cast<uint32_t>(std::max(signed_a, signed_b));
    case Operation::kAnd:
      return a & b;
    case Operation::kOr:
      return a | b;
    default:
      return a ^ b;
  }
}

void reduce(Warp& warp, uint32_t members, Operation operation) {
  const int first = __builtin_ctz(members);
  uint32_t total = word(warp, first);
  for_each_lane(members & (members - 1), [&](int lane) { total = combine(operation, total, word(warp, lane)); });
  give_all(warp, members, total);
}

}  // namespace

void compute_collective(Warp& warp, uint32_t members, uint8_t poison) {
  const Operation operation = warp.lanes[__builtin_ctz(members)]->operation;
  switch (operation) {
    case Operation::kSync:
      return;
    case Operation::kShuffleIndex:
    case Operation::kShuffleUp:
    case Operation::kShuffleDown:
    case Operation::kShuffleXor:
      return shuffle(warp, members, poison);
    case Operation::kBallot:
    case Operation::kAny:
    case Operation::kAll:
      return vote(warp, members, operation);
    case Operation::kMatchAny:
      return match(warp, members);
    case Operation::kMultiplyBf16:
    case Operation::kMultiplyTf32:
    case Operation::kLoadMatrices:
    case Operation::kLoadMatricesTransposed:
      return compute_matrices(warp, members, operation);
    default:
      return reduce(warp, members, operation);
  }
}

}  // namespace simt
