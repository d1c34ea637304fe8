// SPDX-License-Identifier: Apache-2.0
#include "kernels/discretized_logistic.h"
#include "tests/cases/discretized_logistic.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using S = DiscretizedLogisticShape;

template <class T>
std::vector<double> wide(const std::vector<T>& values) {
  return std::vector<double>(values.begin(), values.end());
}

template <class T>
void check(const S& s) {
  const int64_t size = int64_t{s.N} * s.D;
  const auto mu = random_values<T>(size, 1, -0.1, 1.1);
  const auto log_scale = random_values<float>(s.log_scale_count, 3, -4, 0);
  const auto dnll = random_values<float>(s.N, 4);
  const auto levels = random_integers<float>(size / s.draws, 2, 0, 255);
  std::vector<T> x;
  for (float level : levels) x.push_back(static_cast<T>(level / 255.0f));
  std::vector<double> nll(dnll.size()), dmu(mu.size()), dlog_scale(log_scale.size());
  cpu::discretized_logistic_forward<double>({}, s, wide(mu).data(), wide(x).data(), wide(log_scale).data(), nll.data());
  cpu::discretized_logistic_backward<double>({}, s, wide(mu).data(), wide(x).data(), wide(log_scale).data(),
                                             wide(dnll).data(), {dmu.data()}, {dlog_scale.data()});
  const DeviceArray<T> device_mu(mu), device_x(x);
  const DeviceArray<float> device_log_scale(log_scale);
  const DeviceArray<float> device_dnll(dnll);
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<float> out(s.N);
    cuda::discretized_logistic_forward<T>(ctx, s, device_mu.data(), device_x.data(), device_log_scale.data(),
                                          out.data());
    return out.values();
  });
  const Tolerance of_sums{4e-6, 0.1}, of_dmu = std::is_same_v<T, bf16> ? Tolerance{8e-3, 0.1} : of_sums;
  expect_close(got, nll, of_sums, "nll");
  const auto backward = [&](const Context& ctx, Grad<T> g, Grad<float> h) {
    cuda::discretized_logistic_backward<T>(ctx, s, device_mu.data(), device_x.data(), device_log_scale.data(),
                                           device_dnll.data(), g, h);
  };
  expect_close(expect_set_and_add_on_cuda<T>(size, [&](const Context& ctx, Grad<T> g) { backward(ctx, g, {}); }), dmu,
               of_dmu, "dmu");
  expect_close(expect_set_and_add_on_cuda<float>(s.log_scale_count,
                                                 [&](const Context& ctx, Grad<float> g) { backward(ctx, {}, g); }),
               dlog_scale, of_sums, "dlog_scale");
  if (s.N == 0) return;
  std::vector<double> value(1);
  cpu::discretized_logistic_loss<double>({}, s, wide(mu).data(), wide(x).data(), wide(log_scale).data(), {1.5},
                                         {value.data()}, {dmu.data()}, {dlog_scale.data()});
  const DeviceArray<double> scheduled(std::vector<double>{0.5});
  const auto [mean, fused_dmu, fused_slope] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(1), c(s.log_scale_count);
    DeviceArray<T> b(size);
    cuda::discretized_logistic_loss<T>(ctx, s, device_mu.data(), device_x.data(), device_log_scale.data(),
                                       {3, scheduled.data()}, {a.data()}, {b.data()}, {c.data()});
    return std::tuple(a.values(), b.values(), c.values());
  });
  expect_close(mean, value, of_sums, "value");
  expect_close(fused_dmu, dmu, of_dmu, "fused dmu");
  expect_close(fused_slope, dlog_scale, of_sums, "fused dlog_scale");
}

using DiscretizedLogisticCuda = CudaTest;

TEST_F(DiscretizedLogisticCuda, MeetsTheReference) {
  for (S s : kDiscretizedLogisticCases) {
    if (s.D == 3072) s.D = 768;
    SCOPED_TRACE(describe("discretized_logistic", {s.N, s.D, s.draws, s.log_scale_count}));
    check<float>(s);
    check<bf16>(s);
  }
}

TEST_F(DiscretizedLogisticCuda, Refusals) {
  expect_error(
      [] {
        cuda::discretized_logistic_forward<float>(cuda_context(), {5, 7, 1, 3}, nullptr, nullptr, nullptr, nullptr);
      },
      Exit::kUsage, {"discretized_logistic", "got 3"});
}

}  // namespace
}  // namespace hourglass::test
