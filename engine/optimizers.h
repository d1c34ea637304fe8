// SPDX-License-Identifier: Apache-2.0
// Optimizers over the slabs. `commit` ends a step: check the gradients, then update, unless the fault word is set.
#pragma once

#include <initializer_list>
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
  /// `lr` is a scheduled value of `state`; `name` begins the names of its tensors in a checkpoint. All references must
  /// outlive this.
  Optimizer(Parameters& parameters, TrainingState& state, const double* lr, const OptimizerOptions& options,
            Groups groups = kAllGroups, std::string name = "optimizer");

  /// Ends the step: closes the tape, so that nothing is recorded or differentiated until the rewind, checks the
  /// gradients of this optimizer and the statistics, and updates.
  void commit(Tape& tape) { commit(tape, {this}); }
  /// The same for several optimizers of one step (the networks of a GAN): all gradients are checked before the first
  /// parameter changes, so a refused step leaves every network as it was. Gradients of other groups are not looked at.
  static void commit(Tape& tape, std::initializer_list<Optimizer*> optimizers);

  // For a kernel that runs whole steps.
  const OptimizerOptions& options() const { return options_; }
  AdamOptions adam_options() const;
  const double* lr() const { return lr_; }
  void* moment(size_t i) const { return moments_[i].data(); }
  AdamState* adam_state() const { return counters_.as<AdamState>(); }

  /// Slabs of the size of the parameters that this optimizer keeps.
  size_t moments() const { return moments_.size(); }
  /// Moments, one tensor a parameter, and counters.
  std::vector<StateTensor> state_tensors();

 private:
  void check(const Context& ctx, bool statistics_too);
  void update(const Context& ctx);
  template <class T, class Lane>
  void update_as(const Lane& lane);

  Parameters* parameters_;
  TrainingState* state_;
  const double* lr_;
  OptimizerOptions options_;
  Groups groups_;
  std::string name_;
  Norm* norm_;
  OptimizerRange range_;
  std::vector<std::string> moment_names_;
  std::vector<Buffer> moments_;
  Buffer counters_;
};

}  // namespace hourglass
