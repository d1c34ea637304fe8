// SPDX-License-Identifier: Apache-2.0
#include "models/row_function.h"

#include <algorithm>
#include <string>

#include "engine/transfer.h"
#include "kernels/base/error.h"

namespace hourglass {

RowFunction::RowFunction(Runtime& runtime, int in, int out, const std::function<Var(Tape&, const Var&)>& function)
    : in_(in),
      out_(out),
      input_(runtime.ctx(), sizeof(float) * kBatch * static_cast<size_t>(in), "input of a batch"),
      tape_(runtime.ctx(), runtime.arena()),
      graph_(runtime, [this, function] {
        tape_.rewind(Mode::kEvaluate);
        Var x;
        x.data = input_.data();
        x.shape = {kBatch, in_};
        result_ = function(tape_, x);
      }) {}

Matrix RowFunction::operator()(const char* name, const Matrix& x) {
  if (x.cols != in_ || static_cast<int64_t>(x.values.size()) != x.rows * x.cols) {
    throw Error(Exit::kUsage, std::string(name) + ": expects rows of " + std::to_string(in_) + " values, given " +
                                  std::to_string(x.rows) + " rows of " + std::to_string(x.cols));
  }
  Matrix y(x.rows, out_);
  for (int64_t first = 0; first < x.rows; first += kBatch) {
    const int64_t rows = std::min<int64_t>(kBatch, x.rows - first);
    // Rows are independent, so what the rest of the batch holds does not matter.
    to_device(tape_.ctx(), input_.data(), x.row(first), sizeof(float) * static_cast<size_t>(rows * in_));
    graph_.run();
    to_host(tape_.ctx(), y.row(first), result_.data, sizeof(float) * static_cast<size_t>(rows * out_));
  }
  return y;
}

}  // namespace hourglass
