// SPDX-License-Identifier: Apache-2.0
// Optimizers over the slabs. `commit` ends a step: check the gradients, then update, unless the fault word is set.
#pragma once

#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/parameters.h"
#include "engine/training_state.h"
#include "kernels/optimizer.h"

namespace hourglass {

enum class OptimizerKind { kSgd, kAdam, kAdamW, kAdadelta };

/// Names and defaults are PyTorch's.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdam;
  double momentum = 0;      ///< SGD
  bool nesterov = false;    ///< SGD
  double weight_decay = 0;  ///< L2 for SGD, Adam, Adadelta; decoupled for AdamW
  double adam_eps = 1e-8;
  double clip_norm = 0;   ///< global L2 norm of the gradients of this optimizer; 0: none
  double clip_value = 0;  ///< bound of each gradient element, after clip_norm; 0: none
};

class Optimizer {
 public:
  /// `lr` is a scheduled value of `state`. All references must outlive this.
  Optimizer(Parameters& parameters, TrainingState& state, const double* lr, const OptimizerOptions& options,
            Groups groups = kAllGroups);

  /// Closes the tape: nothing is recorded or differentiated after it until the rewind.
  void commit(Tape& tape);

  /// Slabs of the size of the parameters that this optimizer keeps.
  size_t moments() const { return moments_.size(); }
  /// Moments, one tensor a parameter, and counters.
  std::vector<StateTensor> state_tensors();

 private:
  template <class T, class Lane>
  void update(const Lane& lane);

  Parameters* parameters_;
  TrainingState* state_;
  const double* lr_;
  OptimizerOptions options_;
  Groups groups_;
  OptimizerRange range_;
  std::vector<std::string> moment_names_;
  std::vector<Buffer> moments_;
  Buffer counters_;
};

}  // namespace hourglass
