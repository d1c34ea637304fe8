// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/cudnn_conv2d.h"

#include <cuda_runtime.h>
#include <cudnn.h>

#include <algorithm>
#include <limits>
#include <string>

#include "benchmarks/cudnn_engines.h"
#include "kernels/base/bf16.h"
#include "kernels/base/cuda_check.h"
#include "kernels/base/cuda_device.h"

namespace hourglass::bench {
namespace {

void check(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(Exit::kUsage, std::string("cuDNN: ") + call + ": " + cudnnGetErrorString(status));
}
#define CUDNN_CHECK(call) check(call, #call)

/// The least of three calls after one that does not count.
template <class Call>
double least_milliseconds(const Context& ctx, Call call) {
  const std::shared_ptr<void> first(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
  const std::shared_ptr<void> last(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 4; ++i) {
    cuda::record_event(first.get(), ctx.stream);
    call();
    cuda::record_event(last.get(), ctx.stream);
    cuda::synchronize_event(last.get());
    if (i > 0) least = std::min(least, 1e3 * cuda::seconds_between(first.get(), last.get()));
  }
  return least;
}

constexpr size_t kWorkspace = size_t{256} << 20;
constexpr int kAlgorithms = 16;
constexpr float kOne = 1, kZero = 0;

}  // namespace

template <class T>
struct CudnnConv2d<T>::Plan {
  Conv2dProduct product;
  cudnnHandle_t handle = nullptr;
  cudnnTensorDescriptor_t x = nullptr, y = nullptr, bias = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  cudnnActivationDescriptor_t relu = nullptr;
  bool strict = false;
  int algorithm = -1;                              ///< none
  std::unique_ptr<CudnnEngine> engine, bias_relu;  ///< where they are faster
  void* workspace = nullptr;

  explicit Plan(Conv2dProduct product_) : product(product_) {}
  /// Delegates, so that what it made is destroyed when it throws.
  Plan(const Context& ctx, Conv2dProduct product_, const Conv2dShape& s) : Plan(product_) {
    constexpr auto kType = sizeof(T) == 2 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    CUDNN_CHECK(cudnnCreate(&handle));
    CUDNN_CHECK(cudnnSetStream(handle, static_cast<cudaStream_t>(ctx.stream)));
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&x));
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&y));
    CUDNN_CHECK(cudnnCreateTensorDescriptor(&bias));
    CUDNN_CHECK(cudnnCreateFilterDescriptor(&w));
    CUDNN_CHECK(cudnnCreateConvolutionDescriptor(&convolution));
    CUDNN_CHECK(cudnnCreateActivationDescriptor(&relu));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, kType, s.N, s.C, s.H, s.W));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NHWC, kType, s.N, s.K, s.P, s.Q));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(bias, CUDNN_TENSOR_NHWC, kType, 1, s.K, 1, 1));
    CUDNN_CHECK(cudnnSetFilter4dDescriptor(w, kType, CUDNN_TENSOR_NHWC, s.K, s.C, s.R, s.S));
    CUDNN_CHECK(cudnnSetConvolution2dDescriptor(convolution, s.pad_h, s.pad_w, s.stride_h, s.stride_w, s.dilation_h,
                                                s.dilation_w, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    strict = sizeof(T) == 4 && ctx.math == Math::kFp32;
    CUDNN_CHECK(cudnnSetConvolutionMathType(convolution, strict ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH));
    CUDNN_CHECK(cudnnSetActivationDescriptor(relu, CUDNN_ACTIVATION_RELU, CUDNN_NOT_PROPAGATE_NAN, 0));
    int n = 0, k = 0, p = 0, q = 0;
    CUDNN_CHECK(cudnnGetConvolution2dForwardOutputDim(convolution, x, w, &n, &k, &p, &q));
    if (p != s.P || q != s.Q) throw Error(Exit::kUsage, "cuDNN: padding differs above and below");
    CUDA_CHECK(cudaMalloc(&workspace, kWorkspace));
  }
  ~Plan() {
    engine.reset();
    bias_relu.reset();
    static_cast<void>(cudaFree(workspace));
    if (relu) cudnnDestroyActivationDescriptor(relu);
    if (convolution) cudnnDestroyConvolutionDescriptor(convolution);
    if (w) cudnnDestroyFilterDescriptor(w);
    for (auto tensor : {x, y, bias}) {
      if (tensor) cudnnDestroyTensorDescriptor(tensor);
    }
    if (handle) cudnnDestroy(handle);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Takes the fastest of the algorithms found; its milliseconds, infinity if there is none.
  template <class Found, class Search>
  double choose(Search search) {
    Found found[kAlgorithms];
    int count = 0;
    if (search(&count, found) != CUDNN_STATUS_SUCCESS) count = 0;
    for (int i = 0; i < count; ++i) {  // the fastest first
      if (found[i].status != CUDNN_STATUS_SUCCESS || found[i].memory > kWorkspace) continue;
      if (strict && found[i].mathType != CUDNN_FMA_MATH && found[i].mathType != CUDNN_DEFAULT_MATH) continue;
      algorithm = static_cast<int>(found[i].algo);
      CUDNN_CHECK(cudnnSetConvolutionMathType(convolution, strict ? CUDNN_FMA_MATH : found[i].mathType));
      return static_cast<double>(found[i].time);
    }
    return std::numeric_limits<double>::infinity();
  }
  double search_algorithms(const T* in, const T* other, T* out) {
    if (product == Conv2dProduct::kForward) {
      return choose<cudnnConvolutionFwdAlgoPerf_t>([&](int* count, auto* found) {
        return cudnnFindConvolutionForwardAlgorithmEx(handle, x, in, w, other, convolution, y, out, kAlgorithms, count,
                                                      found, workspace, kWorkspace);
      });
    }
    if (product == Conv2dProduct::kBackwardInput) {
      return choose<cudnnConvolutionBwdDataAlgoPerf_t>([&](int* count, auto* found) {
        return cudnnFindConvolutionBackwardDataAlgorithmEx(handle, w, other, y, in, convolution, x, out, kAlgorithms,
                                                           count, found, workspace, kWorkspace);
      });
    }
    return choose<cudnnConvolutionBwdFilterAlgoPerf_t>([&](int* count, auto* found) {
      return cudnnFindConvolutionBackwardFilterAlgorithmEx(handle, x, in, y, other, convolution, w, out, kAlgorithms,
                                                           count, found, workspace, kWorkspace);
    });
  }
  CudnnSearch engines(const Context& ctx, const Conv2dShape& s, const T* in, const T* other, const T* bias, T* out,
                      double seconds) const {
    constexpr auto kType = sizeof(T) == 2 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    return {handle, ctx.stream, product, s, kType, strict, in, other, bias, out, workspace, kWorkspace, seconds};
  }
  void search(const Context& ctx, const Conv2dShape& s, const T* in, const T* other, T* out, double seconds) {
    const double milliseconds = search_algorithms(in, other, out);
    try {
      if (seconds > 0) engine = CudnnEngine::fastest(engines(ctx, s, in, other, nullptr, out, seconds));
    } catch (const Error&) {  // a product that the graph API does not take
      if (algorithm < 0) throw;
    }
    if (engine && engine->milliseconds() >= milliseconds) engine.reset();
    if (!engine && algorithm < 0) throw Error(Exit::kUsage, "cuDNN: neither an algorithm nor an engine");
  }
};

template <class T>
CudnnConv2d<T>::CudnnConv2d(const Context& ctx, Conv2dProduct product, const Conv2dShape& s, const T* in,
                            const T* other, T* out, double seconds, const T* bias)
    : plan_(std::make_unique<Plan>(ctx, product, s)) {
  if (!bias) {
    plan_->search(ctx, s, in, other, out, seconds);
    return;
  }
  auto engine = CudnnEngine::fastest(plan_->engines(ctx, s, in, other, bias, out, seconds));
  try {
    const double without = least_milliseconds(ctx, [&] { run_bias_relu(in, other, bias, out); });
    if (engine && engine->milliseconds() < without) plan_->bias_relu = std::move(engine);
  } catch (const Error&) {  // a product that the older interface does not take
    if (!engine) throw;
    plan_->bias_relu = std::move(engine);
  }
}
template <class T>
CudnnConv2d<T>::~CudnnConv2d() = default;

template <class T>
void CudnnConv2d<T>::run(const T* in, const T* other, T* out) const {
  const Plan& p = *plan_;
  if (p.engine) return p.engine->run(in, other, nullptr, out);
  if (p.product == Conv2dProduct::kForward) {
    CUDNN_CHECK(cudnnConvolutionForward(p.handle, &kOne, p.x, in, p.w, other, p.convolution,
                                        static_cast<cudnnConvolutionFwdAlgo_t>(p.algorithm), p.workspace, kWorkspace,
                                        &kZero, p.y, out));
  } else if (p.product == Conv2dProduct::kBackwardInput) {
    CUDNN_CHECK(cudnnConvolutionBackwardData(p.handle, &kOne, p.w, other, p.y, in, p.convolution,
                                             static_cast<cudnnConvolutionBwdDataAlgo_t>(p.algorithm), p.workspace,
                                             kWorkspace, &kZero, p.x, out));
  } else {
    CUDNN_CHECK(cudnnConvolutionBackwardFilter(p.handle, &kOne, p.x, in, p.y, other, p.convolution,
                                               static_cast<cudnnConvolutionBwdFilterAlgo_t>(p.algorithm), p.workspace,
                                               kWorkspace, &kZero, p.w, out));
  }
}

template <class T>
std::string CudnnConv2d<T>::name() const {
  if (plan_->bias_relu) return plan_->bias_relu->name();
  if (plan_->engine) return plan_->engine->name();
  return plan_->algorithm < 0 ? "the fused algorithm" : "algorithm " + std::to_string(plan_->algorithm);
}

template <class T>
void CudnnConv2d<T>::run_bias_relu(const T* x, const T* w, const T* bias, T* y) const {
  const Plan& p = *plan_;
  if (p.bias_relu) return p.bias_relu->run(x, w, bias, y);
  // Fused relu has one algorithm; where the search took another, cuDNN would refuse.
  CUDNN_CHECK(cudnnConvolutionBiasActivationForward(p.handle, &kOne, p.x, x, p.w, w, p.convolution,
                                                    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, p.workspace,
                                                    kWorkspace, &kZero, p.y, y, p.bias, bias, p.relu, p.y, y));
}

template class CudnnConv2d<float>;
template class CudnnConv2d<bf16>;

}  // namespace hourglass::bench
