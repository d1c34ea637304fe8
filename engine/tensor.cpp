// SPDX-License-Identifier: Apache-2.0
#include "engine/tensor.h"

#include <algorithm>
#include <limits>

#include "kernels/base/error.h"

namespace hourglass {
namespace {
constexpr int64_t kMostElements = int64_t{1} << 48;  // so that bytes, and sums of a few tensors, never overflow
}

size_t size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return 8;
    case Dtype::kF32:
    case Dtype::kI32:
      return 4;
    case Dtype::kBF16:
      return 2;
    case Dtype::kU8:
      return 1;
  }
  return 0;
}

const char* name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF64:
      return "f64";
    case Dtype::kF32:
      return "f32";
    case Dtype::kI32:
      return "i32";
    case Dtype::kBF16:
      return "bf16";
    case Dtype::kU8:
      return "u8";
  }
  return "?";
}

Shape::Shape(std::initializer_list<int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  if (extents.size() > 4) throw Error(Exit::kUsage, "shape: rank is at most 4, given " + std::to_string(rank_));
  size_t i = 0;
  for (int64_t extent : extents) {
    if (extent < 0 || extent > std::numeric_limits<int32_t>::max()) {
      throw Error(Exit::kUsage, "shape: an extent lies in 0 .. 2147483647, given " + std::to_string(extent));
    }
    extent_[i++] = static_cast<int32_t>(extent);
  }
  int64_t elements = 1;
  for (int64_t extent : extents) {
    if (extent != 0 && elements > kMostElements / extent) {
      throw Error(Exit::kUsage, "shape: at most 2^48 elements, given " + to_string(*this));
    }
    elements *= std::max<int64_t>(extent, 1);
  }
}

int64_t Shape::elements() const {
  int64_t n = 1;
  for (int i = 0; i < rank_; ++i) n *= (*this)[i];
  return n;
}

int64_t Shape::row() const {
  int64_t n = 1;
  for (int i = 1; i < rank_; ++i) n *= (*this)[i];
  return n;
}

std::vector<int64_t> extents(const Shape& shape) {
  std::vector<int64_t> list;
  for (int i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
  return list;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

}  // namespace hourglass
