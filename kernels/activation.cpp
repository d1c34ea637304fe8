// SPDX-License-Identifier: Apache-2.0
#include "kernels/activation.h"

#include "kernels/base/activation_functions.h"
#include "kernels/base/error.h"

namespace hourglass {

const char* activation_name(Activation a) {
  switch (a) {
    case Activation::kNone:
      return "none";
    case Activation::kRelu:
      return "relu";
    case Activation::kLeakyRelu:
      return "leaky-relu";
    case Activation::kTanh:
      return "tanh";
    case Activation::kSigmoid:
      return "sigmoid";
    case Activation::kSoftplus:
      return "softplus";
    case Activation::kGelu:
      return "gelu";
  }
  throw Error(Exit::kInternal, "activation: no activation has the number " + std::to_string(static_cast<int>(a)));
}

Activation parse_activation(const std::string& name) {
  std::string known;
  for (Activation a : kActivations) {
    if (name == activation_name(a)) return a;
    known += (known.empty() ? "" : ", ") + std::string(activation_name(a));
  }
  throw Error(Exit::kUsage, "activation: expected one of " + known + ", got \"" + name + "\"");
}

namespace cpu {

template <class T>
void activation_forward(const Context&, ActivationShape s, const T* x, T* y) {
  check_activation(s);
  with_activation(s.activation, [&](auto a) {
    for (int64_t i = 0; i < s.n; ++i) y[i] = activate<a>(x[i]);
  });
}

template <class T>
void activation_backward(const Context&, ActivationShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_activation_backward(s, x);
  if (!dx) return;
  with_activation(s.activation, [&](auto a) {
    for (int64_t i = 0; i < s.n; ++i) {
      if constexpr (a == Activation::kGelu) {
        write(dx.data[i], dy[i] * gelu_derivative(x[i]), dx.mode);
      } else if constexpr (a == Activation::kNone) {
        write(dx.data[i], dy[i], dx.mode);
      } else {
        write(dx.data[i], dy[i] * derivative_from_output<a>(y[i]), dx.mode);
      }
    }
  });
}

template void activation_forward(const Context&, ActivationShape, const float*, float*);
template void activation_forward(const Context&, ActivationShape, const double*, double*);
template void activation_backward(const Context&, ActivationShape, const float*, const float*, const float*,
                                  Grad<float>);
template void activation_backward(const Context&, ActivationShape, const double*, const double*, const double*,
                                  Grad<double>);

}  // namespace cpu
}  // namespace hourglass
