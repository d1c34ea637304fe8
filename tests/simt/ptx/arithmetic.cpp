// SPDX-License-Identifier: Apache-2.0
// Integer and floating-point arithmetic.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tests/simt/ptx/forms.h"

namespace simt::ptx {
namespace {

// ---------------------------------------------------------------- sums and products

struct Add {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return a + b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};
/// Rounded towards zero: the sum to nearest, and one step back where its error says that it went outwards.
struct AddTowardsZero {
  float operator()(float a, float b) const {
    const float sum = a + b, of_b = sum - a;
    const float error = (a - (sum - of_b)) + (b - of_b);
    return error != 0 && (error < 0) == (sum > 0) ? std::nextafter(sum, 0.0f) : sum;
  }
};
struct Subtract {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return a - b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
  }
};
struct Multiply {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return a * b;
    else
      return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};

template <class T>
struct WiderOf;
template <>
struct WiderOf<int16_t> {
  using type = int32_t;
};
template <>
struct WiderOf<uint16_t> {
  using type = uint32_t;
};
template <>
struct WiderOf<int32_t> {
  using type = int64_t;
};
template <>
struct WiderOf<uint32_t> {
  using type = uint64_t;
};
__extension__ typedef __int128 Signed128;
__extension__ typedef unsigned __int128 Unsigned128;
template <>
struct WiderOf<int64_t> {
  using type = Signed128;
};
template <>
struct WiderOf<uint64_t> {
  using type = Unsigned128;
};
template <class T>
using Wider = typename WiderOf<T>::type;
template <class T>
constexpr bool kCanWiden = kIsInteger<T> && sizeof(T) < 8;

struct MultiplyWide {
  template <class T>
  requires kCanWiden<T> Wider<T>
  operator()(T a, T b) const { return static_cast<Wider<T>>(static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b)); }
};
struct MultiplyHigh {
  template <class T>
  requires kIsInteger<T> T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b) >> 8 * sizeof(T));
  }
};
struct MultiplyAdd {
  template <class T>
  using Third = T;
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b, T c) const {
    if constexpr (kIsFloat<T>)
      return std::fma(a, b, c);
    else
      return Add{}(Multiply{}(a, b), c);
  }
};
template <class T, bool = kCanWiden<T>>
struct ThirdOfWide {
  using type = T;
};
template <class T>
struct ThirdOfWide<T, true> {
  using type = Wider<T>;
};
struct MultiplyAddWide {
  template <class T>
  using Third = typename ThirdOfWide<T>::type;
  template <class T, class C>
  requires kCanWiden<T> Wider<T>
  operator()(T a, T b, C c) const { return Add{}(MultiplyWide{}(a, b), static_cast<Wider<T>>(c)); }
};
/// By zero, and of the least number by -1, the hardware promises nothing; the kernel must not be stopped by it.
template <class T>
bool divides(T a, T b) {
  return b != 0 && !(std::is_signed_v<T> && a == std::numeric_limits<T>::min() && b == static_cast<T>(-1));
}
struct Divide {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return a / b;
    else
      return divides(a, b) ? static_cast<T>(a / b) : static_cast<T>(-1);
  }
};
struct Remainder {
  template <class T>
  requires kIsInteger<T> T operator()(T a, T b) const { return divides(a, b) ? static_cast<T>(a % b) : T{0}; }
};
struct Negate {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a) const {
    if constexpr (kIsFloat<T>)
      return -a;
    else
      return Subtract{}(T{0}, a);
  }
};
struct Absolute {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a) const {
    if constexpr (kIsFloat<T>)
      return std::fabs(a);
    else
      return a < 0 ? Negate{}(a) : a;
  }
};
/// Of a number and a NaN, the number.
struct Minimum {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return std::fmin(a, b);
    else
      return std::min(a, b);
  }
};
struct Maximum {
  template <class T>
  requires(kIsFloat<T> || kIsInteger<T>) T operator()(T a, T b) const {
    if constexpr (kIsFloat<T>)
      return std::fmax(a, b);
    else
      return std::max(a, b);
  }
};

// ---------------------------------------------------------------- functions

template <auto kFunction>
struct FloatFunction {
  float operator()(float a) const { return kFunction(a); }
  double operator()(double a) const { return kFunction(a); }
};
constexpr auto kSquareRoot = [](auto a) { return std::sqrt(a); };
constexpr auto kReciprocal = [](auto a) { return 1 / a; };
constexpr auto kReciprocalRoot = [](auto a) { return 1 / std::sqrt(a); };
constexpr auto kExp2 = [](auto a) { return std::exp2(a); };
constexpr auto kLog2 = [](auto a) { return std::log2(a); };
constexpr auto kSine = [](auto a) { return std::sin(a); };
constexpr auto kCosine = [](auto a) { return std::cos(a); };
constexpr auto kTanh = [](auto a) { return std::tanh(a); };

// ---------------------------------------------------------------- decoding

/// Single precision is rounded to nearest; approximations are exact here, so tolerances have to allow for them.
template <class Form>
Execute rounded(Mnemonic& m, Type type) {
  m.ignore({"rn", "approx", "full", "ftz"});
  return for_type<Form>(type);
}
Execute addition(Mnemonic& m, Type type) {
  if (m.take("rz")) return type == Type::kF32 ? &Binary<AddTowardsZero>::run<float> : nullptr;
  return rounded<Binary<Add>>(m, type);
}
Execute multiplication(Mnemonic& m, Type type) {
  if (m.take("wide")) return for_type<Binary<MultiplyWide>>(type);
  if (m.take("hi")) return for_type<Binary<MultiplyHigh>>(type);
  m.ignore({"lo"});
  return rounded<Binary<Multiply>>(m, type);
}
Execute multiply_add(Mnemonic& m, Type type) {
  if (m.take("wide")) return for_type<Ternary<MultiplyAddWide>>(type);
  m.ignore({"lo"});
  return rounded<Ternary<MultiplyAdd>>(m, type);
}
const LanewiseOpcodes& opcodes() {
  static const LanewiseOpcodes table = {
      {"add", {3, addition}},
      {"sub", {3, rounded<Binary<Subtract>>}},
      {"mul", {3, multiplication}},
      {"mad", {4, multiply_add}},
      {"fma", {4, multiply_add}},
      {"div", {3, rounded<Binary<Divide>>}},
      {"rem", {3, plain<Binary<Remainder>>}},
      {"neg", {2, rounded<Unary<Negate>>}},
      {"abs", {2, rounded<Unary<Absolute>>}},
      {"min", {3, plain<Binary<Minimum>>}},
      {"max", {3, plain<Binary<Maximum>>}},
      {"sqrt", {2, rounded<Unary<FloatFunction<kSquareRoot>>>}},
      {"rcp", {2, rounded<Unary<FloatFunction<kReciprocal>>>}},
      {"rsqrt", {2, rounded<Unary<FloatFunction<kReciprocalRoot>>>}},
      {"ex2", {2, rounded<Unary<FloatFunction<kExp2>>>}},
      {"lg2", {2, rounded<Unary<FloatFunction<kLog2>>>}},
      {"sin", {2, rounded<Unary<FloatFunction<kSine>>>}},
      {"cos", {2, rounded<Unary<FloatFunction<kCosine>>>}},
      {"tanh", {2, rounded<Unary<FloatFunction<kTanh>>>}},
  };
  return table;
}

}  // namespace

bool decode_arithmetic(Mnemonic& mnemonic, const Arguments& arguments, Instruction& instruction) {
  return decode_lanewise(opcodes(), mnemonic, arguments, instruction);
}

}  // namespace simt::ptx
