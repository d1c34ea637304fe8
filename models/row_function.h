// SPDX-License-Identifier: Apache-2.0
// A phase of a model as a function from host rows to host rows.
#pragma once

#include <functional>

#include "engine/step_graph.h"
#include "engine/tape.h"
#include "models/matrix.h"

namespace hourglass {

/// Rows in a batch whose size no option sets: `most`, or as many as 2^21 values make where a row has `values` of them,
/// and at least 1. Else a small --batch of large images would leave the memory to what only looks at the model.
int rows_of_values(int most, int64_t values);

/// Works in batches of a fixed size, so that memory and results do not depend on the number of rows. Rows must be
/// independent of each other in `function`: (batch, in) to (batch, out), f32 or i32.
class RowFunction {
 public:
  /// `dtype` is that of the input.
  RowFunction(Runtime& runtime, int in, int out, const std::function<Var(Tape&, const Var&)>& function,
              Dtype dtype = Dtype::kF32);
  RowFunction(const RowFunction&) = delete;
  RowFunction& operator=(const RowFunction&) = delete;

  /// Throws Error(kUsage), naming `name`, for rows of another width.
  Matrix operator()(const char* name, const Matrix& x);
  /// The same on plain memory of the dtypes in question, 4 bytes an element.
  void run(const void* x, int64_t rows, void* y);
  size_t bytes() const { return graph_.bytes(); }

 private:
  int in_, out_, batch_;
  Buffer input_;
  Tape tape_;
  Var result_;
  StepGraph graph_;
};

}  // namespace hourglass
