// SPDX-License-Identifier: Apache-2.0
// Shapes, and the value type of the tape.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/base/bf16.h"
#include "kernels/base/types.h"

namespace hourglass {

/// Bytes of one element.
size_t size_of(Dtype dtype);
const char* name_of(Dtype dtype);
/// The Dtype of a C++ type.
template <class T>
inline constexpr Dtype dtype_of = std::is_same_v<T, double>    ? Dtype::kF64
                                  : std::is_same_v<T, float>   ? Dtype::kF32
                                  : std::is_same_v<T, bf16>    ? Dtype::kBF16
                                  : std::is_same_v<T, int32_t> ? Dtype::kI32
                                                               : Dtype::kU8;
/// That of losses, statistics and parameter gradients of tensors of `dtype`: acc_t of kernels/base/types.h.
constexpr Dtype accumulator_of(Dtype dtype) { return dtype == Dtype::kF64 ? Dtype::kF64 : Dtype::kF32; }

/// Extents of a tensor: rank 0 to 4, row-major, last index fastest. Images are (N, H, W, C). Throws Error(kUsage) for
/// an extent outside int32 or more than 2^48 elements.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);

  int rank() const { return rank_; }
  int operator[](int i) const { return extent_[static_cast<size_t>(i)]; }
  int64_t elements() const;
  /// Elements of one row: the product of all extents but the first.
  int64_t row_elements() const { return rank_ == 0 ? 1 : (extent_[0] == 0 ? row() : elements() / extent_[0]); }
  bool operator==(const Shape&) const = default;

 private:
  int64_t row() const;
  std::array<int32_t, 4> extent_{1, 1, 1, 1};
  int rank_ = 0;
};

/// The extents as a list, for files.
std::vector<int64_t> extents(const Shape& shape);
/// "(128, 28, 28, 1)", for messages.
std::string to_string(const Shape& shape);

/// Which parameter groups a value depends on, one bit a group. Data and detached values have none.
using Groups = uint32_t;
inline constexpr Groups kAllGroups = ~Groups{0};

struct Leaf;

/// A tensor on the tape: where its data lie and where its gradient goes. Owns nothing; pass it by value.
struct Var {
  void* data = nullptr;
  Leaf* leaf = nullptr;     ///< gradient of a parameter: in a slab, across steps
  int32_t node = -1;        ///< gradient of an activation: on the tape, until the rewind
  uint32_t generation = 0;  ///< the rewind it belongs to; 0: not of the arena
  Groups groups = 0;
  Shape shape;
  Dtype dtype = Dtype::kF32;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  explicit operator bool() const { return data != nullptr; }
};

}  // namespace hourglass
