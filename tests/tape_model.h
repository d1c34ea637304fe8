// SPDX-License-Identifier: Apache-2.0
// What tests of the tape share: a tape in the f64 lane with a few parameters, and the gradient check through it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/ops.h"
#include "engine/parameters.h"
#include "engine/runtime.h"
#include "tests/harness.h"

namespace hourglass::test {

/// A tape on one CPU thread with memory for small graphs.
struct TapeFixture {
  explicit TapeFixture(Dtype dtype = Dtype::kF64) : runtime({"cpu", 1}), parameters(dtype) {
    runtime.arena().reserve(runtime.ctx(), size_t{8} << 20);
  }

  Parameter& parameter(const std::string& name, const Shape& shape, const char* group = "all", double bound = 1) {
    return parameters.add(name, shape, Init::uniform(bound), parameters.group(group));
  }
  void allocate(uint32_t seed = 1) {
    parameters.allocate(seed);
    tape.rewind();
  }
  /// Forgets the step, gradients included.
  void restart() {
    parameters.forget_gradients(kAllGroups);
    tape.rewind();
  }
  double* values(const Parameter& p) const { return p.var.as<double>(); }
  double* gradient(const Parameter& p) const { return static_cast<double*>(p.leaf.grad); }

  Runtime runtime;
  Parameters parameters;
  Tape tape{runtime.ctx(), runtime.arena()};
};

/// Central differences against backward, for every element of every parameter. `terms` records the graph anew and
/// returns what to differentiate; `value` reads the objective that the terms stand for from the tape.
inline void check_gradients(TapeFixture& f, const std::function<std::vector<Term>()>& terms,
                            const std::function<double()>& value) {
  f.restart();
  const std::vector<Term> list = terms();
  f.tape.backward(list.data(), list.size());
  f.parameters.complete_gradients(f.runtime.ctx(), kAllGroups);
  std::vector<std::vector<double>> analytic;
  for (const Parameter& p : f.parameters.all()) {
    analytic.emplace_back(f.gradient(p), f.gradient(p) + p.shape.elements());
  }
  size_t k = 0;
  for (Parameter& p : f.parameters.all()) {
    double* x = f.values(p);
    const std::vector<double> start(x, x + p.shape.elements());
    gradcheck(
        [&](const std::vector<double>& at) {
          std::copy(at.begin(), at.end(), x);
          f.restart();
          return value();
        },
        start, analytic[k++], p.name);
    std::copy(start.begin(), start.end(), x);
  }
}

/// The usual case: a scalar Var of shape (1).
inline void check_gradients(TapeFixture& f, const std::function<Var()>& graph) {
  check_gradients(
      f,
      [&] {
        return std::vector<Term>{{graph(), 1.0}};
      },
      [&] { return graph().as<double>()[0]; });
}

}  // namespace hourglass::test
