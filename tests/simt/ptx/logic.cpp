// SPDX-License-Identifier: Apache-2.0
// Logic, shifts, and what counts and moves bits.
#include <bit>
#include <concepts>

#include "tests/simt/ptx/forms.h"

namespace simt::ptx {
namespace {

struct And {
  template <class T>
  requires std::is_unsigned_v<T> T operator()(T a, T b) const { return static_cast<T>(a & b); }
};
struct Or {
  template <class T>
  requires std::is_unsigned_v<T> T operator()(T a, T b) const { return static_cast<T>(a | b); }
};
struct ExclusiveOr {
  template <class T>
  requires std::is_unsigned_v<T> T operator()(T a, T b) const { return static_cast<T>(a ^ b); }
};
struct Not {
  template <class T>
  requires std::is_unsigned_v<T> T operator()(T a) const { return sizeof(T) == 1 ? a == 0 : static_cast<T>(~a); }
};
struct ShiftLeft {
  template <class T>
  T operator()(T a, uint32_t bits) const {
    return bits >= 8 * sizeof(T) ? T{0} : static_cast<T>(static_cast<Wrapping<T>>(a) << bits);
  }
};
struct ShiftRight {
  template <class T>
  T operator()(T a, uint32_t bits) const {
    const uint32_t most = 8 * sizeof(T);
    if (bits >= most) return std::is_signed_v<T> && a < 0 ? static_cast<T>(-1) : T{0};
    return static_cast<T>(a >> bits);
  }
};
struct CountBits {
  uint32_t operator()(uint32_t a) const { return static_cast<uint32_t>(std::popcount(a)); }
  uint32_t operator()(uint64_t a) const { return static_cast<uint32_t>(std::popcount(a)); }
};
struct LeadingZeros {
  uint32_t operator()(uint32_t a) const { return static_cast<uint32_t>(std::countl_zero(a)); }
  uint32_t operator()(uint64_t a) const { return static_cast<uint32_t>(std::countl_zero(a)); }
};
/// Distance of the highest bit from the top (shiftamt), or all ones.
struct FindHighest {
  template <std::same_as<uint32_t> T>
  T operator()(T a) const {
    return a ? static_cast<uint32_t>(std::countl_zero(a)) : ~0u;
  }
};
struct ReverseBits {
  template <std::same_as<uint32_t> T>
  T operator()(T a) const {
    uint32_t reversed = 0;
    for (int i = 0; i < 32; ++i) reversed |= (a >> i & 1u) << (31 - i);
    return reversed;
  }
};
/// Bytes of {b, a}, chosen by the four nibbles of c; bit 3 of a nibble spreads the byte's sign.
struct PermuteBytes {
  template <class>
  using Third = uint32_t;
  template <std::same_as<uint32_t> T>
  T operator()(T a, T b, uint32_t c) const {
    const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; ++i) {
      const uint32_t choice = c >> 4 * i & 15u;
      uint32_t byte = static_cast<uint32_t>(bytes >> 8 * (choice & 7u)) & 255u;
      if (choice & 8u) byte = byte & 128u ? 255u : 0u;
      result |= byte << 8 * i;
    }
    return result;
  }
};
struct FunnelLeft {  // the high word of {b, a} << c
  template <class>
  using Third = uint32_t;
  template <std::same_as<uint32_t> T>
  T operator()(T a, T b, uint32_t c) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(b) << 32 | a) << (c & 31u) >> 32);
  }
};
struct FunnelRight {  // the low word of {b, a} >> c
  template <class>
  using Third = uint32_t;
  template <std::same_as<uint32_t> T>
  T operator()(T a, T b, uint32_t c) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(b) << 32 | a) >> (c & 31u));
  }
};
/// selp: a where the predicate c holds, else b.
struct Select {
  template <class>
  using Third = uint8_t;
  template <class T>
  T operator()(T a, T b, uint8_t c) const {
    return c ? a : b;
  }
};

// ---------------------------------------------------------------- decoding

Execute find_highest(Mnemonic& m, Type type) {
  return m.take("shiftamt") ? for_type<Unary<FindHighest>>(type) : nullptr;
}
Execute funnel(Mnemonic& m, Type type) {
  const bool left = m.take("l");
  if (!left && !m.take("r")) return nullptr;
  if (!m.take("wrap")) return nullptr;
  return left ? for_type<Ternary<FunnelLeft>>(type) : for_type<Ternary<FunnelRight>>(type);
}

const LanewiseOpcodes& opcodes() {
  static const LanewiseOpcodes table = {
      {"and", {3, plain<Binary<And>>}},
      {"or", {3, plain<Binary<Or>>}},
      {"xor", {3, plain<Binary<ExclusiveOr>>}},
      {"not", {2, plain<Unary<Not>>}},
      {"shl", {3, plain<Shift<ShiftLeft>>}},
      {"shr", {3, plain<Shift<ShiftRight>>}},
      {"shf", {4, funnel}},
      {"popc", {2, plain<Unary<CountBits>>}},
      {"clz", {2, plain<Unary<LeadingZeros>>}},
      {"brev", {2, plain<Unary<ReverseBits>>}},
      {"bfind", {2, find_highest}},
      {"prmt", {4, plain<Ternary<PermuteBytes>>}},
      {"selp", {4, plain<Ternary<Select>>}},
  };
  return table;
}

}  // namespace

bool decode_logic(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction) {
  return decode_lanewise(opcodes(), mnemonic, arguments, instruction);
}

}  // namespace simt::ptx
