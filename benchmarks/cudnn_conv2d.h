// SPDX-License-Identifier: Apache-2.0
// The products of conv2d.h by cuDNN: the rival of the benchmarks and the oracle of a test on a GPU. Built with nvcc
// where cuDNN is found (HOURGLASS_HAS_CUDNN); the program never links it.
#pragma once

#include <memory>
#include <string>

#include "kernels/base/conv2d_technique.h"

namespace hourglass::bench {

/// One product of one shape, NHWC, float sums, by what is fastest of all algorithms of cuDNN's older interface and of
/// all engines that its graph API proposes, within 256 MiB of workspace. HOURGLASS_CUDNN_SECONDS (1) bounds the search
/// of the latter. Buffers are those of conv2d.h, but for the gradient of the weight, which has the storage type.
template <class T>
class CudnnConv2d {
 public:
  /// Searches on the given buffers, whose contents are lost in `out`, for engines as long as `seconds`. With a bias
  /// for run_bias_relu, else for run. kUsage where
  /// cuDNN does not have the product: P and Q that padding on both sides does not give, or no algorithm.
  CudnnConv2d(const Context& ctx, Conv2dProduct product, const Conv2dShape& s, const T* in, const T* other, T* out,
              double seconds = 1, const T* bias = nullptr);
  ~CudnnConv2d();
  CudnnConv2d(const CudnnConv2d&) = delete;
  CudnnConv2d& operator=(const CudnnConv2d&) = delete;

  /// forward: in = x, other = w, out = y; backward_input: y, w, x; backward_weight: x, dy, dw.
  void run(const T* in, const T* other, T* out) const;
  /// relu(forward + bias), in one call: of the older interface, or an engine searched for with a bias.
  void run_bias_relu(const T* x, const T* w, const T* bias, T* y) const;

  /// "algorithm 1", or "engine 12 (31 of 44 ran)".
  std::string name() const;

  struct Plan;

 private:
  std::unique_ptr<Plan> plan_;
};

}  // namespace hourglass::bench
