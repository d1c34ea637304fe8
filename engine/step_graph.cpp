// SPDX-License-Identifier: Apache-2.0
#include "engine/step_graph.h"

#include <utility>

#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass {

StepGraph::StepGraph(Runtime& runtime, TrainingState& state, std::function<void()> step)
    : StepGraph(runtime, &state, std::move(step)) {}

StepGraph::StepGraph(Runtime& runtime, std::function<void()> phase) : StepGraph(runtime, nullptr, std::move(phase)) {}

StepGraph::StepGraph(Runtime& runtime, TrainingState* state, std::function<void()> step)
    : runtime_(&runtime), state_(state), step_(std::move(step)) {
  bytes_ = runtime.measure([this] { call(); });
}

void StepGraph::call() {
  step_();
  if (state_) state_->advance();
}

void StepGraph::prepare() {
  // Once for all phases constructed so far, so that their addresses stay what they are.
  if (runtime_->arena().reserved() < bytes_) {
    if (runtime_->arena_pinned()) {
      throw Error(Exit::kInternal, "a step that needs more memory was constructed after another one was captured");
    }
    runtime_->arena().reserve(runtime_->ctx(), runtime_->largest_step());
  }
  if (state_) state_->plan(state_->expected_step());
}

void StepGraph::run_eagerly() {
  prepare();
  call();
  if (state_) state_->count_launch();
}

void StepGraph::run() {
  // The first runs load modules and prove the shapes.
  constexpr int kEagerRuns = 2;
  if (!runtime_->captures() || eager_runs_++ < kEagerRuns) return run_eagerly();
  prepare();
  if (!graph_) capture();
  cuda::launch_graph(graph_.get(), runtime_->ctx().stream);
  if (state_) state_->count_launch();
}

void StepGraph::capture() {
  runtime_->pin_arena();
  void* const stream = runtime_->ctx().stream;
  cuda::begin_capture(stream);
  try {
    call();
    graph_.reset(cuda::end_capture(stream, &nodes_));
  } catch (...) {
    cuda::abandon_capture(stream);
    throw;
  }
}

void StepGraph::Destroy::operator()(void* graph) const { cuda::destroy_graph(graph); }

}  // namespace hourglass
