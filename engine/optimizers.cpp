// SPDX-License-Identifier: Apache-2.0
#include "engine/optimizers.h"

#include "engine/dispatch.h"
#include "kernels/gradient_norm.h"

namespace hourglass {
namespace {

std::vector<std::string> moment_names(const OptimizerOptions& options) {
  switch (options.kind) {
    case OptimizerKind::kSgd:
      return options.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return {"exp_avg", "exp_avg_sq"};
    case OptimizerKind::kAdadelta:
      return {"square_avg", "acc_delta"};
  }
  return {};
}

}  // namespace

Optimizer::Optimizer(Parameters& parameters, TrainingState& state, const double* lr, const OptimizerOptions& options,
                     Groups groups)
    : parameters_(&parameters),
      state_(&state),
      lr_(lr),
      options_(options),
      groups_(groups),
      moment_names_(moment_names(options)),
      counters_(sizeof(AdamState), "optimizer counters") {
  const SlabRange range = parameters.range(groups);
  range_ = {range.first, range.count};
  const size_t bytes = static_cast<size_t>(parameters.slab_elements()) * size_of(parameters.dtype());
  for (size_t i = 0; i < moment_names_.size(); ++i) moments_.emplace_back(bytes, "optimizer moments");
}

void Optimizer::commit(Tape& tape) {
  tape.close();
  parameters_->complete_gradients(tape.ctx(), groups_);
  dispatch(tape.ctx(), parameters_->dtype(), [&](auto lane) {
    using T = typename decltype(lane)::type;
    // From the first gradient of the group to the end of the slab: its gradients, and the statistics with them.
    const T* grads = static_cast<const T*>(parameters_->gradients()) + range_.first;
    gradient_check(lane, GradientNormShape{range_.count, parameters_->gradient_elements() - range_.first}, grads,
                   options_.clip_norm, state_->device_norm(), state_->device_fault(), state_->device_step());
    update<T>(lane);
  });
  parameters_->forget_gradients(groups_);
}

template <class T, class Lane>
void Optimizer::update(const Lane& lane) {
  const OptimizerRanges ranges{&range_, 1};
  OptimizerStep step;
  step.fault = state_->device_fault();
  step.lr = lr_;
  step.grad_scale = options_.clip_norm > 0 ? &state_->device_norm()->scale : nullptr;
  step.clip_value = options_.clip_value;
  T* values = static_cast<T*>(parameters_->values());
  const T* grads = static_cast<const T*>(parameters_->gradients());
  const auto moment = [this](size_t i) { return i < moments_.size() ? moments_[i].as<T>() : nullptr; };
  switch (options_.kind) {
    case OptimizerKind::kSgd:
      sgd_update(lane, ranges, {options_.momentum, options_.weight_decay, options_.nesterov}, step, values, grads,
                 moment(0), counters_.as<SgdState>());
      return;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW: {
      AdamOptions adam;
      adam.eps = options_.adam_eps;
      adam.weight_decay = options_.weight_decay;
      adam.decoupled = options_.kind == OptimizerKind::kAdamW;
      adam_update(lane, ranges, adam, step, values, grads, moment(0), moment(1), counters_.as<AdamState>());
      return;
    }
    case OptimizerKind::kAdadelta: {
      AdadeltaOptions adadelta;
      adadelta.weight_decay = options_.weight_decay;
      adadelta_update(lane, ranges, adadelta, step, values, grads, moment(0), moment(1), counters_.as<AdadeltaState>());
      return;
    }
  }
}

std::vector<StateTensor> Optimizer::state_tensors() {
  std::vector<StateTensor> tensors;
  const ElementType type = parameters_->dtype() == Dtype::kF64 ? ElementType::kF64 : ElementType::kF32;
  for (size_t i = 0; i < moments_.size(); ++i) {
    for (const Parameter& p : parameters_->all()) {
      if (!(p.group & groups_)) continue;
      tensors.push_back({"optimizer/" + moment_names_[i] + "/" + p.name, type, extents(p.shape),
                         moments_[i].as<std::byte>() + static_cast<size_t>(p.offset) * size_of(parameters_->dtype())});
    }
  }
  AdamState* counters = counters_.as<AdamState>();
  tensors.push_back({"optimizer/steps", ElementType::kI64, {}, &counters->steps});
  tensors.push_back({"optimizer/beta1_power", ElementType::kF64, {}, &counters->beta1_power});
  tensors.push_back({"optimizer/beta2_power", ElementType::kF64, {}, &counters->beta2_power});
  return tensors;
}

}  // namespace hourglass
