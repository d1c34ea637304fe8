// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/stream.h"

#include <algorithm>

#include "tests/simt/report.h"

namespace simt {
namespace {

SimtStream default_stream;
std::vector<SimtStream*>& streams() {
  static std::vector<SimtStream*>& all = *new std::vector<SimtStream*>;  // outlives static objects that hold streams
  return all;
}

/// Legacy default stream: it waits for all blocking streams, and they for it.
void wait_for_default_stream(const SimtStream& stream) {
  if (&stream == &default_stream) {
    for (SimtStream* other : streams()) {
      if (other->blocking) drain(*other);
    }
  } else if (stream.blocking) {
    drain(default_stream);
  }
}

cudaError_t record(SimtStream& stream, cudaGraphNodeType type, Work work) {
  Capture& capture = *stream.capture;
  if (capture.invalid) return remember(cudaErrorStreamCaptureInvalidated);
  auto node = std::make_unique<SimtGraphNode>();
  node->type = type;
  node->work = std::move(work);
  node->dependencies.assign(stream.tails.begin(), stream.tails.end());
  stream.tails = {capture.graph->nodes.size()};
  capture.graph->nodes.push_back(std::move(node));
  return cudaSuccess;
}

/// Work on the default stream would make a capturing blocking stream wait for uncaptured work.
cudaError_t refuse_implicit_dependency() {
  for (SimtStream* stream : streams()) {
    if (stream->blocking && stream->capture) return invalidate(*stream->capture, cudaErrorStreamCaptureImplicit);
  }
  return cudaSuccess;
}

/// Runs the oldest piece of work, so that a host that polls gets somewhere.
void step(SimtStream& stream) {
  if (!stream.queue.empty()) drain(stream, stream.finished + 1);
}

}  // namespace

SimtStream& stream_of(cudaStream_t stream) { return stream ? *stream : default_stream; }
bool is_default_stream(cudaStream_t stream) { return !stream || stream == &default_stream; }

cudaError_t push(cudaStream_t handle, cudaGraphNodeType type, Work work) {
  SimtStream& stream = stream_of(handle);
  if (const cudaError_t fault = device_fault()) return fault;
  if (stream.capture) return record(stream, type, std::move(work));
  if (is_default_stream(handle)) {
    if (const cudaError_t refused = refuse_implicit_dependency()) return refused;
  }
  wait_for_default_stream(stream);
  stream.queue.push_back(std::move(work));
  ++stream.pushed;
  if (!config().lazy_streams) drain(stream);
  return cudaSuccess;
}

void drain(SimtStream& stream, uint64_t mark) {
  while (stream.finished < mark && !stream.queue.empty()) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.finished;
    if (device_fault() == cudaSuccess) work();
  }
}
void drain(SimtStream& stream) { drain(stream, stream.pushed); }

void drain_blocking() {
  for (SimtStream* stream : streams()) {
    if (stream->blocking) drain(*stream);
  }
  drain(default_stream);
}

void drain_all() {
  std::vector<SimtStream*> order = streams();
  if (config().order == Order::kReverse) std::reverse(order.begin(), order.end());
  for (SimtStream* stream : order) drain(*stream);
  drain(default_stream);
}

cudaError_t invalidate(Capture& capture, cudaError_t error) {
  capture.invalid = true;
  return remember(error);
}

cudaError_t refuse_during_capture() {
  cudaError_t error = cudaSuccess;
  for (SimtStream* stream : streams()) {
    if (stream->capture && stream->capture->mode != cudaStreamCaptureModeRelaxed) {
      error = invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported);
    }
  }
  return error;
}

}  // namespace simt

using namespace simt;

// ---------------------------------------------------------------- streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = new SimtStream;
  (*stream)->blocking = (flags & cudaStreamNonBlocking) == 0;
  streams().push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const auto found = std::find(streams().begin(), streams().end(), stream);
  if (found == streams().end()) return remember(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    stream->capture->invalid = true;
    stream->capture->streams.erase(stream);
  }
  drain(*stream);
  streams().erase(found);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  SimtStream& stream = stream_of(handle);
  if (stream.capture) return invalidate(*stream.capture, cudaErrorStreamCaptureUnsupported);
  ++counters().synchronizations;
  wait_for_default_stream(stream);
  drain(stream);
  return device_fault();
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  SimtStream& stream = stream_of(handle);
  if (stream.capture) return invalidate(*stream.capture, cudaErrorStreamCaptureUnsupported);
  step(stream);
  if (const cudaError_t fault = device_fault()) return fault;
  return stream.queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return push(stream, cudaGraphNodeTypeHost, [=] { function(data); });
}

cudaError_t cudaDeviceSynchronize() {
  for (SimtStream* stream : streams()) {
    if (stream->capture) return invalidate(*stream->capture, cudaErrorStreamCaptureUnsupported);
  }
  ++counters().synchronizations;
  drain_all();
  return device_fault();
}

// ---------------------------------------------------------------- events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new SimtEvent;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  SimtStream& stream = stream_of(handle);
  if (stream.capture) {
    if (stream.capture->invalid) return remember(cudaErrorStreamCaptureInvalidated);
    event->capture = stream.capture;
    event->tails = stream.tails;
    return cudaSuccess;
  }
  event->capture.reset();
  event->stream = &stream;
  event->time = std::make_shared<std::chrono::steady_clock::time_point>();
  // A host node only in name: recording an event in a capture returns above.
  const cudaError_t error =
      push(handle, cudaGraphNodeTypeHost, [time = event->time] { *time = std::chrono::steady_clock::now(); });
  event->mark = stream.pushed;
  return error;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->capture) return invalidate(*event->capture, cudaErrorCapturedEvent);
  ++counters().synchronizations;
  if (event->stream) drain(*event->stream, event->mark);
  return device_fault();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->capture) return invalidate(*event->capture, cudaErrorCapturedEvent);
  if (!event->stream) return cudaSuccess;
  if (event->stream->finished < event->mark) step(*event->stream);
  if (const cudaError_t fault = device_fault()) return fault;
  return event->stream->finished >= event->mark ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  for (const SimtEvent* event : {start, end}) {
    if (event->capture || !event->stream) return remember(cudaErrorInvalidResourceHandle);
    if (event->stream->finished < event->mark) return cudaErrorNotReady;
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}

/// Between captured work this draws an edge of the graph, and takes a stream that was not capturing into the capture.
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  SimtStream& stream = stream_of(handle);
  if (!event->capture) {
    if (!event->stream) return cudaSuccess;
    if (stream.capture) return invalidate(*stream.capture, cudaErrorStreamCaptureIsolation);
    return push(handle, cudaGraphNodeTypeHost, [source = event->stream, mark = event->mark] { drain(*source, mark); });
  }
  if (!event->capture->graph) return remember(cudaErrorCapturedEvent);  // of a capture that has ended
  if (is_default_stream(handle)) return invalidate(*event->capture, cudaErrorStreamCaptureImplicit);
  if (stream.capture && stream.capture != event->capture) {
    stream.capture->invalid = true;
    return invalidate(*event->capture, cudaErrorStreamCaptureMerge);
  }
  if (!stream.capture) {
    stream.capture = event->capture;
    stream.capture->streams.insert(&stream);
    stream.tails.clear();
  }
  stream.tails.insert(event->tails.begin(), event->tails.end());
  return cudaSuccess;
}
