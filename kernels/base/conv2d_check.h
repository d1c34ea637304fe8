// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/conv2d.h"

namespace hourglass {

inline void check_conv2d_activation(const char* op, Activation activation) {
  if (activation != Activation::kGelu) return;
  throw Error(Exit::kUsage, std::string(op) +
                                ": gelu is not fused, because its derivative needs the input of the activation; "
                                "expected none, relu, leaky-relu, tanh, sigmoid or softplus");
}

inline void check_conv2d(const char* op, const Conv2dShape& s, Activation activation = Activation::kNone) {
  const auto require = [op](const char* name, int value, int least) {
    if (value >= least) return;
    throw Error(Exit::kUsage, std::string(op) + ": expected " + name + " >= " + std::to_string(least) + ", got " +
                                  std::to_string(value));
  };
  require("N", s.N, 0);
  require("H", s.H, 0);
  require("W", s.W, 0);
  require("C", s.C, 0);
  require("P", s.P, 0);
  require("Q", s.Q, 0);
  require("K", s.K, 0);
  require("R", s.R, 1);
  require("S", s.S, 1);
  require("stride_h", s.stride_h, 1);
  require("stride_w", s.stride_w, 1);
  require("dilation_h", s.dilation_h, 1);
  require("dilation_w", s.dilation_w, 1);
  check_conv2d_activation(op, activation);
}

inline void check_conv2d_backward_epilogue(const Conv2dEpilogueShape& s, const void* y) {
  if (s.rows < 0 || s.channels < 0) {
    throw Error(Exit::kUsage, "conv2d_backward_epilogue: expected rows, channels >= 0, got " + std::to_string(s.rows) +
                                  " and " + std::to_string(s.channels));
  }
  check_conv2d_activation("conv2d_backward_epilogue", s.activation);
  if (!y && s.activation != Activation::kNone && s.rows > 0 && s.channels > 0) {
    throw Error(Exit::kUsage, std::string("conv2d_backward_epilogue: the derivative of ") +
                                  activation_name(s.activation) + " needs y, got null");
  }
}

}  // namespace hourglass
