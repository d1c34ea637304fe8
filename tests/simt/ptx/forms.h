// SPDX-License-Identifier: Apache-2.0
// Instructions that apply one function to each lane by itself: F{}(a, b, ...) for operands of the C++ type T.
#pragma once

#include <string_view>
#include <type_traits>
#include <unordered_map>

#include "tests/simt/ptx/decode.h"
#include "tests/simt/ptx/lanes.h"

namespace simt::ptx {

template <class T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;
template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && sizeof(T) > 1;  // a byte is a predicate

/// Integers wrap around: their sums and products are those of the unsigned type, of at least 32 bits.
template <class T>
using Wrapping = std::make_unsigned_t<std::common_type_t<T, int>>;

template <class F>
struct Unary {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column& a = lanes.column(i.in[0]);
    Column& d = lanes.column(i.out[0]);
    lanes.each([&](int l) { set(d, l, F{}(get<T>(a, l))); });
  }
  template <class T>
  static Execute of() {
    if constexpr (std::is_invocable_v<F, T>) return &run<T>;
    return nullptr;
  }
};

template <class F>
struct Binary {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column &a = lanes.column(i.in[0]), &b = lanes.column(i.in[1]);
    Column& d = lanes.column(i.out[0]);
    lanes.each([&](int l) { set(d, l, F{}(get<T>(a, l), get<T>(b, l))); });
  }
  template <class T>
  static Execute of() {
    if constexpr (std::is_invocable_v<F, T, T>) return &run<T>;
    return nullptr;
  }
};

template <class F>
struct Ternary {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column &a = lanes.column(i.in[0]), &b = lanes.column(i.in[1]), &c = lanes.column(i.in[2]);
    Column& d = lanes.column(i.out[0]);
    using Third = typename F::template Third<T>;
    lanes.each([&](int l) { set(d, l, F{}(get<T>(a, l), get<T>(b, l), get<Third>(c, l))); });
  }
  template <class T>
  static Execute of() {
    if constexpr (std::is_invocable_v<F, T, T, T>) return &run<T>;
    return nullptr;
  }
};

/// The second operand is a number of bits, of 32 bits whatever the type.
template <class F>
struct Shift {
  template <class T>
  static void run(const Instruction& i, Lanes& lanes) {
    const Column &a = lanes.column(i.in[0]), &b = lanes.column(i.in[1]);
    Column& d = lanes.column(i.out[0]);
    lanes.each([&](int l) { set(d, l, F{}(get<T>(a, l), get<uint32_t>(b, l))); });
  }
  template <class T>
  static Execute of() {
    if constexpr (kIsInteger<T>) return &run<T>;
    return nullptr;
  }
};

// ---------------------------------------------------------------- decoding

/// The number of arguments of an opcode, and how its modifiers choose the function.
struct LanewiseOpcode {
  size_t arguments;
  Execute (*choose)(Mnemonic&, Type);
};
using LanewiseOpcodes = std::unordered_map<std::string_view, LanewiseOpcode>;

/// True if the opcode is one of them.
inline bool decode_lanewise(const LanewiseOpcodes& opcodes, Mnemonic& mnemonic, const Arguments& arguments,
                            Instruction& instruction) {
  const auto found = opcodes.find(mnemonic.opcode());
  if (found == opcodes.end()) return false;
  instruction.type = mnemonic.take_type();
  instruction.execute = found->second.choose(mnemonic, instruction.type);
  if (!instruction.execute) throw Unsupported("this type or form");
  take_operands(arguments, found->second.arguments, instruction);
  return true;
}

template <class Form>
Execute plain(Mnemonic&, Type type) {
  return for_type<Form>(type);
}

}  // namespace simt::ptx
