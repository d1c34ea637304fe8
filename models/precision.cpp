// SPDX-License-Identifier: Apache-2.0
#include "models/precision.h"

#include "kernels/base/error.h"

namespace hourglass {
namespace {

struct Row {
  Precision precision;
  const char *name, *meaning;
};
constexpr Row kRows[] = {
    {Precision::kFp32, "fp32", "float, multiplied in full"},
    {Precision::kTf32, "tf32", "float; matrix products and convolutions round their operands to 10 bits of mantissa"},
    {Precision::kBf16, "bf16",
     "activations and weights in bf16, sums, parameters, their gradients and losses in float"},
};

const Row& row_of(Precision precision) {
  for (const Row& row : kRows) {
    if (row.precision == precision) return row;
  }
  throw Error(Exit::kInternal, "precision: unknown");
}

}  // namespace

const char* name_of(Precision precision) { return row_of(precision).name; }

Precision parse_precision(const std::string& name) {
  std::string known;
  for (const Row& row : kRows) {
    if (name == row.name) return row.precision;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(Exit::kUsage, "--precision expects one of " + known + ", given " + name);
}

std::string describe(Precision precision) {
  const Row& row = row_of(precision);
  return std::string(row.name) + ": " + row.meaning;
}

void check_precision(Precision precision, const Context& ctx) {
  if (precision == Precision::kFp32 || ctx.device == Device::kCuda) return;
  throw Error(Exit::kUsage, std::string("--precision ") + name_of(precision) +
                                " expects a CUDA device, and this run is on the CPU, which computes in fp32");
}

}  // namespace hourglass
