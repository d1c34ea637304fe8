// SPDX-License-Identifier: Apache-2.0
// setp: comparisons, ordered and unordered, and their combination with another predicate.
#include <cmath>
#include <type_traits>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {
namespace {

enum Combination : uint8_t { kAlone, kAnd, kOr, kXor };

bool combined(uint8_t how, bool result, bool other) {
  return how == kAnd ? result && other : how == kOr ? result || other : how == kXor ? result != other : result;
}

template <class T>
bool is_nan([[maybe_unused]] T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isnan(x);
  else
    return false;
}

struct Equal {
  template <class T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
/// Unequal numbers: false for a NaN, unlike C++.
struct NotEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b || a > b;
  }
};
struct Less {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct Greater {
  template <class T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct IsNan {
  template <class T>
  bool operator()(T a, T b) const {
    return is_nan(a) || is_nan(b);
  }
};
struct AreNumbers {
  template <class T>
  bool operator()(T a, T b) const {
    return !is_nan(a) && !is_nan(b);
  }
};
/// True for a NaN too.
template <class F>
struct Unordered {
  template <class T>
  bool operator()(T a, T b) const {
    return is_nan(a) || is_nan(b) || F{}(a, b);
  }
};

template <class F>
struct Comparison {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column &a = lanes.column(i.in[0]), &b = lanes.column(i.in[1]);
    Column& d = lanes.column(i.out[0]);
    if (i.mode == kAlone && i.out.size() == 1) {
      return lanes.each([&](int l) { set<uint8_t>(d, l, F{}(get<T>(a, l), get<T>(b, l))); });
    }
    lanes.each([&](int l) {
      const bool result = F{}(get<T>(a, l), get<T>(b, l));
      const bool other = i.mode != kAlone && get<uint8_t>(lanes.column(i.in[2]), l);
      set<uint8_t>(d, l, combined(i.mode, result, other));
      if (i.out.size() > 1) set<uint8_t>(lanes.column(i.out[1]), l, combined(i.mode, !result, other));
    });
  }
  template <class T>
  static Execute of() {
    return &run<T>;
  }
};

struct Test {
  std::string_view modifier;
  Execute (*of)(Type);
};
constexpr Test kTests[] = {
    {"eq", for_type<Comparison<Equal>>},
    {"ne", for_type<Comparison<NotEqual>>},
    {"lt", for_type<Comparison<Less>>},
    {"lo", for_type<Comparison<Less>>},
    {"le", for_type<Comparison<LessEqual>>},
    {"ls", for_type<Comparison<LessEqual>>},
    {"gt", for_type<Comparison<Greater>>},
    {"hi", for_type<Comparison<Greater>>},
    {"ge", for_type<Comparison<GreaterEqual>>},
    {"hs", for_type<Comparison<GreaterEqual>>},
    {"equ", for_type<Comparison<Unordered<Equal>>>},
    {"neu", for_type<Comparison<Unordered<NotEqual>>>},
    {"ltu", for_type<Comparison<Unordered<Less>>>},
    {"leu", for_type<Comparison<Unordered<LessEqual>>>},
    {"gtu", for_type<Comparison<Unordered<Greater>>>},
    {"geu", for_type<Comparison<Unordered<GreaterEqual>>>},
    {"nan", for_type<Comparison<IsNan>>},
    {"num", for_type<Comparison<AreNumbers>>},
};

}  // namespace

bool decode_comparison(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction) {
  if (mnemonic.opcode() != "setp") return false;
  instruction.type = mnemonic.take_type();
  instruction.mode = static_cast<uint8_t>(1 + mnemonic.choose({"and", "or", "xor"}));
  for (const Test& test : kTests) {
    if (!instruction.execute && mnemonic.take(test.modifier)) instruction.execute = test.of(instruction.type);
  }
  const size_t count = instruction.mode == kAlone ? 3 : 4;
  expect_arguments(arguments, count, count);
  if (!instruction.execute) throw Unsupported("this comparison");
  instruction.out = {arguments[0].columns[0]};
  if (arguments[0].second >= 0) instruction.out.push_back(arguments[0].second);
  for (size_t i = 1; i < count; ++i) instruction.in.push_back(arguments[i].columns[0]);
  return true;
}

}  // namespace simt::ptx
