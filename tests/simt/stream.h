// SPDX-License-Identifier: Apache-2.0
// Streams, events and graphs of the emulator. All work is a closure: a stream is a queue of them, a capture records
// them as the nodes of a graph, a replay runs the nodes in an order that their dependencies allow.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "tests/simt/runtime_api.h"

namespace simt {

using Work = std::function<void()>;
struct Capture;

}  // namespace simt

struct SimtGraphNode {
  cudaGraphNodeType type;
  simt::Work work;
  std::vector<size_t> dependencies;  ///< numbers of earlier nodes
};

struct SimtGraph {
  std::vector<std::unique_ptr<SimtGraphNode>> nodes;
};

struct SimtGraphExec {
  struct Node {
    simt::Work work;
    std::vector<size_t> dependencies;
  };
  std::shared_ptr<const std::vector<Node>> nodes;  ///< a replay under way keeps them alive
};

struct SimtStream {
  bool blocking = true;  ///< waits for the legacy default stream, and it for this one
  std::deque<simt::Work> queue;
  uint64_t pushed = 0, finished = 0;
  std::shared_ptr<simt::Capture> capture;  ///< null: not capturing
  std::set<size_t> tails;                  ///< nodes the next captured node depends on
};

struct SimtEvent {
  SimtStream* stream = nullptr;  ///< null: never recorded
  uint64_t mark = 0;             ///< done when the stream has finished so much
  std::shared_ptr<simt::Capture> capture;
  std::set<size_t> tails;
  std::shared_ptr<std::chrono::steady_clock::time_point> time;
};

namespace simt {

/// One capture, from cudaStreamBeginCapture to cudaStreamEndCapture, and every stream that joined it.
struct Capture {
  SimtStream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::unique_ptr<SimtGraph> graph = std::make_unique<SimtGraph>();
  std::set<SimtStream*> streams;
  bool invalid = false;
};

/// The legacy default stream for null.
SimtStream& stream_of(cudaStream_t stream);
bool is_default_stream(cudaStream_t stream);
/// The one way in which work enters a stream: queued, run, or recorded.
cudaError_t push(cudaStream_t stream, cudaGraphNodeType type, Work work);
void drain(SimtStream& stream, uint64_t mark);
void drain(SimtStream& stream);
void drain_all();
/// What synchronous calls on the legacy default stream wait for.
void drain_blocking();

/// Error of a call that no capture allows (allocation, synchronisation of the device), which also spoils the captures
/// under way; cudaSuccess if there is none.
cudaError_t refuse_during_capture();
cudaError_t invalidate(Capture& capture, cudaError_t error);

/// Remembers an error for cudaGetLastError and returns it.
cudaError_t remember(cudaError_t error);
/// The fault of a kernel, which every later call reports until take_reports() or cudaDeviceReset(); or cudaSuccess.
cudaError_t device_fault();
void set_device_fault(cudaError_t error);

/// Whether [pointer, pointer + bytes) lies in one device (pinned host) allocation.
bool is_device_memory(const void* pointer, size_t bytes);
bool is_pinned_memory(const void* pointer, size_t bytes);

}  // namespace simt
