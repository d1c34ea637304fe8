// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/row_loss.h"
#include "kernels/bernoulli_nll.h"
#include "tests/cases/bernoulli_nll.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  add_row_loss("bernoulli_nll", test::kBernoulliNllCases, 50, BENCH_OP(bernoulli_nll_forward),
               BENCH_OP(bernoulli_nll_backward), BENCH_OP(bernoulli_nll_loss));
  return run(argc, argv);
}
