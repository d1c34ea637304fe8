// SPDX-License-Identifier: Apache-2.0
// The float matrix product of a tile by oneDNN (2.6 and 3.x alike: dnnl_sgemm is the same in both). The only file that
// knows oneDNN.
#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/gemm_tile.h"

#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_TBB
#error "this oneDNN is threaded by TBB, which cannot be told to use one thread a call: configure HOURGLASS_ONEDNN=OFF"
#endif

// The OpenMP runtime that oneDNN itself was linked with. Weak: a sequential oneDNN brings none.
extern "C" {
__attribute__((weak)) int omp_get_max_threads();
__attribute__((weak)) void omp_set_num_threads(int);
}

namespace hourglass::cpu {
namespace {

/// oneDNN cuts the work of one call among OpenMP threads, and the bits of its result depend on their number. This asks
/// for one, on the calling thread only (OpenMP keeps the number per thread), and puts the caller's number back.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads ? omp_get_max_threads() : 1) { set(1); }
  ~OneThread() { set(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  void set(int threads) const {
    if (before_ != 1 && omp_set_num_threads) omp_set_num_threads(threads);
  }
  int before_;
};

}  // namespace

/// With AVX-512 oneDNN 2.6 keeps the stack register in its workspace, which is on the heap: a signal handler on this
/// thread needs a stack of its own (sigaltstack, SA_ONSTACK), or its frame overwrites the allocation below.
void multiply(const GemmTile& t) {
  if (t.K == 0) return multiply_blocked(t);  // dnnl_sgemm refuses the leading extent 0
  const OneThread one;
  const dnnl_status_t status = dnnl_sgemm(t.transpose_a ? 'T' : 'N', t.transpose_b ? 'T' : 'N', t.M, t.N, t.K, 1.0f,
                                          t.a, t.lda, t.b, t.ldb, t.add ? 1.0f : 0.0f, t.c, t.ldc);
  if (status != dnnl_success) {
    throw Error(Exit::kInternal, "gemm: oneDNN returned status " + std::to_string(static_cast<int>(status)) +
                                     " for a tile of " + std::to_string(t.M) + " x " + std::to_string(t.N) + " x " +
                                     std::to_string(t.K));
  }
}

/// It packs both matrices in every call: narrower tiles measured up to 20 % slower.
int tile_columns() { return 192; }

const char* gemm_library() {
  static const std::string name = [] {
    const dnnl_version_t* v = dnnl_version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }();
  return name.c_str();
}

}  // namespace hourglass::cpu
