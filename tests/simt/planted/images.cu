// SPDX-License-Identifier: Apache-2.0
// Planted bugs in kernels on pictures, drawn from Hourglass's convolution, pooling, resizing and group norm. One
// channel, rows and columns.
#include <algorithm>

#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

enum class ConvBug { kNone, kPad, kBound, kStrides, kTap };

struct Conv {
  int H = 7, W = 10, R = 3, S = 3, pad = 1, stride_h = 1, stride_w = 2;
  HOURGLASS_HD int P() const { return (H + 2 * pad - R) / stride_h + 1; }
  HOURGLASS_HD int Q() const { return (W + 2 * pad - S) / stride_w + 1; }
};

__global__ void conv_direct_kernel(Conv c, const float* x, const float* w, float* y, ConvBug bug) {
  const auto i = static_cast<int>(gpu::global_thread());
  if (i >= c.P() * c.Q()) return;
  const int p = i / c.Q(), q = i % c.Q();
  const int pad = bug == ConvBug::kPad ? 0 : c.pad;
  const int stride_h = bug == ConvBug::kStrides ? c.stride_w : c.stride_h;
  const int stride_w = bug == ConvBug::kStrides ? c.stride_h : c.stride_w;
  float total = 0;
  for (int r = 0; r < c.R; ++r) {
    for (int s = 0; s < (bug == ConvBug::kTap ? c.S - 1 : c.S); ++s) {
      const int h = p * stride_h - pad + r, v = q * stride_w - pad + s;
      const bool inside = h >= 0 && h < c.H && v >= 0 && v < c.W;
      if (inside || bug == ConvBug::kBound) total += x[h * c.W + v] * w[r * c.S + s];
    }
  }
  y[i] = total;
}
Outcome conv(ConvBug bug) {
  const Conv c;
  const Floats x = ramp(static_cast<size_t>(c.H * c.W)), w = ramp(static_cast<size_t>(c.R * c.S));
  Floats want;
  for (int p = 0; p < c.P(); ++p) {
    for (int q = 0; q < c.Q(); ++q) {
      float total = 0;
      for (int r = 0; r < c.R; ++r) {
        for (int s = 0; s < c.S; ++s) {
          const int h = p * c.stride_h - c.pad + r, v = q * c.stride_w - c.pad + s;
          if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
          total += x[static_cast<size_t>(h * c.W + v)] * w[static_cast<size_t>(r * c.S + s)];
        }
      }
      want.push_back(total);
    }
  }
  const Array<> device_x(x), device_w(w), y(want.size());
  launch(conv_direct_kernel, 2, 64, c, device_x.data(), device_w.data(), y.data(), bug);
  return {y.values(), want};
}
template <ConvBug kBug>
Outcome conv_with(bool planted) {
  return conv(planted ? kBug : ConvBug::kNone);
}

__global__ void max_pool_window_kernel(const float* x, float* y, bool planted) {
  float largest = planted ? 0 : -std::numeric_limits<float>::infinity();
  for (unsigned i = 0; i < 4; ++i) largest = fmaxf(largest, x[4 * threadIdx.x + i]);
  y[threadIdx.x] = largest;
}
Outcome max_pool_from_zero(bool planted) {
  const Array<> x(each(128, [](size_t i) { return -1.0 - static_cast<double>(i % 7); })), y(32);
  launch(max_pool_window_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), each(32, [](size_t i) {
            double largest = -100;
            for (size_t k = 4 * i; k < 4 * i + 4; ++k) largest = std::max(largest, -1.0 - static_cast<double>(k % 7));
            return largest;
          })};
}

/// Gradient of a nearest-neighbour upsampling by two: each input gathers from its outputs, or each output adds to its
/// input.
__global__ void upsample_backward_kernel(const float* dy, float* dx, bool planted) {
  const unsigned i = threadIdx.x;
  if (planted) {
    dx[i / 2] += dy[i];
  } else if (i < 32) {
    dx[i] += dy[2 * i] + dy[2 * i + 1];
  }
}
Outcome upsample_scatter(bool planted) {
  const Array<> dy(Floats(64, 1)), dx(Floats(32, 0));
  launch(upsample_backward_kernel, 1, 64, dy.data(), dx.data(), planted);
  return {dx.values(), Floats(32, 2)};
}

/// A block that serves two groups, with one shared word for the mean.
__global__ void group_means_kernel(const float* x, float* y, bool planted) {
  __shared__ float mean;
  for (unsigned group = 0; group < 2; ++group) {
    if (threadIdx.x == 32 * group) {
      float total = 0;
      for (unsigned i = 0; i < 64; ++i) total += x[64 * group + i];
      mean = total / 64;
    }
    __syncthreads();
    y[64 * group + threadIdx.x] = x[64 * group + threadIdx.x] - mean;
    if (!planted) __syncthreads();
  }
}
Outcome group_mean_overwritten(bool planted) {
  const Array<> x(each(128, [](size_t i) { return i / 64; })), y(128);
  launch(group_means_kernel, 1, 64, x.data(), y.data(), planted);
  return {y.values(), Floats(128, 0)};
}

}  // namespace

std::vector<PlantedBug> planted_images() {
  return {
      {"conv_wrong_pad", "convolution: the pad forgotten", "wrong", "wrong", "wrong", conv_with<ConvBug::kPad>},
      {"conv_without_bound", "convolution: taps in the border read from the neighbouring rows", "wrong", "asan",
       "out-of-bounds", conv_with<ConvBug::kBound>},
      {"conv_swapped_strides", "convolution: the strides of height and width swapped", "wrong", "wrong", "wrong",
       conv_with<ConvBug::kStrides>},
      {"conv_dropped_tap", "convolution: the filter's last column left out", "wrong", "wrong", "wrong",
       conv_with<ConvBug::kTap>},
      {"max_pool_from_zero", "max pooling that starts from 0 instead of minus infinity", "wrong", "wrong", "wrong",
       max_pool_from_zero},
      {"upsample_scatter", "gradient of upsampling: two outputs add to one input", "", "", "race", upsample_scatter},
      {"group_mean_overwritten", "group norm: the next group's mean while this one's is read", "wrong differs",
       "wrong differs", "race", group_mean_overwritten},
  };
}

}  // namespace hourglass::test
