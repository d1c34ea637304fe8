// SPDX-License-Identifier: Apache-2.0
// The CUDA device as the engine sees it: memory, copies, one stream, captured graphs. No CUDA header in sight. In a
// build without CUDA kernels (cuda_absent.cpp) there is no device: the probe says so, and nothing else is called.
#pragma once

#include <cstddef>
#include <string>

namespace hourglass::cuda {

/// What the probe found. It never throws, and starts no CUDA context on a machine without a driver.
struct Probe {
  bool usable = false;
  bool emulated = false;    ///< the emulator of the tests: never picked by --device auto
  bool broken = false;      ///< a driver is there, but old, or CUDA does not start: worth a warning
  int count = 0;            ///< devices
  std::string description;  ///< "NVIDIA H100 80GB HBM3, compute capability 9.0", or why there is none
};
Probe probe(int device);

/// Makes `device` current and returns its stream. Throws Error(kDevice).
void* open_stream(int device);
void close_stream(void* stream) noexcept;

/// 256-byte aligned, not initialised; null where memory does not suffice.
void* allocate(size_t bytes);
void release(void* data) noexcept;
/// Bytes that may be asked for: those free on the device, less some that kernels and graphs take when they are loaded.
size_t available();

// In stream order; the host's side may be used again on return.
void copy_to_device(void* stream, void* to, const void* from, size_t bytes);
void copy_to_host(void* stream, void* to, const void* from, size_t bytes);
void zero(void* stream, void* data, size_t bytes);

// What copies ahead of the stream need: a stream of their own on the current device (closed by close_stream), host
// memory that the device can read by itself, and events that order the streams.
void* open_side_stream();
/// Null where memory does not suffice.
void* allocate_pinned(size_t bytes);
void release_pinned(void* data) noexcept;
void* make_event();
void destroy_event(void* event) noexcept;
void record_event(void* event, void* stream);
/// The stream's later work waits for the event; the host does not.
void wait_event(void* stream, void* event);
void synchronize_event(void* event);
/// An event that knows its time.
void* make_timer();
/// Between two timers, both of which have passed.
double seconds_between(void* first, void* second);
/// From pinned memory, which must stay as it is until the copy has run.
void copy_ahead(void* stream, void* to, const void* from, size_t bytes);

/// Records what the calling thread puts into the stream instead of running it.
void begin_capture(void* stream);
/// The recorded graph, ready to launch, and its number of nodes.
void* end_capture(void* stream, int* nodes);
void launch_graph(void* graph, void* stream);
void destroy_graph(void* graph) noexcept;
/// A range of this thread's time line in NVIDIA's profilers (NVTX); nothing where the toolkit has none.
void begin_range(const char* name) noexcept;
void end_range() noexcept;
/// Drops a capture that failed, so that the stream can be used again.
void abandon_capture(void* stream) noexcept;

}  // namespace hourglass::cuda
