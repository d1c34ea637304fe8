// SPDX-License-Identifier: Apache-2.0
// What the lanes of a warp do together: shuffles, votes, matches, reductions; and the votes of a block's barrier. The
// interpreter runs them for all members of the mask at once.
#include <algorithm>
#include <string>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {
namespace {

// ---------------------------------------------------------------- shuffles

enum Shuffle : uint8_t { kIndex, kUp, kDown, kButterfly };

struct Source {
  int lane;
  bool inside;  ///< of the segment; else the lane keeps its own value
};

/// c: the clamp in bits 0 to 4, the segment mask in bits 8 to 12.
Source source_of(uint8_t mode, int lane, int b, int c) {
  const int clamp = c & 31, segment = c >> 8 & 31;
  const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
  int source = 0;
  switch (mode) {
    case kIndex:
      source = first | (b & 31 & ~segment);
      break;
    case kUp:
      source = lane - (b & 31);
      return source >= last ? Source{source, true} : Source{lane, false};
    case kDown:
      source = lane + (b & 31);
      break;
    default:
      source = lane ^ (b & 31);
  }
  return source <= last ? Source{source, true} : Source{lane, false};
}

void shuffle(const Instruction& i, Lanes& lanes) {
  const Column values = lanes.column(i.in[0]);  // a copy: the destination may be the source
  lanes.each([&](int l) {
    const auto [source, inside] = source_of(i.mode, l, static_cast<int>(get<uint32_t>(lanes.column(i.in[1]), l)),
                                            static_cast<int>(get<uint32_t>(lanes.column(i.in[2]), l)));
    if (!(lanes.active >> source & 1u)) {
      throw Fault("a shuffle: lane " + std::to_string(l) + " reads lane " + std::to_string(source) +
                  ", which does not take part");
    }
    if (i.out.size() > 1) set<uint8_t>(lanes.column(i.out[1]), l, inside);
    set(lanes.column(i.out[0]), l, get<uint32_t>(values, source));
  });
}

// ---------------------------------------------------------------- votes, matches, reductions

enum Ballot : uint8_t { kBallot, kAny, kAll };

void vote(const Instruction& i, Lanes& lanes) {
  uint32_t yes = 0;
  lanes.each([&](int l) { yes |= (get<uint8_t>(lanes.column(i.in[0]), l) ? 1u : 0u) << l; });
  const uint32_t result = i.mode == kBallot ? yes : i.mode == kAny ? yes != 0 : yes == lanes.active;
  lanes.each([&](int l) { set(lanes.column(i.out[0]), l, result); });
}

struct Match {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column values = lanes.column(i.in[0]);
    lanes.each([&](int l) {
      uint32_t same = 0;
      lanes.each([&](int k) { same |= (get<T>(values, k) == get<T>(values, l) ? 1u : 0u) << k; });
      set(lanes.column(i.out[0]), l, same);
    });
  }
  template <class T>
  static Execute of() {
    return &run<T>;
  }
};

enum Reduction : uint8_t { kAdd, kMin, kMax, kAnd, kOr, kXor };

struct Reduce {
  template <class T>
  static T combined(uint8_t mode, T a, T b) {
    switch (mode) {
      case kMin:
        return std::min(a, b);
      case kMax:
        return std::max(a, b);
      case kAnd:
        return static_cast<T>(a & b);
      case kOr:
        return static_cast<T>(a | b);
      case kXor:
        return static_cast<T>(a ^ b);
      default:
        return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    }
  }
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column& values = lanes.column(i.in[0]);
    T result = get<T>(values, __builtin_ctz(lanes.active));
    Lanes others = lanes;
    others.active &= lanes.active - 1;
    others.each([&](int l) { result = combined(i.mode, result, get<T>(values, l)); });
    lanes.each([&](int l) { set(lanes.column(i.out[0]), l, result); });
  }
  template <class T>
  static Execute of() {
    if constexpr (std::is_integral_v<T> && sizeof(T) == 4) return &run<T>;
    return nullptr;
  }
};

// ---------------------------------------------------------------- decoding

void decode_barrier(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  m.ignore({"cta", "aligned"});
  if (m.take("warp")) {
    m.ignore({"sync"});
    expect_arguments(arguments, 1, 1);
    instruction.flow = Flow::kConverge;
    instruction.in = arguments[0].columns;
    return;
  }
  instruction.flow = Flow::kBarrier;
  const bool reduces = m.take("red");
  if (!reduces && !m.take("sync")) throw Unsupported("a barrier that does not wait");
  instruction.mode = static_cast<uint8_t>(m.choose({"popc", "and", "or"}, 3));
  instruction.type = m.take_type();
  const size_t barrier = reduces ? 1 : 0;
  expect_arguments(arguments, reduces ? 3 : 1, reduces ? 3 : 1);
  if (arguments[barrier].immediate != 0) throw Unsupported("a barrier other than 0");
  if (!reduces) return;
  instruction.out = arguments[0].columns;
  instruction.in = arguments[2].columns;
}

}  // namespace

bool decode_collective(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  const std::string_view opcode = m.opcode();
  if (opcode == "bar" || opcode == "barrier") return decode_barrier(m, arguments, instruction), true;
  const bool shuffles = opcode == "shfl", votes = opcode == "vote", matches = opcode == "match";
  if (!shuffles && !votes && !matches && opcode != "redux") return false;
  if (!m.take("sync")) throw Unsupported("without .sync");
  const int mode = shuffles  ? m.choose({"idx", "up", "down", "bfly"})
                   : votes   ? m.choose({"ballot", "any", "all"})
                   : matches ? m.choose({"any"})
                             : m.choose({"add", "min", "max", "and", "or", "xor"});
  instruction.type = m.take_type();
  instruction.mode = static_cast<uint8_t>(mode);
  instruction.flow = Flow::kConverge;
  const size_t count = shuffles ? 5 : 3;
  expect_arguments(arguments, count, count);
  instruction.out = {arguments[0].columns[0]};
  if (arguments[0].second >= 0) instruction.out.push_back(arguments[0].second);
  for (size_t k = 1; k < count; ++k) instruction.in.push_back(arguments[k].columns[0]);
  instruction.execute = shuffles  ? &shuffle
                        : votes   ? &vote
                        : matches ? for_type<Match>(instruction.type)
                                  : for_type<Reduce>(instruction.type);
  if (mode < 0 || !instruction.execute) throw Unsupported("this form");
  return true;
}

}  // namespace simt::ptx
