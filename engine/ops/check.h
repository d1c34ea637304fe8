// SPDX-License-Identifier: Apache-2.0
// Checks that the ops share.
#pragma once

#include <initializer_list>
#include <string>

#include "engine/tensor.h"
#include "kernels/base/error.h"

namespace hourglass {

[[noreturn]] inline void refuse(const char* op, const std::string& problem) {
  throw Error(Exit::kUsage, std::string(op) + ": " + problem);
}

inline void check_rank(const char* op, const char* name, const Var& v, int rank) {
  if (v.shape.rank() != rank) {
    refuse(op, std::string(name) + " expects rank " + std::to_string(rank) + ", given " + to_string(v.shape));
  }
}

inline void check_shape(const char* op, const char* name, const Var& v, const Shape& expected) {
  if (v.shape != expected) {
    refuse(op, std::string(name) + " expects " + to_string(expected) + ", given " + to_string(v.shape));
  }
}

/// All of the first one's dtype, which is f32, bf16 or f64; empty Vars are skipped.
inline void check_dtypes(const char* op, std::initializer_list<Var> inputs) {
  const Dtype dtype = inputs.begin()->dtype;
  if (dtype == Dtype::kI32 || dtype == Dtype::kU8) refuse(op, std::string("no kernels for dtype ") + name_of(dtype));
  for (const Var& v : inputs) {
    if (v && v.dtype != dtype) {
      refuse(op, std::string("expects one dtype, given ") + name_of(dtype) + " and " + name_of(v.dtype) +
                     "; cast one of them");
    }
  }
}

/// The same for an op whose kernels have no bf16 form.
inline void check_wide(const char* op, std::initializer_list<Var> inputs) {
  check_dtypes(op, inputs);
  if (inputs.begin()->dtype == Dtype::kBF16) refuse(op, "no kernels for dtype bf16; cast its inputs to f32");
}

/// What is kept in the accumulator's dtype beside values of `of`'s: f32 beside bf16.
inline void check_accumulator(const char* op, const char* name, const Var& of, const Var& v) {
  if (v.dtype == accumulator_of(of.dtype)) return;
  refuse(op, std::string(name) + " expects " + name_of(accumulator_of(of.dtype)) + " beside " + name_of(of.dtype) +
                 ", given " + name_of(v.dtype));
}

}  // namespace hourglass
