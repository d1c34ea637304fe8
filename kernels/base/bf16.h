// SPDX-License-Identifier: Apache-2.0
// bfloat16 as a storage type: the upper half of a float (8 exponent bits, 8 bits of precision). Arithmetic happens in
// float: a bf16 converts to float by itself and from float only by name, `static_cast<bf16>(x)`, which rounds to the
// nearest, ties to even. NaN becomes the one NaN 0x7FFF that NVIDIA's conversion instruction gives.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/base/types.h"

namespace hourglass {

struct bf16 {
  uint16_t bits;

  bf16() = default;
  HOURGLASS_HD explicit constexpr bf16(float value) : bits(rounded(std::bit_cast<uint32_t>(value))) {}
  HOURGLASS_HD constexpr operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

  HOURGLASS_HD static constexpr bf16 from_bits(uint16_t bits) {
    bf16 value(0.0f);
    value.bits = bits;
    return value;
  }

 private:
  HOURGLASS_HD static constexpr uint16_t rounded(uint32_t u) {
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
    return static_cast<uint16_t>((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
  }
};
static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16>);

/// write() of types.h for bf16: the sum is rounded once.
template <class V>
HOURGLASS_HD inline void write(bf16& destination, V value, Write mode) {
  const float sum = static_cast<float>(value) + (mode == Write::kAdd ? static_cast<float>(destination) : 0.0f);
  destination = bf16(sum);
}

}  // namespace hourglass
