// SPDX-License-Identifier: Apache-2.0
// The float matrix product of one tile on one thread, and the cut of a product into tiles: what gemm.h and the fused
// linear layer (linear.h) share, so that an epilogue runs on a tile while it is in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/gemm.h"

namespace hourglass::cpu {

/// One product on row-major memory with leading extents: c (M, N) = A B, or += with `add`.
/// Elements: A[m,k] = a[m lda + k], transposed a[k lda + m]; B[k,n] = b[k ldb + n], transposed b[n ldb + k].
struct GemmTile {
  bool transpose_a = false, transpose_b = false;
  int M = 0, N = 0, K = 0;
  const float* a = nullptr;
  int lda = 0;
  const float* b = nullptr;
  int ldb = 0;
  float* c = nullptr;
  int ldc = 0;
  bool add = false;
};

/// The cut of an (M, N) result into tiles of `rows` x `columns`: a function of the shape alone. K is never cut.
struct GemmTiles {
  int rows = 1, columns = 1;
  int down = 0, across = 0;  ///< number of tiles in each direction

  /// `columns`: the width that the library likes, tile_columns().
  GemmTiles(const GemmShape& s, int columns);
  int64_t count() const { return int64_t{down} * across; }
};

/// Tile `index` of the product of whole matrices; tiles of one row band follow each other.
GemmTile tile_of(const GemmShape& s, const GemmTiles& tiles, int64_t index, const float* a, const float* b,
                 Grad<float> c);

/// Computes a tile on the calling thread: by oneDNN (gemm_onednn.cpp), or by our own loops (gemm_blocked.cpp).
void multiply(const GemmTile& tile);

/// The width of tiles that `multiply` likes best.
int tile_columns();

/// Our own loops (gemm_blocked.cpp). In every build, so that tests and benchmarks hold one against the other.
void multiply_blocked(const GemmTile& tile);

/// The instruction-set levels that our own loops are compiled for and this machine has, best first; K > 0.
struct GemmLevel {
  const char* name;
  void (*multiply)(const GemmTile&);
};
const std::vector<GemmLevel>& gemm_levels();

}  // namespace hourglass::cpu
