// SPDX-License-Identifier: Apache-2.0
#include "models/row_function.h"

#include <algorithm>
#include <string>

#include "engine/transfer.h"
#include "kernels/base/error.h"

namespace hourglass {

namespace {
constexpr size_t kElement = 4;
constexpr int kMostRows = 256;
constexpr int64_t kMostValues = int64_t{1} << 21;
}  // namespace

int rows_of_values(int most, int64_t values) {
  return static_cast<int>(std::clamp<int64_t>(kMostValues / std::max<int64_t>(values, 1), 1, most));
}

RowFunction::RowFunction(Runtime& runtime, int in, int out, const std::function<Var(Tape&, const Var&)>& function,
                         Dtype dtype)
    : in_(in),
      out_(out),
      batch_(rows_of_values(kMostRows, std::max(in, out))),
      input_(runtime.ctx(), kElement * static_cast<size_t>(batch_) * static_cast<size_t>(in), "input of a batch"),
      tape_(runtime.ctx(), runtime.arena()),
      graph_(runtime, [this, function, dtype] {
        tape_.rewind(Mode::kEvaluate);
        Var x;
        x.data = input_.data();
        x.shape = {batch_, in_};
        x.dtype = dtype;
        result_ = function(tape_, x);
      }) {}

Matrix RowFunction::operator()(const char* name, const Matrix& x) {
  if (x.cols != in_ || static_cast<int64_t>(x.values.size()) != x.rows * x.cols) {
    throw Error(Exit::kUsage, std::string(name) + ": expects rows of " + std::to_string(in_) + " values, given " +
                                  std::to_string(x.rows) + " rows of " + std::to_string(x.cols));
  }
  Matrix y(x.rows, out_);
  run(x.values.data(), x.rows, y.values.data());
  return y;
}

void RowFunction::run(const void* x, int64_t rows, void* y) {
  const size_t in = kElement * static_cast<size_t>(in_), out = kElement * static_cast<size_t>(out_);
  for (int64_t first = 0; first < rows; first += batch_) {
    const size_t count = static_cast<size_t>(std::min<int64_t>(batch_, rows - first)), at = static_cast<size_t>(first);
    // Rows are independent, so what the rest of the batch holds does not matter.
    to_device(tape_.ctx(), input_.data(), static_cast<const std::byte*>(x) + at * in, count * in);
    graph_.run();
    to_host(tape_.ctx(), static_cast<std::byte*>(y) + at * out, result_.data, count * out);
  }
}

}  // namespace hourglass
