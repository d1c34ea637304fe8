// SPDX-License-Identifier: Apache-2.0
// cuDNN's graph API, as far as one convolution needs it: every engine configuration that its heuristics propose (modes
// A, B and fallback), timed, and the fastest kept. What cuDNN's older interface does not reach is found here.
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>

#include "kernels/base/conv2d_technique.h"

namespace hourglass::bench {

/// One product to search for, on buffers of the case; `out` is lost. With a bias: relu(forward + bias) in one graph.
struct CudnnSearch {
  cudnnHandle_t handle;
  void* stream;
  Conv2dProduct product;
  Conv2dShape shape;
  cudnnDataType_t type;
  bool strict;  ///< float multiplied in full: no engine on tensor cores
  const void *in, *other, *bias;
  void *out, *workspace;
  size_t workspace_bytes;
  double seconds;  ///< after which no further engine is tried
};

class CudnnEngine {
 public:
  /// The fastest engine of those that run, or null if there is none.
  static std::unique_ptr<CudnnEngine> fastest(const CudnnSearch& search);
  ~CudnnEngine();
  CudnnEngine(const CudnnEngine&) = delete;
  CudnnEngine& operator=(const CudnnEngine&) = delete;

  void run(const void* in, const void* other, const void* bias, void* out) const;
  /// Of one call in the search.
  double milliseconds() const;
  /// "engine 12 (31 of 44 ran)"; says so if the time did not suffice for all.
  const std::string& name() const;

  struct State;

 private:
  explicit CudnnEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hourglass::bench
