// SPDX-License-Identifier: Apache-2.0
#include "engine/profiler.h"

#include "kernels/base/cuda_device.h"

namespace hourglass {

Profiler::~Profiler() {
  for (void* event : events_) cuda::destroy_event(event);
}

void Profiler::begin_step() {
  ticks_.clear();
  tick(0, false);
}

void Profiler::forward(size_t entry, const char* name, const Shape& shape) {
  if (entry >= rows_.size()) rows_.resize(entry + 1);
  rows_[entry].name = name;
  rows_[entry].shape = shape;
  tick(entry, false);
}

void Profiler::backward(size_t entry) { tick(entry, true); }

void Profiler::tick(size_t entry, bool backward) {
  if (on_cuda()) {
    if (ticks_.size() == events_.size()) events_.push_back(cuda::make_timer());
    cuda::record_event(events_[ticks_.size()], ctx_.stream);
    if (!ticks_.empty() && ticks_.size() < sequence_.size()) cuda::end_range();
  }
  ticks_.push_back({entry, backward, Clock::now()});
  if (on_cuda()) open_range();
}

/// A range has its name when it begins, an entry only when it ends; but the step before had the same entries.
void Profiler::open_range() {
  if (ticks_.size() >= sequence_.size()) return;
  const auto [entry, backward] = sequence_[ticks_.size()];
  cuda::begin_range((rows_[entry].name + (backward ? " backward" : "")).c_str());
}

double Profiler::seconds_before(size_t tick) const {
  if (on_cuda()) return cuda::seconds_between(events_[tick - 1], events_[tick]);
  return std::chrono::duration<double>(ticks_[tick].time - ticks_[tick - 1].time).count();
}

void Profiler::end_step() {
  if (on_cuda()) cuda::synchronize_event(events_[ticks_.size() - 1]);
  sequence_.clear();
  for (const Tick& t : ticks_) sequence_.emplace_back(t.entry, t.backward);
  if (++run_ <= kWarmUp) return;
  for (size_t i = 1; i < ticks_.size(); ++i) {
    ProfileRow& row = rows_[ticks_[i].entry];
    (ticks_[i].backward ? row.backward : row.forward) += seconds_before(i);
  }
}

std::vector<ProfileRow> Profiler::rows() const {
  std::vector<ProfileRow> means = rows_;
  const double n = static_cast<double>(steps() > 0 ? steps() : 1);
  for (ProfileRow& row : means) {
    row.forward /= n;
    row.backward /= n;
  }
  return means;
}

double Profiler::step_seconds() const {
  double sum = 0;
  for (const ProfileRow& row : rows()) sum += row.forward + row.backward;
  return sum;
}

}  // namespace hourglass
