// SPDX-License-Identifier: Apache-2.0
// What the tests of both forms of batch_norm share.
#pragma once

#include <vector>

#include "kernels/batch_norm.h"
#include "tests/harness.h"

namespace hourglass::test {

template <class T>
struct BatchNormInputs {
  explicit BatchNormInputs(const BatchNormShape& s)
      : size(s.rows * s.C),
        x(random_values<T>(size, 1)),
        gamma(random_values<T>(s.C, 2, 0.5, 1.5)),
        beta(random_values<T>(s.C, 3)),
        dy(random_values<T>(size, 4)) {}
  int64_t size;
  std::vector<T> x, gamma, beta, dy;
};

/// The reference in double, on the same values. `inferred` takes the batch's moments for the running ones.
struct BatchNormTruth {
  template <class T>
  BatchNormTruth(const BatchNormShape& s, const BatchNormInputs<T>& in, bool affine)
      : y(in.x.size()),
        inferred(y),
        mean(s.rows ? in.gamma.size() : 0),
        rstd(mean),
        moments(3 * in.gamma.size()),
        dx(y),
        dgamma(in.gamma.size()),
        dbeta(dgamma) {
    const std::vector<double> x(in.x.begin(), in.x.end()), gamma(in.gamma.begin(), in.gamma.end());
    const std::vector<double> beta(in.beta.begin(), in.beta.end()), dy(in.dy.begin(), in.dy.end());
    const double *g = affine ? gamma.data() : nullptr, *b = affine ? beta.data() : nullptr;
    cpu::batch_norm_forward<double>({}, s, x.data(), g, b, nullptr, y.data(), mean.data(), rstd.data(),
                                    {moments.data()});
    cpu::batch_norm_backward<double>({}, s, x.data(), g, mean.data(), rstd.data(), dy.data(), nullptr, {dx.data()},
                                     {dgamma.data()}, {dbeta.data()});
    cpu::batch_norm_inference<double>({}, s, x.data(), g, b, moments.data(), moments.data() + s.C, inferred.data());
  }
  std::vector<double> y, inferred, mean, rstd, moments, dx, dgamma, dbeta;
};

inline std::string describe(const BatchNormShape& s) { return describe("batch_norm", {s.rows, s.C}); }

}  // namespace hourglass::test
