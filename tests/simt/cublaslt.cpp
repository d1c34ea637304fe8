// SPDX-License-Identifier: Apache-2.0
// Stand-in for cuBLASLt: D = epilogue(alpha op(A) op(B) + beta C), column-major, by plain loops with float sums, and
// the checks that the library makes. What the heuristic was promised about alignment must hold for every product.
#include <cublasLt.h>
#include <dlfcn.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/base/bf16.h"
#include "tests/simt/report.h"
#include "tests/simt/shadow.h"
#include "tests/simt/stream.h"
#include "tests/simt/tensor_core.h"
#undef dlopen
#undef dlsym

struct SimtBlas {};
struct SimtMatmul {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct SimtLayout {
  cudaDataType_t type;
  int64_t rows, columns, leading;

  size_t bytes() const {
    const auto elements = static_cast<size_t>(columns > 0 ? leading * (columns - 1) + rows : 0);
    return elements * (type == CUDA_R_16BF ? 2 : 4);
  }
};
struct SimtPreference {
  cublasLtMatmulAlgo_t algorithm{};
};

namespace simt {
namespace {

struct Operand {
  const void* data;
  SimtLayout layout;
  bool transposed;
  bool tf32 = false;  ///< rounded as it is read

  float at(int64_t row, int64_t column) const {
    const int64_t i = transposed ? column + row * layout.leading : row + column * layout.leading;
    if (layout.type == CUDA_R_16BF) return static_cast<const hourglass::bf16*>(data)[i];
    const float value = static_cast<const float*>(data)[i];
    return tf32 ? std::bit_cast<float>(rounded_to_tf32(std::bit_cast<uint32_t>(value))) : value;
  }
  int64_t rows() const { return transposed ? layout.columns : layout.rows; }
  int64_t columns() const { return transposed ? layout.rows : layout.columns; }
};

struct Product {
  Operand a, b, c;
  void* d;
  float alpha, beta;
  uint32_t epilogue;
  const void* bias;
};

void compute(const Product& p) {
  const Operand bias{p.bias, p.c.layout, false};
  for (int64_t column = 0; column < p.c.columns(); ++column) {
    for (int64_t row = 0; row < p.c.rows(); ++row) {
      float sum = 0;
      for (int64_t k = 0; k < p.a.columns(); ++k) sum += p.a.at(row, k) * p.b.at(k, column);
      sum *= p.alpha;
      if (p.beta != 0) sum += p.beta * p.c.at(row, column);
      if (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT) sum += bias.at(row, 0);
      const int64_t i = row + column * p.c.layout.leading;
      if (p.c.layout.type == CUDA_R_16BF) {
        static_cast<hourglass::bf16*>(p.d)[i] = hourglass::bf16(sum);
      } else {
        static_cast<float*>(p.d)[i] = sum;
      }
    }
  }
}

bool fits(const SimtMatmul& operation, const SimtLayout& a, const SimtLayout& b, const SimtLayout& c) {
  const Operand left{nullptr, a, operation.transpose_a == CUBLAS_OP_T};
  const Operand right{nullptr, b, operation.transpose_b == CUBLAS_OP_T};
  return left.columns() == right.rows() && left.rows() == c.rows && right.columns() == c.columns && a.type == b.type &&
         (a.type == c.type || c.type == CUDA_R_32F);
}

template <class T>
bool assign(T& member, const void* value, size_t bytes) {
  if (bytes != sizeof member) return false;
  std::memcpy(&member, value, bytes);
  return true;
}

/// Plans live as long as the program, beyond its static objects: to a leak checker they stay reachable here.
template <class T>
T* keep(T* created) {
  static std::vector<T*>& all = *new std::vector<T*>;
  all.push_back(created);
  return created;
}

cublasStatus_t refuse(const std::string& text) {
  report("cublaslt", text);
  return CUBLAS_STATUS_INVALID_VALUE;
}

bool aligned(const void* pointer, uint32_t bytes) {
  return bytes == 0 || reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

char token;  // the address of the "library"

}  // namespace

void* open_library(const char* name, int flags) {
  if (std::string(name) != "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR)) return dlopen(name, flags);
  ++counters().library_opens;
  return config().cublaslt ? &token : nullptr;
}

void* find_symbol(void* library, const char* symbol) {
  if (library != &token) return dlsym(library, symbol);
  const std::string name = symbol;
  const char* const kind = std::getenv("HOURGLASS_SIMT_CUBLASLT");
  if (kind && std::string(kind) == "incomplete" && name == "cublasLtMatmul") return nullptr;
#define SIMT_FIND(function) \
  if (name == #function) return reinterpret_cast<void*>(&function)
  SIMT_FIND(cublasLtGetVersion);
  SIMT_FIND(cublasLtCreate);
  SIMT_FIND(cublasLtMatmulDescCreate);
  SIMT_FIND(cublasLtMatmulDescSetAttribute);
  SIMT_FIND(cublasLtMatrixLayoutCreate);
  SIMT_FIND(cublasLtMatmulPreferenceCreate);
  SIMT_FIND(cublasLtMatmulPreferenceDestroy);
  SIMT_FIND(cublasLtMatmulPreferenceSetAttribute);
  SIMT_FIND(cublasLtMatmulAlgoGetHeuristic);
  SIMT_FIND(cublasLtMatmulAlgoConfigGetAttribute);
  SIMT_FIND(cublasLtMatmul);
#undef SIMT_FIND
  return nullptr;
}

}  // namespace simt

using namespace simt;

size_t cublasLtGetVersion() { return 100; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static SimtBlas blas;
  *handle = &blas;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute, cudaDataType_t) {
  *operation = keep(new SimtMatmul{compute});
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  bool taken = false;
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      taken = assign(operation->transpose_a, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      taken = assign(operation->transpose_b, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      taken = assign(operation->epilogue, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      taken = assign(operation->bias, value, bytes);
      break;
  }
  return taken ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
  *layout = keep(new SimtLayout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
  return leading >= static_cast<int64_t>(rows) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new SimtPreference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  cublasLtMatmulAlgo_t& wanted = preference->algorithm;
  uint32_t mask = 0;
  bool taken = false;
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      taken = assign(wanted.workspace_bytes, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      taken = assign(mask, value, bytes);
      break;
    default:
      taken = assign(wanted.alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  }
  return taken ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t* results, int* returned) {
  *returned = 0;
  if (requested < 1 || !fits(*operation, *a, *b, *c)) return CUBLAS_STATUS_INVALID_VALUE;
  results[0] = {preference->algorithm, 0, CUBLAS_STATUS_SUCCESS, 1};
  *returned = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t*, cublasLtMatmulAlgoConfigAttributes_t,
                                                    void* value, size_t bytes, size_t* written) {
  constexpr int32_t kOnlyAlgorithm = 7;
  if (bytes != sizeof kOnlyAlgorithm) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(value, &kOnlyAlgorithm, bytes);
  *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* a_data,
                              cublasLtMatrixLayout_t a, const void* b_data, cublasLtMatrixLayout_t b, const void* beta,
                              const void* c_data, cublasLtMatrixLayout_t c, void* d_data, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  if (!fits(*operation, *a, *b, *c)) return refuse("the extents of the operands do not fit each other");
  const bool has_bias = operation->epilogue != CUBLASLT_EPILOGUE_DEFAULT;
  const size_t bias_bytes = static_cast<size_t>(c->rows) * (c->type == CUDA_R_16BF ? 2 : 4);
  if (!is_device_memory(a_data, a->bytes()) || !is_device_memory(b_data, b->bytes()) ||
      !is_device_memory(c_data, c->bytes()) || !is_device_memory(d_data, c->bytes()) ||
      !is_device_memory(workspace, workspace_bytes) || (has_bias && !is_device_memory(operation->bias, bias_bytes))) {
    return refuse("an operand, the bias or the workspace is not in one device allocation");
  }
  if (!aligned(a_data, algorithm->alignment[0]) || !aligned(b_data, algorithm->alignment[1]) ||
      !aligned(c_data, algorithm->alignment[2]) || !aligned(d_data, algorithm->alignment[3])) {
    return refuse("an operand is aligned to less than the heuristic was told");
  }
  if (workspace_bytes < algorithm->workspace_bytes)
    return refuse("the workspace is smaller than the heuristic was told");
  const bool tf32 = operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  Product product{{a_data, *a, operation->transpose_a == CUBLAS_OP_T, tf32},
                  {b_data, *b, operation->transpose_b == CUBLAS_OP_T, tf32},
                  {c_data, *c, false},
                  d_data,
                  *static_cast<const float*>(alpha),
                  *static_cast<const float*>(beta),
                  operation->epilogue,
                  operation->bias};
  ++counters().api_launches;
  const cudaError_t error = push(stream, cudaGraphNodeTypeKernel, [product] {
    ++counters().launches;
    compute(product);
    mark_written(product.d, product.c.layout.bytes());
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
