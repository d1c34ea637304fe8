// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "kernels/cast.h"
#include "tests/cases/cast.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class From, class To>
void check_cast(const CastShape& s) {
  const auto x = random_values<From>(s.n, 1);
  std::vector<To> y(x.size(), To(0.0f));
  cpu::cast(test_context(), s, x.data(), Grad<To>{y.data()});
  for (size_t i = 0; i < x.size(); ++i) {
    const auto narrow = static_cast<float>(x[i]);
    const double want = std::is_same_v<To, bf16>    ? static_cast<double>(static_cast<float>(bf16(narrow)))
                        : std::is_same_v<To, float> ? static_cast<double>(narrow)
                                                    : static_cast<double>(x[i]);
    ASSERT_EQ(static_cast<double>(y[i]), want) << i;
  }
}

TEST(cast, rounds_each_element_once) {
  for (const CastShape& s : kCastCases) {
    check_cast<float, bf16>(s);
    check_cast<bf16, float>(s);
    check_cast<float, double>(s);
    check_cast<double, float>(s);
  }
}

TEST(cast, adds_and_skips) {
  const float x[] = {1.5f, -2};
  double y[] = {1, 2};
  cpu::cast(test_context(), {2}, x, Grad<double>{y, Write::kAdd});
  EXPECT_EQ(y[0], 2.5);
  EXPECT_EQ(y[1], 0);
  cpu::cast(test_context(), {2}, x, Grad<double>{});
  bf16 sum[] = {bf16(256.0f)};
  const float small[] = {1.5f};
  cpu::cast(test_context(), {1}, small, Grad<bf16>{sum, Write::kAdd});
  EXPECT_EQ(static_cast<float>(sum[0]), 258) << "257.5, rounded once";
}

TEST(cast, refuses_a_negative_count) {
  expect_error([] { cpu::cast<float, double>(test_context(), {-1}, nullptr, {}); }, Exit::kUsage,
               {"cast", "n >= 0", "-1"});
}

}  // namespace
}  // namespace hourglass::test
