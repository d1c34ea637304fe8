// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/row_loss.h"
#include "kernels/squared_error.h"
#include "tests/cases/squared_error.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  add_row_loss("squared_error", test::kSquaredErrorCases, 5, BENCH_OP(squared_error_forward),
               BENCH_OP(squared_error_backward), BENCH_OP(squared_error_loss));
  return run(argc, argv);
}
