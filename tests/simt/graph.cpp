// SPDX-License-Identifier: Apache-2.0
// Capture and replay. A replay runs the nodes in any order that the recorded dependencies allow, as the schedule says:
// a fork without its join, or a missing event, changes results.
#include <algorithm>
#include <random>

#include "tests/simt/report.h"
#include "tests/simt/stream.h"

namespace simt {
namespace {

/// Nodes that `tails` depend on, themselves included.
std::set<size_t> ancestors(const SimtGraph& graph, const std::set<size_t>& tails) {
  std::set<size_t> found;
  std::vector<size_t> open(tails.begin(), tails.end());
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    if (!found.insert(node).second) continue;
    const auto& dependencies = graph.nodes[node]->dependencies;
    open.insert(open.end(), dependencies.begin(), dependencies.end());
  }
  return found;
}

bool all_joined(const Capture& capture) {
  const std::set<size_t> joined = ancestors(*capture.graph, capture.origin->tails);
  return std::all_of(capture.streams.begin(), capture.streams.end(), [&](const SimtStream* stream) {
    return std::includes(joined.begin(), joined.end(), stream->tails.begin(), stream->tails.end());
  });
}

/// The place in `ready` of the node to run next.
size_t choose(const std::vector<size_t>& ready, std::mt19937_64& random) {
  switch (config().order) {
    case Order::kForward:
      return static_cast<size_t>(std::min_element(ready.begin(), ready.end()) - ready.begin());
    case Order::kReverse:
      return static_cast<size_t>(std::max_element(ready.begin(), ready.end()) - ready.begin());
    case Order::kShuffled:
      break;
  }
  return random() % ready.size();
}

void replay(const std::vector<SimtGraphExec::Node>& nodes) {
  std::vector<size_t> missing(nodes.size()), ready;
  std::vector<std::vector<size_t>> dependents(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].dependencies.size();
    if (missing[i] == 0) ready.push_back(i);
    for (size_t dependency : nodes[i].dependencies) dependents[dependency].push_back(i);
  }
  std::mt19937_64 random(config().seed);
  while (!ready.empty() && device_fault() == cudaSuccess) {
    const size_t place = choose(ready, random);
    const size_t node = ready[place];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(place));
    nodes[node].work();
    for (size_t dependent : dependents[node]) {
      if (--missing[dependent] == 0) ready.push_back(dependent);
    }
  }
}

}  // namespace
}  // namespace simt

using namespace simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (is_default_stream(stream)) return remember(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return remember(cudaErrorIllegalState);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->streams.insert(stream);
  stream->tails.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (is_default_stream(stream) || !stream->capture) return remember(cudaErrorIllegalState);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture->origin != stream) return invalidate(*capture, cudaErrorStreamCaptureUnmatched);
  cudaError_t error = cudaSuccess;
  if (capture->invalid) {
    error = cudaErrorStreamCaptureInvalidated;
  } else if (!all_joined(*capture)) {
    error = cudaErrorStreamCaptureUnjoined;
  }
  for (SimtStream* joined : capture->streams) {
    joined->capture.reset();
    joined->tails.clear();
  }
  const std::unique_ptr<SimtGraph> recorded = std::move(capture->graph);
  if (error != cudaSuccess) return remember(error);
  *graph = new SimtGraph(std::move(*recorded));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  const SimtStream& stream = stream_of(handle);
  *status = !stream.capture           ? cudaStreamCaptureStatusNone
            : stream.capture->invalid ? cudaStreamCaptureStatusInvalidated
                                      : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  if (nodes) {
    for (size_t i = 0; i < *count; ++i) nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    *count = std::min(*count, graph->nodes.size());
  } else {
    *count = graph->nodes.size();
  }
  return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  *type = node->type;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  auto nodes = std::make_shared<std::vector<SimtGraphExec::Node>>();
  for (const auto& node : graph->nodes) nodes->push_back({node->work, node->dependencies});
  *executable = new SimtGraphExec{std::move(nodes)};
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return device_fault(); }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  SimtStream& target = stream_of(stream);
  if (target.capture) return invalidate(*target.capture, cudaErrorStreamCaptureUnsupported);
  ++counters().graph_launches;
  return push(stream, cudaGraphNodeTypeHost, [nodes = executable->nodes] { replay(*nodes); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
