// SPDX-License-Identifier: Apache-2.0
#include "engine/io/host_array.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace hourglass {
namespace {

/// Calls f(value) with each element, read without alignment assumptions.
template <class T, class F>
void for_each_element(const HostArray& array, F&& f) {
  const int64_t count = array.count();
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, array.data.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    f(value);
  }
}

/// IEEE 754 binary16: value = (-1)^s * 2^(e-15) * (1 + m/1024); e = 0 is subnormal, e = 31 is Inf or NaN.
float half_to_float(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  float magnitude;
  if (exponent == 31) {
    magnitude = mantissa ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return half & 0x8000 ? -magnitude : magnitude;
}

template <class F>
void visit(const HostArray& array, F&& f) {
  switch (array.type) {
    case ElementType::kBool:
    case ElementType::kU8:
      return for_each_element<uint8_t>(array, f);
    case ElementType::kI8:
      return for_each_element<int8_t>(array, f);
    case ElementType::kU16:
      return for_each_element<uint16_t>(array, f);
    case ElementType::kI16:
      return for_each_element<int16_t>(array, f);
    case ElementType::kU32:
      return for_each_element<uint32_t>(array, f);
    case ElementType::kI32:
      return for_each_element<int32_t>(array, f);
    case ElementType::kU64:
      return for_each_element<uint64_t>(array, f);
    case ElementType::kI64:
      return for_each_element<int64_t>(array, f);
    case ElementType::kF32:
      return for_each_element<float>(array, f);
    case ElementType::kF64:
      return for_each_element<double>(array, f);
    case ElementType::kF16:
      return for_each_element<uint16_t>(array, [&](uint16_t half) { f(half_to_float(half)); });
    case ElementType::kBF16:
      return for_each_element<uint16_t>(array, [&](uint16_t high) { f(std::bit_cast<float>(uint32_t{high} << 16)); });
  }
}

}  // namespace

size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::kBool:
    case ElementType::kU8:
    case ElementType::kI8:
      return 1;
    case ElementType::kU16:
    case ElementType::kI16:
    case ElementType::kF16:
    case ElementType::kBF16:
      return 2;
    case ElementType::kU32:
    case ElementType::kI32:
    case ElementType::kF32:
      return 4;
    case ElementType::kU64:
    case ElementType::kI64:
    case ElementType::kF64:
      return 8;
  }
  throw Error(Exit::kInternal, "element type out of range");
}

const char* element_name(ElementType type) {
  static constexpr const char* kNames[] = {"bool", "u8",  "i8",  "u16", "i16", "f16", "bf16",
                                           "u32",  "i32", "f32", "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

int64_t checked_array_bytes(std::span<const int64_t> shape, ElementType type) {
  int64_t bytes = static_cast<int64_t>(element_bytes(type));
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return -1;
  }
  return bytes;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::vector<float> to_float(const HostArray& array) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(array.count()));
  visit(array, [&](auto value) { values.push_back(static_cast<float>(value)); });
  return values;
}

std::vector<int64_t> to_int64(const HostArray& array, const std::string& what) {
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(array.count()));
  visit(array, [&](auto value) {
    if constexpr (std::is_floating_point_v<decltype(value)>) {
      throw Error(Exit::kData, what + ": expected integers, the array holds " + element_name(array.type));
    } else {
      if (std::is_same_v<decltype(value), uint64_t> && static_cast<int64_t>(value) < 0) {
        throw Error(Exit::kData, what + ": integer " + std::to_string(value) + " is out of range");
      }
      values.push_back(static_cast<int64_t>(value));
    }
  });
  return values;
}

}  // namespace hourglass
