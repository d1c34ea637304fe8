// SPDX-License-Identifier: Apache-2.0
// A build without CUDA kernels has no CUDA device.
#include "kernels/base/cublaslt.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"
#include "kernels/gemm.h"

namespace hourglass::cuda {
namespace {
[[noreturn]] void absent() { throw Error(Exit::kDevice, "this build has no CUDA kernels"); }
}  // namespace

Probe probe(int) {
  Probe none;
  none.description = "this build has no CUDA kernels";
  return none;
}

std::string gemm_library() { absent(); }
void* open_stream(int) { absent(); }
void close_stream(void*) noexcept {}
void* allocate(size_t) { absent(); }
void release(void*) noexcept {}
size_t available() { return 0; }
void copy_to_device(void*, void*, const void*, size_t) { absent(); }
void copy_to_host(void*, void*, const void*, size_t) { absent(); }
void zero(void*, void*, size_t) { absent(); }
void* open_side_stream() { absent(); }
void* allocate_pinned(size_t) { absent(); }
void release_pinned(void*) noexcept {}
void* make_event() { absent(); }
void destroy_event(void*) noexcept {}
void record_event(void*, void*) { absent(); }
void wait_event(void*, void*) { absent(); }
void synchronize_event(void*) { absent(); }
void* make_timer() { absent(); }
double seconds_between(void*, void*) { absent(); }
void copy_ahead(void*, void*, const void*, size_t) { absent(); }
void begin_capture(void*) { absent(); }
void* end_capture(void*, int*) { absent(); }
void launch_graph(void*, void*) { absent(); }
void destroy_graph(void*) noexcept {}
void abandon_capture(void*) noexcept {}
void begin_range(const char*) noexcept {}
void end_range() noexcept {}
std::vector<LibraryPlan> library_plans() { return {}; }

}  // namespace hourglass::cuda
