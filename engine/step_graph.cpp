// SPDX-License-Identifier: Apache-2.0
#include "engine/step_graph.h"

#include <utility>

namespace hourglass {

StepGraph::StepGraph(Runtime& runtime, TrainingState& state, std::function<void()> step)
    : StepGraph(runtime, &state, std::move(step)) {}

StepGraph::StepGraph(Runtime& runtime, std::function<void()> phase) : StepGraph(runtime, nullptr, std::move(phase)) {}

StepGraph::StepGraph(Runtime& runtime, TrainingState* state, std::function<void()> step)
    : runtime_(&runtime), state_(state), step_(std::move(step)) {
  bytes_ = runtime.measure([this] { call(); });
}

void StepGraph::call() {
  if (state_) state_->load();
  step_();
  if (state_) state_->advance();
}

void StepGraph::run() {
  // Once for all phases constructed so far, so that their addresses stay what they are.
  if (runtime_->arena().reserved() < bytes_) runtime_->arena().reserve(runtime_->ctx(), runtime_->largest_step());
  if (state_) state_->plan(state_->expected_step());
  call();
  if (state_) state_->count_launch();
}

}  // namespace hourglass
