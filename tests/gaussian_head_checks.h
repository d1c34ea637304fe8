// SPDX-License-Identifier: Apache-2.0
// The definition of gaussian_head in double: the two ops that it stands for, by their references.
#pragma once

#include <string>
#include <vector>

#include "tests/cases/gaussian_head.h"
#include "tests/harness.h"

namespace hourglass::test {

inline std::string name_of(const GaussianHeadShape& s) { return describe("gaussian_head", {s.N, s.C, s.D, s.draws}); }

template <class T>
struct HeadInputs {
  explicit HeadInputs(const GaussianHeadShape& s)
      : x(random_values<T>(int64_t{s.N} * s.C, 1)),
        w(random_values<T>(int64_t{s.C} * 2 * s.D, 2)),
        b(random_values<T>(2 * s.D, 3)),
        dz(random_values<T>(int64_t{s.N} * s.draws * s.D, 4)) {
    // Log-variances stay small: what is compared is the op, not the growth of rounding under an exponential.
    for (T& value : w) value = static_cast<T>(static_cast<float>(value) / std::sqrt(1.0f + static_cast<float>(s.C)));
  }
  template <class From>
  HeadInputs(const GaussianHeadShape&, const HeadInputs<From>& in)
      : x(converted<T>(in.x)), w(converted<T>(in.w)), b(converted<T>(in.b)), dz(converted<T>(in.dz)) {}
  std::vector<T> x, w, b, dz;
};

inline Noise head_noise(const GaussianHeadShape& s) {
  Noise noise;
  noise.seed = 5;
  noise.stream = stream_id("test");
  noise.first_row = 3;
  noise.draws = s.draws;
  return noise;
}

struct HeadTruth {
  std::vector<double> head, z, kl, value, dx, dw, db;
};

/// `head`, if given, is what backward reads in place of its own.
inline HeadTruth head_truth(const GaussianHeadShape& s, const HeadInputs<double>& in, double weight,
                            bool with_dz = true, const std::vector<double>* other_head = nullptr) {
  const auto sized = [](int64_t n) { return std::vector<double>(static_cast<size_t>(n)); };
  HeadTruth t{sized(int64_t{s.N} * 2 * s.D), sized(int64_t{s.N} * s.draws * s.D), sized(s.N),    sized(1),
              sized(int64_t{s.N} * s.C),     sized(int64_t{s.C} * 2 * s.D),       sized(2 * s.D)};
  const Noise noise = head_noise(s);
  cpu::linear_forward<double>({}, s.layer(), in.x.data(), in.w.data(), in.b.data(), t.head.data());
  cpu::gaussian_latent_forward<double>({}, s.latent(), t.head.data(), t.head.data() + s.D, noise, t.z.data(),
                                       t.kl.data());
  const std::vector<double> head = other_head ? *other_head : t.head;
  std::vector<double> dhead = sized(int64_t{s.N} * 2 * s.D);
  cpu::gaussian_latent_backward<double>({}, s.latent(), head.data(), head.data() + s.D, noise,
                                        with_dz ? in.dz.data() : nullptr, Weight{weight}, t.kl.data(), {t.value.data()},
                                        {dhead.data()}, {dhead.data() + s.D});
  cpu::linear_backward<double>({}, s.layer(), in.x.data(), in.w.data(), head.data(), dhead.data(), nullptr,
                               {t.dx.data()}, {t.dw.data()}, {t.db.data()});
  return t;
}

}  // namespace hourglass::test
