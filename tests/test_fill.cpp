// SPDX-License-Identifier: Apache-2.0
#include "kernels/fill.h"
#include "tests/cases/fill.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
void check_all_cases() {
  const double scalar = -1.5;
  for (const FillShape& s : kFillCases) {
    Guarded<T> y(s.n);
    cpu::fill(test_context(), s, Weight{2}, y.data());
    expect_close(y, std::vector<T>(static_cast<size_t>(s.n), T(2)), exact());
    cpu::fill(test_context(), s, Weight{2, &scalar}, y.data());
    expect_close(y, std::vector<T>(static_cast<size_t>(s.n), T(-3)), exact());
  }
}

TEST(fill, writes_the_weight_everywhere) {
  check_all_cases<float>();
  check_all_cases<double>();
}

TEST(fill, refuses_a_negative_count) {
  expect_error([] { cpu::fill<float>(test_context(), {-1}, Weight{}, nullptr); }, Exit::kUsage,
               {"fill", "n >= 0", "-1"});
}

}  // namespace
}  // namespace hourglass::test
