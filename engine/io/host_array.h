// SPDX-License-Identifier: Apache-2.0
// An array as files hold it: element type, shape, bytes in row-major (C) order, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/base/error.h"

namespace hourglass {

/// Element types of NPY, IDX and safetensors files. Wider than Dtype, which is what kernels compute with.
enum class ElementType : uint8_t { kBool, kU8, kI8, kU16, kI16, kF16, kBF16, kU32, kI32, kF32, kU64, kI64, kF64 };

/// Bytes of one element: 1, 2, 4 or 8.
size_t element_bytes(ElementType type);
/// "u8", "f32", ...: for messages.
const char* element_name(ElementType type);

/// ElementType of a C++ type: float -> kF32.
template <class T>
constexpr ElementType element_type_of() {
  if constexpr (std::is_same_v<T, bool>) return ElementType::kBool;
  if constexpr (std::is_same_v<T, uint8_t>) return ElementType::kU8;
  if constexpr (std::is_same_v<T, int8_t>) return ElementType::kI8;
  if constexpr (std::is_same_v<T, uint16_t>) return ElementType::kU16;
  if constexpr (std::is_same_v<T, int16_t>) return ElementType::kI16;
  if constexpr (std::is_same_v<T, uint32_t>) return ElementType::kU32;
  if constexpr (std::is_same_v<T, int32_t>) return ElementType::kI32;
  if constexpr (std::is_same_v<T, float>) return ElementType::kF32;
  if constexpr (std::is_same_v<T, uint64_t>) return ElementType::kU64;
  if constexpr (std::is_same_v<T, int64_t>) return ElementType::kI64;
  if constexpr (std::is_same_v<T, double>) return ElementType::kF64;
}

/// Bytes of an array; -1 when an extent is negative or the product does not fit 63 bits. `shape` {} is a scalar.
int64_t checked_array_bytes(std::span<const int64_t> shape, ElementType type);

/// "(2, 3)", "(5,)", "()": for messages, spelt as Python does.
std::string shape_text(std::span<const int64_t> shape);

struct HostArray {
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  std::vector<uint8_t> data;  ///< element_bytes(type) * product(shape) bytes

  int64_t count() const { return static_cast<int64_t>(data.size() / element_bytes(type)); }

  /// The elements; T must be the array's own type, else Exit::kInternal.
  template <class T>
  std::span<const T> as() const {
    if (element_type_of<T>() != type) {
      throw Error(Exit::kInternal, std::string("array of ") + element_name(type) + " read as another type");
    }
    return {reinterpret_cast<const T*>(data.data()), static_cast<size_t>(count())};
  }
};

/// Every element converted by value, whatever the type (u8 255 -> 255.0f; f64 rounds to nearest).
std::vector<float> to_float(const HostArray& array);

/// Every element as an integer. A float array, or a value beyond int64, is Exit::kData naming `what`.
std::vector<int64_t> to_int64(const HostArray& array, const std::string& what);

}  // namespace hourglass
