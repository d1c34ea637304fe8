// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "kernels/conv2d.h"

namespace hourglass {

/// A square window: P and Q are derived from x (N, H, W, C).
inline Conv2dShape conv2d_case(int N, int H, int W, int C, int K, int window, int stride = 1, int pad = 0,
                               int dilation = 1) {
  Conv2dShape s;
  s.N = N, s.H = H, s.W = W, s.C = C, s.K = K;
  s.R = s.S = window;
  s.stride_h = s.stride_w = stride;
  s.pad_h = s.pad_w = pad;
  s.dilation_h = s.dilation_w = dilation;
  s.P = conv2d_output_extent(H, window, stride, pad, pad, dilation);
  s.Q = conv2d_output_extent(W, window, stride, pad, pad, dilation);
  return s;
}

/// A transposed convolution of (N, P, Q, K) to (N, H, W, C).
inline Conv2dShape conv2d_transposed_case(int N, int P, int Q, int K, int C, int window, int stride = 1, int pad = 0,
                                          int output_padding = 0, int dilation = 1) {
  const int reach = dilation * (window - 1) + 1 + output_padding - 2 * pad;
  Conv2dShape s = conv2d_case(N, 0, 0, C, K, window, stride, pad, dilation);
  s.P = P, s.Q = Q;
  s.H = (P - 1) * stride + reach;
  s.W = (Q - 1) * stride + reach;
  return s;
}

/// Every extent for itself.
inline Conv2dShape conv2d_exact_case(int N, int H, int W, int C, int P, int Q, int K, int R, int S, int stride_h,
                                     int stride_w, int pad_h, int pad_w, int dilation_h = 1, int dilation_w = 1) {
  return {N, H, W, C, P, Q, K, R, S, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w};
}

/// "2x28x28x1-14x14x32-k4x4-s2x2-p1x1-d1x1": x, then y without its N.
inline std::string conv2d_name(const Conv2dShape& s) {
  const auto join = [](std::initializer_list<int> values) {
    std::string text;
    for (int value : values) {
      if (!text.empty()) text += 'x';
      text += std::to_string(value);
    }
    return text;
  };
  return join({s.N, s.H, s.W, s.C}) + "-" + join({s.P, s.Q, s.K}) + "-k" + join({s.R, s.S}) + "-s" +
         join({s.stride_h, s.stride_w}) + "-p" + join({s.pad_h, s.pad_w}) + "-d" + join({s.dilation_h, s.dilation_w});
}

/// The models' layers at a small batch, then awkward ones.
inline const std::vector<Conv2dShape> kConv2dCases = {
    conv2d_case(2, 28, 28, 1, 32, 4, 2, 1),                    // conv VAE, first layer; transposed: its last
    conv2d_case(2, 14, 14, 32, 64, 4, 2, 1),                   // its second
    conv2d_case(2, 28, 28, 1, 32, 3, 1, 1),                    // conv AE, first layer
    conv2d_case(1, 14, 14, 32, 32, 3, 1, 1),                   // its second
    conv2d_case(2, 28, 28, 32, 1, 3, 1, 1),                    // its last
    conv2d_case(3, 16, 16, 3, 64, 4, 2, 1),                    // colour images
    conv2d_case(2, 8, 8, 64, 32, 1),                           // residual block, second layer
    conv2d_transposed_case(2, 8, 8, 16, 3, 4, 2, 1),           // colour images, last transposed layer
    conv2d_transposed_case(2, 7, 7, 24, 16, 3, 2, 1, 1),       // output padding
    conv2d_case(1, 1, 1, 1, 1, 1),                             // one of each
    conv2d_case(1, 5, 7, 3, 5, 3),                             // no padding, odd channels
    conv2d_case(2, 9, 8, 5, 3, 2, 3),                          // stride beyond the window: pixels that no window covers
    conv2d_case(2, 11, 10, 4, 20, 5, 3, 2),                    // stride 3
    conv2d_case(1, 12, 13, 2, 17, 3, 1, 2, 2),                 // dilation, the size kept
    conv2d_case(2, 13, 12, 8, 8, 3, 2, 3, 3),                  // dilation and stride
    conv2d_case(1, 6, 6, 16, 40, 7, 1, 3),                     // a window larger than the image
    conv2d_case(1, 3, 2, 3, 4, 3, 1, 4),                       // windows wholly outside
    conv2d_case(1, 4, 4, 3, 2, 2, 5, 6),                       // most windows outside, none reaching far
    conv2d_exact_case(2, 7, 6, 5, 7, 6, 9, 4, 2, 1, 1, 1, 0),  // `same` of an even window
    conv2d_exact_case(2, 9, 5, 6, 4, 5, 7, 3, 1, 2, 1, 0, 0),  // not square
    conv2d_exact_case(1, 8, 9, 3, 3, 4, 6, 2, 3, 3, 2, 1, 2, 2, 1),  // all of it different down and across
    conv2d_exact_case(2, 8, 8, 4, 4, 4, 4, 3, 3, 1, 1, -2, -2),      // cropped
    conv2d_exact_case(1, 4, 5, 2, 9, 8, 3, 2, 2, 1, 1, 0, 0),        // outputs far below and right
    conv2d_case(5, 4, 4, 33, 31, 3, 1, 1),                           // beside a vector's width
    conv2d_case(17, 3, 3, 2, 3, 2),                                  // many small images
    conv2d_case(0, 4, 4, 3, 2, 3),                                   // no sample
    conv2d_case(2, 2, 2, 3, 2, 3),                                   // no output
    conv2d_exact_case(2, 0, 4, 3, 2, 2, 5, 3, 3, 1, 1, 1, 1),        // no input: sums are empty
    conv2d_case(2, 4, 4, 0, 3, 3),                                   // no channel in
    conv2d_case(2, 4, 4, 3, 0, 3),                                   // no channel out
};

/// Shapes that the timed float form cuts in more than one place: bands of rows and columns, blocks of channels, several
/// images to a block, several panels; and windows that it leaves to the reference.
inline const std::vector<Conv2dShape> kConv2dCutCases = {
    conv2d_case(1, 40, 40, 3, 8, 3, 1, 1),                                   // bands of rows
    conv2d_exact_case(1, 3, 700, 2, 3, 700, 5, 3, 3, 1, 1, 1, 1),            // bands of columns
    conv2d_exact_case(1, 5, 1300, 3, 2, 433, 5, 3, 4, 2, 3, 0, 1),           // both, strided
    conv2d_case(1, 5, 5, 150, 20, 3, 1, 1),                                  // blocks of channels
    conv2d_case(20, 4, 4, 80, 100, 3, 2, 1),                                 // and of images, several panels
    conv2d_exact_case(1, 70, 3, 2, 2, 3, 3, 65, 1, 1, 1, -2, 0),             // more taps than the timed form takes
    conv2d_exact_case(1, 301, 300, 1, 2, 3, 2, 2, 2, 1, 1, 0, 0, 299, 298),  // a window of a large reach
};

struct NamedConv2dShape {
  const char* name;
  bool transposed;
  Conv2dShape shape;
};

/// The layers of published autoencoders, from the first layers of small networks to those of 256 x 256 ones: timed.
inline const std::vector<NamedConv2dShape> kConv2dSweep = {
    {"C1", false, conv2d_case(128, 28, 28, 1, 32, 3, 1, 1)},
    {"C2", false, conv2d_case(128, 28, 28, 1, 32, 3, 2, 1)},
    {"C3", false, conv2d_case(256, 32, 32, 3, 64, 4, 2, 1)},
    {"C4", false, conv2d_case(256, 16, 16, 64, 128, 4, 2, 1)},
    {"C5", false, conv2d_case(256, 8, 8, 128, 256, 4, 2, 1)},
    {"C6", false, conv2d_case(128, 32, 32, 3, 256, 4, 2, 1)},
    {"C7", false, conv2d_case(128, 16, 16, 256, 256, 4, 2, 1)},
    {"C8", false, conv2d_case(128, 8, 8, 256, 256, 3, 1, 1)},
    {"C9", false, conv2d_case(128, 8, 8, 256, 256, 1)},
    {"C10", false, conv2d_case(128, 8, 8, 128, 32, 3, 1, 1)},
    {"C11", false, conv2d_case(16, 256, 256, 3, 128, 3, 1, 1)},
    {"C12", false, conv2d_case(16, 256, 256, 128, 128, 3, 1, 1)},
    {"C13", false, conv2d_case(16, 128, 128, 128, 256, 3, 1, 1)},
    {"C14", false, conv2d_case(16, 64, 64, 256, 256, 3, 1, 1)},
    {"C15", false, conv2d_case(16, 32, 32, 512, 512, 3, 1, 1)},
    {"C16", false, conv2d_case(16, 16, 16, 512, 512, 3, 1, 1)},
    {"C17", false, conv2d_case(16, 256, 256, 128, 3, 3, 1, 1)},
    {"C18", false, conv2d_case(32, 56, 56, 64, 64, 3, 1, 1)},
    {"T1", true, conv2d_transposed_case(128, 7, 7, 64, 64, 3, 2, 1, 1)},
    {"T2", true, conv2d_transposed_case(256, 4, 4, 256, 128, 4, 2, 1)},
    {"T3", true, conv2d_transposed_case(256, 8, 8, 128, 64, 4, 2, 1)},
    {"T4", true, conv2d_transposed_case(256, 16, 16, 64, 3, 4, 2, 1)},
    {"T5", true, conv2d_transposed_case(128, 8, 8, 256, 256, 4, 2, 1)},
    {"T6", true, conv2d_transposed_case(128, 16, 16, 256, 3, 4, 2, 1)},
    {"T7", true, conv2d_transposed_case(64, 8, 8, 256, 256, 5, 2, 2, 1)},
    {"T8", true, conv2d_transposed_case(16, 32, 32, 512, 256, 4, 2, 1)},
};

/// The layers of the two networks whose training steps are published: conv VAE (the first two serve its transposed
/// layers too) and conv AE.
inline const std::vector<NamedConv2dShape> kConv2dModels = {
    {"vae1", false, conv2d_case(128, 28, 28, 1, 32, 4, 2, 1)},
    {"vae2", false, conv2d_case(128, 14, 14, 32, 64, 4, 2, 1)},
    {"vae3", true, conv2d_case(128, 14, 14, 32, 64, 4, 2, 1)},
    {"vae4", true, conv2d_case(128, 28, 28, 1, 32, 4, 2, 1)},
    {"ae1", false, conv2d_case(128, 28, 28, 1, 32, 3, 1, 1)},
    {"ae2", false, conv2d_case(128, 14, 14, 32, 32, 3, 1, 1)},
    {"ae3", false, conv2d_case(128, 7, 7, 32, 32, 3, 1, 1)},
    {"ae4", false, conv2d_case(128, 28, 28, 32, 1, 3, 1, 1)},
};

}  // namespace hourglass
