// SPDX-License-Identifier: Apache-2.0
// mov, its packing and unpacking forms, and cvt.
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {
namespace {

void move(const Instruction& i, Lanes& lanes) {
  const Column& a = lanes.column(i.in[0]);
  Column& d = lanes.column(i.out[0]);
  lanes.each([&](int l) { d[static_cast<size_t>(l)] = a[static_cast<size_t>(l)]; });
}

uint64_t low_bits(uint64_t value, size_t bits) { return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1); }

/// d = {a, b, ...}, the first in the lowest bits.
void pack(const Instruction& i, Lanes& lanes) {
  const size_t bits = 8 * bytes_of(i.type) / i.in.size();
  lanes.each([&](int l) {
    uint64_t packed = 0;
    for (size_t k = 0; k < i.in.size(); ++k)
      packed |= low_bits(get<uint64_t>(lanes.column(i.in[k]), l), bits) << k * bits;
    set(lanes.column(i.out[0]), l, packed);
  });
}

void unpack(const Instruction& i, Lanes& lanes) {
  const size_t bits = 8 * bytes_of(i.type) / i.out.size();
  lanes.each([&](int l) {
    const uint64_t packed = get<uint64_t>(lanes.column(i.in[0]), l);
    for (size_t k = 0; k < i.out.size(); ++k) set(lanes.column(i.out[k]), l, low_bits(packed >> k * bits, bits));
  });
}

// ---------------------------------------------------------------- conversions

enum Rounding : uint8_t { kNearest, kTowardsZero, kDown, kUp, kNoIntegerRounding };

template <class T>
T to_whole(T x, uint8_t how) {
  switch (how) {
    case kNearest:
      return std::nearbyint(x);
    case kTowardsZero:
      return std::trunc(x);
    case kDown:
      return std::floor(x);
    case kUp:
      return std::ceil(x);
    default:
      return x;
  }
}

/// Out of range: the nearest integer that there is. NaN: 0.
template <class To, class From>
To saturated(From whole) {
  if (std::isnan(whole)) return 0;
  constexpr To kLeast = std::numeric_limits<To>::min(), kMost = std::numeric_limits<To>::max();
  const auto beyond = static_cast<From>(std::ldexp(1.0, std::numeric_limits<To>::digits));
  if (whole >= beyond) return kMost;
  if (whole < static_cast<From>(kLeast)) return kLeast;
  return static_cast<To>(whole);
}

template <class To, class From>
To converted(From x, uint8_t how) {
  if constexpr (!std::is_floating_point_v<From>) {
    return static_cast<To>(x);
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(to_whole(x, how));
  } else {
    return saturated<To>(to_whole(x, how));
  }
}

template <class To>
struct ConvertTo {
  template <class From>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column& a = lanes.column(i.in[0]);
    Column& d = lanes.column(i.out[0]);
    lanes.each([&](int l) { set(d, l, converted<To>(get<From>(a, l), i.mode)); });
  }
  template <class From>
  static Execute of() {
    return &run<From>;
  }
};

/// for_type of the result, then of what is converted.
struct Conversion {
  template <class To>
  static Execute of(Type from) {
    return for_type<ConvertTo<To>>(from);
  }
};

/// To nearest, ties to even; a NaN becomes the one that the instruction gives.
uint16_t rounded_to_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return 0x7FFF;
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

void to_bf16(const Instruction& i, Lanes& lanes) {
  lanes.each([&](int l) { set(lanes.column(i.out[0]), l, rounded_to_bf16(get<float>(lanes.column(i.in[0]), l))); });
}
void to_two_bf16(const Instruction& i, Lanes& lanes) {  // the first source goes into the upper half
  lanes.each([&](int l) {
    const uint32_t upper = rounded_to_bf16(get<float>(lanes.column(i.in[0]), l));
    set(lanes.column(i.out[0]), l, upper << 16 | rounded_to_bf16(get<float>(lanes.column(i.in[1]), l)));
  });
}
void from_bf16(const Instruction& i, Lanes& lanes) {
  lanes.each([&](int l) {
    set(lanes.column(i.out[0]), l, static_cast<uint32_t>(get<uint16_t>(lanes.column(i.in[0]), l)) << 16);
  });
}
/// To nearest, ties away from zero.
void to_tf32(const Instruction& i, Lanes& lanes) {
  lanes.each([&](int l) {
    const float x = get<float>(lanes.column(i.in[0]), l);
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t result = std::isnan(x) ? 0x7FFFFFFFu : std::isinf(x) ? bits : (bits + 0x1000u) & ~0x1FFFu;
    set(lanes.column(i.out[0]), l, result);
  });
}

void decode_convert(Mnemonic& m, const Arguments& arguments, Instruction& instruction) {
  instruction.type = m.take_type();
  instruction.from = m.take_type();
  const bool two = instruction.type == Type::kBf16x2;
  take_operands(arguments, two ? 3 : 2, instruction);
  instruction.mode = kNoIntegerRounding;
  if (instruction.from == Type::kBf16) {
    if (instruction.type == Type::kF32) instruction.execute = &from_bf16;
  } else if (instruction.type == Type::kBf16 || two) {
    if (m.take("rn") && instruction.from == Type::kF32) instruction.execute = two ? &to_two_bf16 : &to_bf16;
  } else if (instruction.type == Type::kTf32) {
    if (m.take("rna") && instruction.from == Type::kF32) instruction.execute = &to_tf32;
  } else {
    instruction.mode = static_cast<uint8_t>(m.choose({"rni", "rzi", "rmi", "rpi"}, kNoIntegerRounding));
    m.ignore({"rn", "ftz"});
    instruction.execute = for_type<Conversion>(instruction.type, instruction.from);
  }
  if (!instruction.execute) throw Unsupported("this conversion");
}

}  // namespace

bool decode_conversion(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction) {
  if (mnemonic.opcode() == "cvt") return decode_convert(mnemonic, arguments, instruction), true;
  if (mnemonic.opcode() != "mov") return false;
  expect_arguments(arguments, 2, 2);
  instruction.type = mnemonic.take_type();
  instruction.out = arguments[0].columns;
  instruction.in = arguments[1].columns;
  instruction.execute = arguments[0].vector ? &unpack : arguments[1].vector ? &pack : &move;
  return true;
}

}  // namespace simt::ptx
