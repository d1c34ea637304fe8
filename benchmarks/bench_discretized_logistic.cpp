// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/discretized_logistic.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  DiscretizedLogisticShape s = kDiscretizedLogisticCases.front();
  s.N = 128;
  const int64_t n = int64_t{s.N} * s.D;
  add({"discretized_logistic_loss", "simd", extents({s.N, s.D, s.log_scale_count})},
      {.bytes = 12.0 * static_cast<double>(n)}, [=](const Context& ctx) {
        return [=, mu = values<float>(n, 1, 0, 1), x = values<float>(n, 2, 0, 1), dmu = values<float>(n, 3),
                log_scale = values<float>(s.log_scale_count, 4, -4, -2),
                slope = values<float>(s.log_scale_count)]() mutable {
          float value = 0;
          cpu::discretized_logistic_loss(ctx, s, mu.data(), x.data(), log_scale.data(), {}, Grad<float>{&value},
                                         Grad<float>{dmu.data()}, Grad<float>{slope.data()});
        };
      });
  add_threads({"discretized_logistic_loss", "reference", extents({s.N, s.D, s.log_scale_count})},
              {.bytes = 12.0 * static_cast<double>(n)}, 1, [=](const Context& ctx) {
                return [=, mu = values<float>(n, 1, 0, 1), x = values<float>(n, 2, 0, 1), dmu = values<float>(n, 3),
                        log_scale = values<float>(s.log_scale_count, 4, -4, -2),
                        slope = values<float>(s.log_scale_count)]() mutable {
                  float value = 0;
                  cpu::discretized_logistic_loss<float>(ctx, s, mu.data(), x.data(), log_scale.data(), {},
                                                        Grad<float>{&value}, Grad<float>{dmu.data()},
                                                        Grad<float>{slope.data()});
                };
              });
  return run(argc, argv);
}
