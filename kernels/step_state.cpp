// SPDX-License-Identifier: Apache-2.0
#include "kernels/step_state.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace hourglass::cpu {

void schedule_load(const Context&, const Schedule& s, const int64_t* step, Fault* fault) {
  const int64_t r = *step - *s.base;
  if (r >= 0 && r < s.shape.rows) {
    std::copy_n(s.table + r * s.shape.columns, s.shape.columns, s.row);
  } else if (fault->code == 0) {
    *fault = {static_cast<int32_t>(Exit::kInternal), kFaultSchedule, *step, r};
  }
}

template <class T>
void log_write(const Context&, TableShape s, const T* statistics, const Norm* norm, const int64_t* step,
               const Fault* fault, double* table) {
  if (s.rows <= 0 || s.columns <= 0 || fault->code != 0) return;
  double* row = table + *step % s.rows * s.columns;
  std::copy_n(statistics, s.columns - 1, row);
  row[s.columns - 1] = norm ? norm->norm : 0;
}

void advance_step(const Context&, const Fault* fault, int64_t* step) {
  if (fault->code == 0) ++*step;
}

template <class T>
void finish_step(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, Fault* fault, double* table,
                 int64_t* step, const Schedule& schedule) {
  log_write(ctx, s, statistics, norm, step, fault, table);
  advance_step(ctx, fault, step);
  if (fault->code == 0 && schedule.shape.rows > 0) schedule_load(ctx, schedule, step, fault);
}

template void log_write<float>(const Context&, TableShape, const float*, const Norm*, const int64_t*, const Fault*,
                               double*);
template void log_write<double>(const Context&, TableShape, const double*, const Norm*, const int64_t*, const Fault*,
                                double*);
template void finish_step(const Context&, TableShape, const float*, const Norm*, Fault*, double*, int64_t*,
                          const Schedule&);
template void finish_step(const Context&, TableShape, const double*, const Norm*, Fault*, double*, int64_t*,
                          const Schedule&);

}  // namespace hourglass::cpu
