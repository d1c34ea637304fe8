// SPDX-License-Identifier: Apache-2.0
// What tests of models share: a model on a tape, with a batch whose images and noise the test chooses.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "models/model.h"
#include "tests/tape_model.h"

namespace hourglass::test {

inline Parameter& find(Parameters& parameters, const std::string& name) {
  for (Parameter& p : parameters.all()) {
    if (p.name == name) return p;
  }
  throw std::runtime_error("no parameter " + name);
}

/// The elements of a value of either floating type.
inline std::vector<double> doubles(const Var& v) {
  const int64_t n = v.shape.elements();
  if (v.dtype == Dtype::kF64) return {v.as<double>(), v.as<double>() + n};
  return {v.as<float>(), v.as<float>() + n};
}

inline void assign(const Var& v, const std::vector<double>& values) {
  if (static_cast<int64_t>(values.size()) != v.shape.elements()) throw std::runtime_error("assign: another size");
  for (size_t i = 0; i < values.size(); ++i) {
    if (v.dtype == Dtype::kF64) {
      v.as<double>()[i] = values[i];
    } else {
      v.as<float>()[i] = static_cast<float>(values[i]);
    }
  }
}

inline std::vector<double> gradient_of(const Parameter& p) {
  Var gradient = p.var;
  gradient.data = p.leaf.grad;
  return doubles(gradient);
}

/// A model with its tape, in the f64 lane unless asked otherwise.
struct ModelFixture : TapeFixture {
  explicit ModelFixture(const ModelConfig& config, Dtype dtype = Dtype::kF64) : TapeFixture(dtype) {
    model = make_model(parameters, config);
    reconstruction = parameters.statistic("reconstruction");
    kl = parameters.statistic("kl");
    allocate();
  }

  /// Images in 0..1, all different; noise of seed 5.
  Batch batch(int rows = 4) {
    std::vector<double> x(static_cast<size_t>(rows * model->config().pixels()));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.5 + 0.5 * std::sin(1.3 * static_cast<double>(i));
    return batch_of(x);
  }
  Batch batch_of(const std::vector<double>& x) {
    const int pixels = model->config().pixels();
    Batch b;
    b.x = tape.constant({static_cast<int64_t>(x.size()) / pixels, pixels}, parameters.dtype());
    assign(b.x, x);
    b.noise.seed = 5;
    return b;
  }

  /// Forward and backward of reconstruction + beta KL, whose terms are in `reconstruction` and `kl` afterwards.
  void differentiate(const Batch& batch, int samples = 1, double beta = 1) {
    const LossTerms loss = model->train(tape, batch, samples);
    std::vector<Term> terms{{loss.reconstruction, 1.0, reconstruction}};
    if (loss.kl.node >= 0) terms.emplace_back(loss.kl, beta, kl);
    tape.backward(terms.data(), terms.size());
    parameters.complete_gradients(runtime.ctx(), kAllGroups);
  }
  /// The gradients of all parameters, in their order.
  std::vector<std::vector<double>> gradients() const {
    std::vector<std::vector<double>> all;
    for (const Parameter& p : parameters.all()) all.push_back(gradient_of(p));
    return all;
  }
  double value(const Leaf* statistic) const {
    return parameters.dtype() == Dtype::kF64 ? *static_cast<double*>(statistic->grad)
                                             : *static_cast<float*>(statistic->grad);
  }
  void expect_gradients(const std::vector<std::vector<double>>& want, Tolerance tolerance) const {
    size_t k = 0;
    for (const Parameter& p : parameters.all()) expect_close(gradient_of(p), want[k++], tolerance, p.name);
  }

  std::unique_ptr<Model> model;
  Leaf *reconstruction = nullptr, *kl = nullptr;
};

}  // namespace hourglass::test
