// SPDX-License-Identifier: Apache-2.0
#include "engine/training_state.h"

#include <utility>

#include "engine/dispatch.h"
#include "engine/transfer.h"

namespace hourglass {

TrainingState::TrainingState(const Context& ctx, const Parameters& parameters)
    : ctx_(&ctx),
      parameters_(&parameters),
      memory_(ctx, aligned(sizeof(Words)) + (kPlannedRows + 1) * kMostSchedules * sizeof(double), "training state"),
      log_(ctx, kWindow * (parameters.statistic_names().size() + 1) * sizeof(double), "log of a window") {
  words_ = memory_.as<Words>();
  write_device(ctx, words_, Words{});
  table_ = reinterpret_cast<double*>(memory_.as<std::byte>() + aligned(sizeof(Words)));
  row_ = table_ + kPlannedRows * kMostSchedules;
}

const double* TrainingState::schedule(std::function<double(int64_t)> value) {
  if (schedules_.size() == kMostSchedules) {
    throw Error(Exit::kUsage, "schedules: at most " + std::to_string(kMostSchedules));
  }
  schedules_.push_back(std::move(value));
  planned_until_ = -1;
  return row_ + schedules_.size() - 1;
}

Norm* TrainingState::claim_norm() {
  if (optimizers_ == kMostOptimizers) {
    throw Error(Exit::kUsage, "optimizers: at most " + std::to_string(kMostOptimizers) + " share a training state");
  }
  return &words_->norms[optimizers_++];
}

int64_t TrainingState::step() const { return expected_step_ = read_device(*ctx_, &words_->step); }

Fault TrainingState::fault() const { return read_device(*ctx_, &words_->fault); }

void TrainingState::clear_fault() { write_device(*ctx_, &words_->fault, Fault{}); }

void TrainingState::set_step(int64_t step) {
  write_device(*ctx_, &words_->step, step);
  expected_step_ = step;
  planned_until_ = -1;
}

void TrainingState::plan(int64_t step) {
  for (const auto& prepare : before_step_) prepare(step);
  if (step < planned_until_ && step >= planned_until_ - kWindow) return;
  std::vector<double> table(static_cast<size_t>(kPlannedRows) * kMostSchedules);
  for (int64_t i = 0; i < kPlannedRows; ++i) {
    double* row = table.data() + i * kMostSchedules;
    for (size_t k = 0; k < schedules_.size(); ++k) row[k] = schedules_[k](step + i);
  }
  to_device(*ctx_, table_, table.data(), table.size() * sizeof(double));
  write_device(*ctx_, &words_->base, step);
  planned_until_ = step + kWindow;
  dispatch_wide(*ctx_, parameters_->dtype(),
                [&](auto lane) { schedule_load(lane, planned(), &words_->step, &words_->fault); });
}

StepWords TrainingState::words() const {
  const int columns = static_cast<int>(parameters_->statistic_names().size()) + 1;
  return {&words_->step, &words_->fault, &words_->norms[0], {kWindow, columns}, log_.as<double>(), planned()};
}

void TrainingState::advance() {
  dispatch_wide(*ctx_, parameters_->dtype(), [&](auto lane) {
    using T = typename decltype(lane)::type;
    const StepWords w = words();
    finish_step(lane, w.log_shape, static_cast<const T*>(parameters_->statistics()), w.norm, w.fault, w.log, w.step,
                w.schedule);
  });
}

std::vector<double> TrainingState::logged(int64_t step) const { return logged(step, step + 1); }

std::vector<double> TrainingState::logged(int64_t first, int64_t last) const {
  const size_t columns = parameters_->statistic_names().size() + 1;
  // One copy of the ring, whatever part of it is asked for: it is small, and every copy waits for the device.
  std::vector<double> ring(kWindow * columns), rows;
  to_host(*ctx_, ring.data(), log_.data(), ring.size() * sizeof(double));
  for (int64_t step = first; step < last; ++step) {
    const auto row = ring.begin() + step % kWindow * static_cast<int64_t>(columns);
    rows.insert(rows.end(), row, row + static_cast<int64_t>(columns));
  }
  return rows;
}

}  // namespace hourglass
