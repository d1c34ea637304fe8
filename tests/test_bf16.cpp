// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/base/bf16.h"

namespace hourglass {
namespace {

TEST(Bf16, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const bf16 value = bf16::from_bits(static_cast<uint16_t>(bits));
    const float wide = value;
    EXPECT_EQ(std::bit_cast<uint32_t>(wide), bits << 16);
    EXPECT_TRUE(std::isnan(wide) || bf16(wide).bits == bits) << bits;
  }
}

/// Nearest by search among the two neighbours, in double: the definition.
TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t upper : {0x0000u, 0x0001u, 0x3F80u, 0x3F81u, 0x40A5u, 0x7F7Eu, 0xBF80u, 0xC123u}) {
    for (uint32_t lower : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      const auto value = std::bit_cast<float>(upper << 16 | lower);
      const double below = std::bit_cast<float>(upper << 16), above = std::bit_cast<float>((upper + 1) << 16);
      const double down = std::abs(value - below), up = std::abs(above - value);
      const uint32_t want = down < up || (down == up && upper % 2 == 0) ? upper : upper + 1;
      EXPECT_EQ(bf16(value).bits, want) << upper << " " << lower;
    }
  }
}

TEST(Bf16, OverflowsToInfinityAndKeepsNan) {
  EXPECT_EQ(bf16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_EQ(bf16(-std::numeric_limits<float>::infinity()).bits, 0xFF80);
  EXPECT_EQ(bf16(std::numeric_limits<float>::quiet_NaN()).bits, 0x7FFF);
  EXPECT_EQ(bf16(std::bit_cast<float>(0x7F800001u)).bits, 0x7FFF) << "must not become infinity";
}

TEST(Bf16, WriteRoundsTheSumOnce) {
  bf16 value(256.0f);
  write(value, 0.75f, Write::kAdd);  // a bf16 of 256 has steps of 2
  EXPECT_EQ(static_cast<float>(value), 256.0f);
  write(value, 1.5, Write::kAdd);
  EXPECT_EQ(static_cast<float>(value), 258.0f);
  write(value, 3.0f, Write::kSet);
  EXPECT_EQ(static_cast<float>(value), 3.0f);
}

}  // namespace
}  // namespace hourglass
