// SPDX-License-Identifier: Apache-2.0
// Inputs of the Gaussian latent families: mu and logvar in one buffer, side by side in each row where the stride has
// room for both (the head of an encoder), one after the other otherwise.
#pragma once

#include "kernels/reparameterize.h"
#include "tests/harness.h"

namespace hourglass::test {

/// Layout of the buffer that holds mu and logvar, or their gradients.
struct Head {
  int64_t N, D, stride, logvar, size;  ///< logvar: offset of its first element

  Head(int N_, int D_, int stride_) : N(N_), D(D_), stride(stride_ ? stride_ : D_) {
    const bool side_by_side = stride >= 2 * D;
    logvar = side_by_side ? D : N * stride;
    size = N * stride * (side_by_side ? 1 : 2);
  }
  /// The (N, D) block that starts at `offset`, contiguous.
  template <class V>
  auto block(const V& values, int64_t offset) const {
    std::vector<std::remove_cvref_t<decltype(values[0])>> result;
    for (int64_t n = 0; n < N; ++n) {
      for (int64_t d = 0; d < D; ++d) result.push_back(values[static_cast<size_t>(offset + n * stride + d)]);
    }
    return result;
  }
};

template <class T>
struct LatentProblem {
  LatentShape s;
  Head head;
  Noise noise;
  std::vector<T> x, dz;  ///< mu and logvar; gradient of z

  explicit LatentProblem(LatentShape shape, double spread = 2) : s(shape), head(s.N, s.D, s.stride) {
    noise.seed = 7;
    noise.stream = stream_id("test/latent");
    noise.first_row = 3;
    noise.draws = s.draws;
    x = random_values<T>(head.size, 1, -spread, spread);
    dz = random_values<T>(z_size(), 2);
  }
  int64_t z_size() const { return int64_t{s.N} * s.draws * s.D; }
  const T* mu() const { return x.data(); }
  const T* logvar() const { return x.data() + head.logvar; }
  Grad<T> dmu(Grad<T> dx) const { return dx; }
  Grad<T> dlogvar(Grad<T> dx) const { return {dx ? dx.data + head.logvar : nullptr, dx.mode}; }
  std::string name(const char* op) const { return describe(op, {s.N, s.D, s.draws, s.stride}); }
};

}  // namespace hourglass::test
