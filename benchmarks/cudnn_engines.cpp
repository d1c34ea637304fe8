// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/cudnn_engines.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass::bench {
namespace {

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(Exit::kUsage, std::string("cuDNN: ") + what + ": " + cudnnGetErrorString(status));
}

/// A descriptor of the graph API, its attributes set one by one.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    check(cudnnBackendCreateDescriptor(type, &descriptor_), "cudnnBackendCreateDescriptor");
  }
  ~Descriptor() {
    if (descriptor_) cudnnBackendDestroyDescriptor(descriptor_);
  }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  cudnnBackendDescriptor_t get() const { return descriptor_; }
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count, const void* values) {
    check(cudnnBackendSetAttribute(descriptor_, name, type, count, values), "cudnnBackendSetAttribute");
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& part) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part.descriptor_);
  }
  void set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
    set(name, CUDNN_TYPE_INT64, static_cast<int64_t>(values.size()), values.data());
  }
  /// False where cuDNN refuses, which for an engine says that it does not take the product.
  bool finalized() { return cudnnBackendFinalize(descriptor_) == CUDNN_STATUS_SUCCESS; }
  void finalize(const char* what) { check(cudnnBackendFinalize(descriptor_), what); }
  /// Up to `most` values; how many there are.
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most, void* values) const {
    int64_t count = 0;
    return cudnnBackendGetAttribute(descriptor_, name, type, most, &count, values) == CUDNN_STATUS_SUCCESS ? count : 0;
  }

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

enum : int64_t { kX = 1, kW, kY, kBias, kProduct, kSum };

/// A channels-last tensor (N, C, H, W) in cuDNN's order of extents. Those between operations are never in memory.
Descriptor tensor(int64_t id, cudnnDataType_t type, int64_t n, int64_t c, int64_t h, int64_t w) {
  const bool between = id >= kProduct;
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w});
  t.set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, 1, w * c, c});
  t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {id});
  t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {16});
  t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &between);
  t.finalize("tensor");
  return t;
}

Descriptor convolution(const Conv2dShape& s) {
  Descriptor c(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  c.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2});
  c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
  c.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  c.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.pad_h, s.pad_w});
  c.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.pad_h, s.pad_w});
  c.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {s.dilation_h, s.dilation_w});
  c.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride_h, s.stride_w});
  c.finalize("convolution");
  return c;
}

/// The names of an operation's attributes.
struct Operation {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
Operation operation_of(Conv2dProduct product) {
  if (product == Conv2dProduct::kForward) {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  }
  if (product == Conv2dProduct::kBackwardInput) {
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

/// y = mode(x, b), in float; b may be null.
Descriptor pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b, const Descriptor& y) {
  const cudnnDataType_t type = CUDNN_DATA_FLOAT;
  Descriptor what(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
  what.finalize("pointwise");
  Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalize("pointwise operation");
  return operation;
}

/// The product, with a bias also the sum and relu; its parts stay in `parts`.
Descriptor operation_graph(const CudnnSearch& p, std::vector<Descriptor>& parts) {
  const Conv2dShape& s = p.shape;
  const Operation names = operation_of(p.product);
  const float one = 1, zero = 0;
  parts.push_back(tensor(kX, p.type, s.N, s.C, s.H, s.W));
  parts.push_back(tensor(kW, p.type, s.K, s.C, s.R, s.S));
  parts.push_back(tensor(kY, p.type, s.N, s.K, s.P, s.Q));
  parts.push_back(convolution(s));
  parts.push_back(tensor(kBias, p.type, 1, s.K, 1, 1));
  parts.push_back(tensor(kProduct, CUDNN_DATA_FLOAT, s.N, s.K, s.P, s.Q));
  parts.push_back(tensor(kSum, CUDNN_DATA_FLOAT, s.N, s.K, s.P, s.Q));
  std::vector<Descriptor> operations;
  operations.emplace_back(names.type);
  operations[0].set(names.x, parts[0]);
  operations[0].set(names.w, parts[1]);
  operations[0].set(names.y, parts[p.bias ? 5 : 2]);
  operations[0].set(names.convolution, parts[3]);
  operations[0].set(names.alpha, CUDNN_TYPE_FLOAT, 1, &one);
  operations[0].set(names.beta, CUDNN_TYPE_FLOAT, 1, &zero);
  operations[0].finalize("operation");
  if (p.bias) {
    operations.push_back(pointwise(CUDNN_POINTWISE_ADD, parts[5], &parts[4], parts[6]));
    operations.push_back(pointwise(CUDNN_POINTWISE_RELU_FWD, parts[6], nullptr, parts[2]));
  }
  std::vector<cudnnBackendDescriptor_t> raw;
  for (Descriptor& operation : operations) raw.push_back(operation.get());
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &p.handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
  graph.finalize("operation graph");
  for (Descriptor& operation : operations) parts.push_back(std::move(operation));
  return graph;
}

/// Appends what one mode of the heuristics proposes, the likely fastest first.
void propose(const Descriptor& graph, cudnnBackendHeurMode_t mode, std::vector<Descriptor>& configurations) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  if (!heuristics.finalized()) return;
  int64_t count = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < count; ++i) {
    found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(found.back().get());
  }
  count = heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, raw.data());
  for (int64_t i = 0; i < count; ++i) configurations.push_back(std::move(found[static_cast<size_t>(i)]));
}

/// The engine's number, or -1 where its sums would be less exact than ours or, with `strict`, its products.
int64_t engine_number(const Descriptor& configuration, bool strict) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.get();
  configuration.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
  std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  notes.resize(static_cast<size_t>(engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                              CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes.data())));
  const auto has = [&](cudnnBackendNumericalNote_t note) {
    return std::find(notes.begin(), notes.end(), note) != notes.end();
  };
  if (has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return -1;
  if (strict && (has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))) return -1;
  int64_t number = -1;
  engine.get(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &number);
  return number;
}

}  // namespace

struct CudnnEngine::State {
  cudnnHandle_t handle;
  Conv2dProduct product;
  void* workspace;
  Descriptor configuration, plan;
  double milliseconds = std::numeric_limits<double>::infinity();
  std::string name = {};

  State(const CudnnSearch& p, Descriptor configuration_)
      : handle(p.handle),
        product(p.product),
        workspace(p.workspace),
        configuration(std::move(configuration_)),
        plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  }

  bool fits(size_t workspace_bytes) {
    if (!plan.finalized()) return false;
    int64_t bytes = 0;
    plan.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &bytes);
    return bytes <= static_cast<int64_t>(workspace_bytes);
  }

  bool runs(const void* in, const void* other, const void* bias, void* out) const {
    const void* x = product == Conv2dProduct::kBackwardInput ? out : in;
    const void* w = product == Conv2dProduct::kBackwardWeight ? out : other;
    const void* y = product == Conv2dProduct::kForward ? out : product == Conv2dProduct::kBackwardInput ? in : other;
    const void* pointers[] = {x, w, y, bias};
    const int64_t ids[] = {kX, kW, kY, kBias}, count = bias ? 4 : 3;
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers);
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    pack.finalize("variant pack");
    return cudnnBackendExecute(handle, plan.get(), pack.get()) == CUDNN_STATUS_SUCCESS;
  }

  /// The least of three calls after one that does not count; stops where the engine is out of the running.
  bool measure(const CudnnSearch& p, double to_beat) {
    const std::shared_ptr<void> first(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
    const std::shared_ptr<void> last(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
    for (int call = 0; call < 4; ++call) {
      cuda::record_event(first.get(), p.stream);
      if (!runs(p.in, p.other, p.bias, p.out)) return false;
      cuda::record_event(last.get(), p.stream);
      cuda::synchronize_event(last.get());
      const double taken = 1e3 * cuda::seconds_between(first.get(), last.get());
      if (call == 0) continue;  // it loads the kernel
      milliseconds = std::min(milliseconds, taken);
      if (taken > 3 * to_beat) break;
    }
    return true;
  }
};

std::unique_ptr<CudnnEngine> CudnnEngine::fastest(const CudnnSearch& p) {
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  std::vector<Descriptor> parts;
  const Descriptor graph = operation_graph(p, parts);
  std::vector<Descriptor> configurations;
  for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    propose(graph, mode, configurations);
  }
  std::unique_ptr<State> best;
  size_t ran = 0, tried = 0;
  int64_t best_number = -1;
  for (Descriptor& configuration : configurations) {
    if (tried > 0 && passed() > p.seconds) break;
    ++tried;
    const int64_t number = engine_number(configuration, p.strict);
    if (number < 0) continue;
    auto state = std::make_unique<State>(p, std::move(configuration));
    const double to_beat = best ? best->milliseconds : std::numeric_limits<double>::infinity();
    if (!state->fits(p.workspace_bytes) || !state->measure(p, to_beat)) continue;
    ++ran;
    if (state->milliseconds >= to_beat) continue;
    best = std::move(state);
    best_number = number;
  }
  if (!best) return nullptr;
  best->name = "engine " + std::to_string(best_number) + " (" + std::to_string(ran) + " of " +
               std::to_string(configurations.size()) + " ran" +
               (tried < configurations.size() ? ", out of time)" : ")");
  return std::unique_ptr<CudnnEngine>(new CudnnEngine(std::move(best)));
}

CudnnEngine::CudnnEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
CudnnEngine::~CudnnEngine() = default;
double CudnnEngine::milliseconds() const { return state_->milliseconds; }
const std::string& CudnnEngine::name() const { return state_->name; }
void CudnnEngine::run(const void* in, const void* other, const void* bias, void* out) const {
  if (!state_->runs(in, other, bias, out)) throw Error(Exit::kUsage, "cuDNN: " + state_->name + " does not run");
}

}  // namespace hourglass::bench
