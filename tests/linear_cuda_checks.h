// SPDX-License-Identifier: Apache-2.0
// Runs linear layers on the device, by our own kernels or by the library, and their double reference.
#pragma once

#include "tests/cuda_harness.h"
#include "tests/linear_checks.h"

namespace hourglass::test {

inline std::vector<LinearShape> own_cases() {
  return affordable(kLinearCases, kMostProducts, [](const LinearShape& s) { return x_size(s) * s.K; });
}

struct Truth {
  std::vector<double> y, dx, dw, db;
};

/// The double reference; its backward reads `y`, so that both forms are on the same side of a kink.
template <class T>
std::vector<double> forward(const LinearShape& s, const Inputs<T>& in) {
  std::vector<double> y(static_cast<size_t>(y_size(s)));
  cpu::linear_forward<double>({}, s, converted<double>(in.x).data(), converted<double>(in.w).data(),
                              in.b.empty() ? nullptr : converted<double>(in.b).data(), y.data());
  return y;
}
template <class T>
Truth backward(const LinearShape& s, const Inputs<T>& in, const std::vector<T>& y) {
  const auto sized = [](int64_t n) { return std::vector<double>(static_cast<size_t>(n)); };
  Truth t{sized(y_size(s)), sized(x_size(s)), sized(w_size(s)), sized(s.K)};
  std::vector<double> scratch = sized(y_size(s));
  cpu::linear_backward<double>({}, s, converted<double>(in.x).data(), converted<double>(in.w).data(),
                               converted<double>(y).data(), converted<double>(in.dy).data(), scratch.data(),
                               Grad<double>{t.dx.data()}, Grad<double>{t.dw.data()}, Grad<double>{t.db.data()});
  return t;
}

/// By our own kernels; `library`: by what the machine has.
template <class T>
std::vector<T> forward_on_cuda(const LinearShape& s, const Inputs<T>& in, int offset = 0, bool library = false,
                               Math math = Math::kFp32) {
  return on_cuda(
      [&](const Context& ctx) {
        const DeviceArray<T> x(in.x, offset), w(in.w, offset), b(in.b, offset);
        DeviceArray<T> y(y_size(s), offset);
        Context chosen = ctx;
        chosen.own_gemm = !library;
        chosen.math = math;
        cuda::linear_forward<T>(chosen, s, x.data(), w.data(), in.b.empty() ? nullptr : b.data(), y.data());
        return y.values();
      },
      name_of(s));
}

}  // namespace hourglass::test
