// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/cublaslt.h"

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/base/cuda_check.h"

namespace hourglass::cuda {
namespace {

constexpr size_t kTicketBytes = 256;

/// The calls that are used, looked up by name.
struct Library {
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_operation = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_operation = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) algorithm_attribute = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;
  cublasLtHandle_t handle = nullptr;  // lives as long as the program
};

/// The library of the version whose header this file was compiled with, or nothing.
Library open_library() {
  const std::string name = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
  void* const object = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!object) return {};
  Library library;
  bool complete = true;
  const auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(object, symbol));
    complete = complete && function;
  };
  find(library.version, "cublasLtGetVersion");
  find(library.create, "cublasLtCreate");
  find(library.create_operation, "cublasLtMatmulDescCreate");
  find(library.set_operation, "cublasLtMatmulDescSetAttribute");
  find(library.create_layout, "cublasLtMatrixLayoutCreate");
  find(library.create_preference, "cublasLtMatmulPreferenceCreate");
  find(library.destroy_preference, "cublasLtMatmulPreferenceDestroy");
  find(library.set_preference, "cublasLtMatmulPreferenceSetAttribute");
  find(library.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(library.algorithm_attribute, "cublasLtMatmulAlgoConfigGetAttribute");
  find(library.multiply, "cublasLtMatmul");
  if (!complete || library.create(&library.handle) != CUBLAS_STATUS_SUCCESS) return {};
  return library;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

void check_library(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(Exit::kDeviceFault,
              std::string(call) + " failed with status " + std::to_string(static_cast<int>(status)));
}

struct Plan {
  bool found = false;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};
};

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  check_library(library().set_operation(operation, attribute, &value, sizeof(value)), "cublasLtMatmulDescSetAttribute");
}
template <class T>
void prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  check_library(library().set_preference(preference, attribute, &value, sizeof(value)),
                "cublasLtMatmulPreferenceSetAttribute");
}

cublasLtMatrixLayout_t layout(cudaDataType_t type, bool transposed, int rows, int columns) {
  cublasLtMatrixLayout_t created = nullptr;
  if (transposed) std::swap(rows, columns);
  check_library(library().create_layout(&created, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                                        int64_t{rows}),
                "cublasLtMatrixLayoutCreate");
  return created;
}

cublasLtEpilogue_t epilogue_of(LibraryEpilogue e) {
  return e == LibraryEpilogue::kBias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

/// The library's matrices are column-major: to it a row-major matrix is its transpose, and c^T = B^T A^T. Its first
/// operand is our b, its bias, one number a row, ours, one a column.
Plan make_plan(const LibraryProduct& p, bool tf32, uint32_t alignment) {
  const cudaDataType_t type = p.dtype == Dtype::kBF16 ? CUDA_R_16BF : CUDA_R_32F;
  Plan plan;
  check_library(
      library().create_operation(&plan.operation, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
      "cublasLtMatmulDescCreate");
  set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.operation, CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(p.epilogue));
  plan.a = layout(type, p.transpose_b, p.N, p.K);
  plan.b = layout(type, p.transpose_a, p.K, p.M);
  plan.c = layout(p.float_c ? CUDA_R_32F : type, false, p.N, p.M);
  cublasLtMatmulPreference_t preference = nullptr;
  check_library(library().create_preference(&preference), "cublasLtMatmulPreferenceCreate");
  prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kWorkspaceBytes) - kTicketBytes);
  prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  for (auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                         CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(preference, attribute, alignment);
  }
  cublasLtMatmulHeuristicResult_t result = {};
  int count = 0;
  const cublasStatus_t status = library().heuristic(library().handle, plan.operation, plan.a, plan.b, plan.c, plan.c,
                                                    preference, 1, &result, &count);
  library().destroy_preference(preference);
  plan.found = status == CUBLAS_STATUS_SUCCESS && count == 1 && result.state == CUBLAS_STATUS_SUCCESS;
  plan.algorithm = result.algo;
  return plan;
}

/// What all four addresses are aligned to, at most 256 bytes.
uint32_t alignment_of(const void* a, const void* b, const void* bias, const void* c) {
  const auto bits = reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) |
                    reinterpret_cast<uintptr_t>(bias) | reinterpret_cast<uintptr_t>(c) | 256u;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

std::string describe(const LibraryProduct& p, bool tf32, uint32_t alignment) {
  std::string text = std::to_string(p.M) + "x" + std::to_string(p.N) + "x" + std::to_string(p.K);
  if (p.transpose_a) text += " a^T";
  if (p.transpose_b) text += " b^T";
  if (p.epilogue == LibraryEpilogue::kBias) text += " bias";
  if (p.mode == Write::kAdd) text += " add";
  return text +
         (p.dtype == Dtype::kBF16 ? " bf16"
          : tf32                  ? " tf32"
                                  : " f32") +
         (p.float_c && p.dtype == Dtype::kBF16 ? " to f32" : "") + ", aligned to " + std::to_string(alignment);
}

int number_of(const Plan& plan) {
  if (!plan.found) return -1;
  int32_t number = 0;
  size_t written = 0;
  check_library(
      library().algorithm_attribute(&plan.algorithm, CUBLASLT_ALGO_CONFIG_ID, &number, sizeof(number), &written),
      "cublasLtMatmulAlgoConfigGetAttribute");
  return number;
}

/// Kept as long as the program: replays of a captured step use its algorithm and an eager step must choose the same.
struct Plans {
  using Key = std::tuple<int, int, int, bool, bool, LibraryEpilogue, Dtype, Write, bool, bool, uint32_t>;
  std::mutex mutex;
  std::map<Key, Plan> plans;
  std::vector<LibraryPlan> listed;

  Plan& find(const Context& ctx, const LibraryProduct& p, uint32_t alignment) {
    const bool tf32 = p.dtype == Dtype::kF32 && ctx.math == Math::kTf32;
    const Key key(p.M, p.N, p.K, p.transpose_a, p.transpose_b, p.epilogue, p.dtype, p.mode, p.float_c, tf32, alignment);
    const auto known = plans.find(key);
    if (known != plans.end()) return known->second;
    cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    CUDA_CHECK(cudaStreamIsCapturing(static_cast<cudaStream_t>(ctx.stream), &capturing));
    if (capturing != cudaStreamCaptureStatusNone) {
      throw Error(Exit::kInternal,
                  "cuBLASLt: expected a plan made by an eager step, and the capture asks for a new one: " +
                      describe(p, tf32, alignment));
    }
    Plan& plan = plans.emplace(key, make_plan(p, tf32, alignment)).first->second;
    listed.push_back({describe(p, tf32, alignment), number_of(plan)});
    return plan;
  }
};
Plans& plans() {
  static Plans all;
  return all;
}

}  // namespace

bool library_multiply(const Context& ctx, const LibraryProduct& p, const void* a, const void* b, const void* bias,
                      void* c) {
  if (ctx.own_gemm || p.K == 0 || !library().handle) return false;
  const std::lock_guard lock(plans().mutex);  // the bias pointer is an attribute of the shared plan
  Plan& plan = plans().find(ctx, p, alignment_of(a, b, bias, c));
  if (!plan.found) return false;
  if (p.epilogue != LibraryEpilogue::kNone) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const float one = 1, beta = p.mode == Write::kAdd ? 1.0f : 0.0f;
  check_library(
      library().multiply(library().handle, plan.operation, &one, b, plan.a, a, plan.b, &beta, c, plan.c, c, plan.c,
                         &plan.algorithm, static_cast<char*>(ctx.workspace) + kTicketBytes,
                         static_cast<size_t>(kWorkspaceBytes) - kTicketBytes, static_cast<cudaStream_t>(ctx.stream)),
      "cublasLtMatmul");
  return true;
}

bool library_wanted(const Context& ctx) { return !ctx.own_gemm && library().handle; }

std::vector<LibraryPlan> library_plans() {
  const std::lock_guard lock(plans().mutex);
  return plans().listed;
}

std::string cublaslt_version() {
  if (!library().handle) return "";
  const size_t v = library().version();
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

}  // namespace hourglass::cuda

#else

namespace hourglass::cuda {

bool library_multiply(const Context&, const LibraryProduct&, const void*, const void*, const void*, void*) {
  return false;
}
bool library_wanted(const Context&) { return false; }
std::vector<LibraryPlan> library_plans() { return {}; }
std::string cublaslt_version() { return ""; }

}  // namespace hourglass::cuda

#endif
