// SPDX-License-Identifier: Apache-2.0
#include "engine/training_state.h"

#include <new>
#include <utility>

#include "engine/dispatch.h"

namespace hourglass {

TrainingState::TrainingState(const Context& ctx, const Parameters& parameters)
    : ctx_(&ctx),
      parameters_(&parameters),
      memory_(aligned(sizeof(Words)) + (kWindow + 1) * kMostSchedules * sizeof(double), "training state"),
      log_(kWindow * (parameters.statistic_names().size() + 1) * sizeof(double), "log of a window") {
  words_ = new (memory_.data()) Words{};
  table_ = reinterpret_cast<double*>(memory_.as<std::byte>() + aligned(sizeof(Words)));
  row_ = table_ + kWindow * kMostSchedules;
}

const double* TrainingState::schedule(std::function<double(int64_t)> value) {
  if (schedules_.size() == kMostSchedules) {
    throw Error(Exit::kUsage, "schedules: at most " + std::to_string(kMostSchedules));
  }
  schedules_.push_back(std::move(value));
  planned_ = false;
  return row_ + schedules_.size() - 1;
}

Norm* TrainingState::claim_norm() {
  if (optimizers_ == kMostOptimizers) {
    throw Error(Exit::kUsage, "optimizers: at most " + std::to_string(kMostOptimizers) + " share a training state");
  }
  return &words_->norms[optimizers_++];
}

void TrainingState::set_step(int64_t step) {
  words_->step = step;
  planned_ = false;
}

void TrainingState::plan() {
  if (planned_ && words_->step - words_->base < kWindow) return;
  planned_ = true;
  words_->base = words_->step;
  for (int64_t i = 0; i < kWindow; ++i) {
    double* row = table_ + i * kMostSchedules;
    for (size_t k = 0; k < schedules_.size(); ++k) row[k] = schedules_[k](words_->step + i);
  }
}

void TrainingState::load() {
  // Double whatever the model's dtype: schedules are computed in double.
  dispatch(*ctx_, Dtype::kF64, [&](auto lane) {
    schedule_load(lane, {kWindow, kMostSchedules}, table_, &words_->base, &words_->step, row_, &words_->fault);
  });
}

void TrainingState::advance() {
  const int columns = static_cast<int>(parameters_->statistic_names().size()) + 1;
  dispatch(*ctx_, parameters_->dtype(), [&](auto lane) {
    using T = typename decltype(lane)::type;
    log_write(lane, {kWindow, columns}, static_cast<const T*>(parameters_->statistics()), &words_->norms[0],
              &words_->step, &words_->fault, log_.as<double>());
    advance_step(lane, &words_->fault, &words_->step);
  });
}

std::vector<double> TrainingState::logged(int64_t step) const {
  const size_t columns = parameters_->statistic_names().size() + 1;
  const double* row = log_.as<double>() + static_cast<size_t>(step % kWindow) * columns;
  return {row, row + columns};
}

}  // namespace hourglass
