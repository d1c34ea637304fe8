// SPDX-License-Identifier: Apache-2.0
// The few words of device memory that make a step replayable: the step counter, the fault word, the row of scheduled
// values, and the table of logged values. A replayed step runs no host code, so everything that changes from step to
// step is read from here.
#pragma once

#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass {

/// Why a step was refused; zero-initialised memory means none. The first one stays: kernels set it only while
/// code = 0, and everything that commits (optimizers, log, counter) does nothing while it is set.
struct Fault {
  int32_t code = 0;   ///< 0, or the exit code of the cause (Exit::kNotFinite, Exit::kInternal)
  int32_t op = 0;     ///< who found it: kFaultGradient, kFaultSchedule, or a number of the caller's
  int64_t step = 0;   ///< the step counter then
  int64_t index = 0;  ///< lowest element (of the gradient slab) or row (of the table) at fault
};
constexpr int32_t kFaultGradient = -1;  ///< gradient_norm.h: a gradient or statistic is not finite
constexpr int32_t kFaultSchedule = -2;  ///< schedule_load: the table has no row for this step
constexpr int32_t kFaultPosition = -3;  ///< nearest_codebook: a row of x (Fault::index) is not finite
constexpr int32_t kFaultCode = -4;      ///< nearest_codebook: a code (Fault::index) is not finite

/// Where a kernel reports what it cannot answer. A null fault: nowhere; a null step: as step 0.
struct FaultReport {
  Fault* fault = nullptr;
  const int64_t* step = nullptr;
};

/// What the gradient check finds (gradient_norm.h), read by optimizers and the log.
struct alignas(16) Norm {  // one store writes both
  double norm = 0;   ///< L2 norm of all gradients, before clipping
  double scale = 1;  ///< factor that clips them: min(1, clip / (norm + 1e-6)), or 1
};

/// A table of `rows` rows of `columns` values, row-major.
struct TableShape {
  int rows = 0;
  int columns = 0;
};

/// Scheduled values of the steps from `*base` on, a row a step, and the row that the kernels of a step read. The host
/// writes table and base for the steps ahead.
struct Schedule {
  TableShape shape;  ///< no rows: nothing is scheduled
  const double* table = nullptr;
  const int64_t* base = nullptr;
  double* row = nullptr;  ///< (columns)
};

namespace cpu {

/// row = table[*step - *base]. A step that has no row leaves `row` and sets the fault {kInternal, kFaultSchedule, step,
/// row number}.
void schedule_load(const Context& ctx, const Schedule& schedule, const int64_t* step, Fault* fault);

/// table[*step % rows] = {statistics[0], ..., statistics[columns - 2], norm->norm}: the table is a ring, and its last
/// column is the gradient norm (0 if `norm` is null). Does nothing while the fault is set.
template <class T>
void log_write(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, const int64_t* step,
               const Fault* fault, double* table);

/// ++*step. Does nothing while the fault is set.
void advance_step(const Context& ctx, const Fault* fault, int64_t* step);

/// log_write, advance_step, then schedule_load for the step to come: the end of a step in one launch. A step that was
/// refused keeps its row.
template <class T>
void finish_step(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, Fault* fault, double* table,
                 int64_t* step, const Schedule& schedule);

}  // namespace cpu

namespace cuda {

/// T: float. Everything behind a pointer is device memory.
void schedule_load(const Context& ctx, const Schedule& schedule, const int64_t* step, Fault* fault);

template <class T>
void log_write(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, const int64_t* step,
               const Fault* fault, double* table);

void advance_step(const Context& ctx, const Fault* fault, int64_t* step);

template <class T>
void finish_step(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, Fault* fault, double* table,
                 int64_t* step, const Schedule& schedule);

}  // namespace cuda
}  // namespace hourglass
