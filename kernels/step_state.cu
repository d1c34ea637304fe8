// SPDX-License-Identifier: Apache-2.0
// A handful of words: one block each, whose threads take the columns of a row.
#include "kernels/base/step_rows.cuh"
#include "kernels/step_state.h"

namespace hourglass::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) schedule_load_block_kernel(Schedule s, const int64_t* step, Fault* fault) {
  load_row(s, *step, fault);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    log_write_block_kernel(TableShape s, const T* statistics, const Norm* norm, const int64_t* step, const Fault* fault,
                           double* table) {
  if (fault->code == 0) write_row(s, statistics, norm, *step, table);
}

__global__ void advance_step_block_kernel(const Fault* fault, int64_t* step) {
  if (fault->code == 0) ++*step;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    finish_step_block_kernel(TableShape s, const T* statistics, const Norm* norm, Fault* fault, double* table,
                             int64_t* step, Schedule schedule) {
  if (fault->code != 0) return;  // the whole block
  const int64_t now = *step;
  write_row(s, statistics, norm, now, table);
  __syncthreads();  // every thread has read the counter and the fault
  if (threadIdx.x == 0) *step = now + 1;
  if (schedule.shape.rows > 0) load_row(schedule, now + 1, fault);
}

}  // namespace

void schedule_load(const Context& ctx, const Schedule& schedule, const int64_t* step, Fault* fault) {
  gpu::launch(schedule_load_block_kernel, 1, kThreads, 0, gpu::stream(ctx), schedule, step, fault);
}

template <class T>
void log_write(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, const int64_t* step,
               const Fault* fault, double* table) {
  if (s.rows <= 0 || s.columns <= 0) return;
  gpu::launch(log_write_block_kernel<T>, 1, kThreads, 0, gpu::stream(ctx), s, statistics, norm, step, fault, table);
}

void advance_step(const Context& ctx, const Fault* fault, int64_t* step) {
  gpu::launch(advance_step_block_kernel, 1, 1, 0, gpu::stream(ctx), fault, step);
}

template <class T>
void finish_step(const Context& ctx, TableShape s, const T* statistics, const Norm* norm, Fault* fault, double* table,
                 int64_t* step, const Schedule& schedule) {
  gpu::launch(finish_step_block_kernel<T>, 1, kThreads, 0, gpu::stream(ctx), s, statistics, norm, fault, table, step,
              schedule);
}

template void log_write(const Context&, TableShape, const float*, const Norm*, const int64_t*, const Fault*, double*);
template void finish_step(const Context&, TableShape, const float*, const Norm*, Fault*, double*, int64_t*,
                          const Schedule&);

}  // namespace hourglass::cuda
