// SPDX-License-Identifier: Apache-2.0
// What the tests of both forms of group_norm share.
#pragma once

#include <vector>

#include "kernels/group_norm.h"
#include "tests/harness.h"

namespace hourglass::test {

template <class T>
struct GroupNormInputs {
  explicit GroupNormInputs(const GroupNormShape& s)
      : size(int64_t{s.N} * s.pixels * s.C),
        groups(s.pixels == 0 || s.C == 0 ? 0 : int64_t{s.N} * s.G),
        x(random_values<T>(size, 1)),
        gamma(random_values<T>(s.C, 2, 0.5, 1.5)),
        beta(random_values<T>(s.C, 3)),
        dy(random_values<T>(size, 4)) {}
  int64_t size, groups;
  std::vector<T> x, gamma, beta, dy;
};

/// The reference in double, on the same values.
struct GroupNormTruth {
  template <class T>
  GroupNormTruth(const GroupNormShape& s, const GroupNormInputs<T>& in, bool affine)
      : y(in.x.size()),
        mean(static_cast<size_t>(in.groups)),
        rstd(mean.size()),
        dx(in.x.size()),
        dgamma(in.gamma.size()),
        dbeta(in.gamma.size()) {
    const std::vector<double> x(in.x.begin(), in.x.end()), gamma(in.gamma.begin(), in.gamma.end());
    const std::vector<double> beta(in.beta.begin(), in.beta.end()), dy(in.dy.begin(), in.dy.end());
    const double *g = affine ? gamma.data() : nullptr, *b = affine ? beta.data() : nullptr;
    std::vector<double> scratch(group_norm_scratch_bytes(s, 1));
    cpu::group_norm_forward<double>({}, s, x.data(), g, b, y.data(), mean.data(), rstd.data());
    cpu::group_norm_backward<double>({}, s, x.data(), g, mean.data(), rstd.data(), dy.data(), scratch.data(),
                                     {dx.data()}, {dgamma.data()}, {dbeta.data()});
  }
  std::vector<double> y, mean, rstd, dx, dgamma, dbeta;
};

inline std::string describe(const GroupNormShape& s) { return describe("group_norm", {s.N, s.pixels, s.C, s.G}); }

}  // namespace hourglass::test
