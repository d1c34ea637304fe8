// SPDX-License-Identifier: Apache-2.0
// What the warp-wide matrix instructions compute. Source: PTX ISA, "Warp Level Matrix Instructions", fragments of
// mma.m16n8k16, mma.m16n8k8 and ldmatrix.
#include "tests/simt/tensor_core.h"

#include <bit>
#include <cstring>

#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"
#include "tests/simt/tensor_core_sum.h"

namespace simt {
namespace {

float from_tf32(uint32_t bits) { return std::bit_cast<float>(bits & 0xFFFFE000u); }  // the unit reads no more
float from_bf16(uint32_t word, int half) { return std::bit_cast<float>(half ? word & 0xFFFF0000u : word << 16); }

struct Matrices {
  double a[16][16], b[8][16];  // b by columns
  int depth;
};

void gather(const MatrixFragments& lane, int l, bool bf16, Matrices& m) {
  const int g = l / 4, t = l % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i % 2);
    if (bf16) {
      for (int half = 0; half < 2; ++half) m.a[row][2 * t + 8 * (i / 2) + half] = from_bf16(lane.a[i], half);
    } else {
      m.a[row][t + 4 * (i / 2)] = from_tf32(lane.a[i]);
    }
  }
  for (int i = 0; i < 2; ++i) {
    if (bf16) {
      for (int half = 0; half < 2; ++half) m.b[g][2 * t + 8 * i + half] = from_bf16(lane.b[i], half);
    } else {
      m.b[g][t + 4 * i] = from_tf32(lane.b[i]);
    }
  }
}

template <int kTerms>
void accumulate(MatrixFragments& lane, int l, const Matrices& m) {
  const int g = l / 4, t = l % 4;
  for (int i = 0; i < 4; ++i) {
    const double *row = m.a[g + 8 * (i / 2)], *column = m.b[2 * t + i % 2];
    for (int k = 0; k < m.depth; k += kTerms) lane.d[i] = add_products<kTerms>(lane.d[i], row + k, column + k, 1);
  }
}

void multiply(Warp& warp, bool bf16) {
  Matrices m;
  m.depth = bf16 ? 16 : 8;
  for (int l = 0; l < 32; ++l) gather(*static_cast<MatrixFragments*>(warp.lanes[l]->value), l, bf16, m);
  for (int l = 0; l < 32; ++l) {
    MatrixFragments& lane = *static_cast<MatrixFragments*>(warp.lanes[l]->value);
    bf16 ? accumulate<kTermsOfBf16>(lane, l, m) : accumulate<kTermsOfTf32>(lane, l, m);
  }
}

void load(Warp& warp, bool transposed) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint16_t m[8][8];
    for (int row = 0; row < 8; ++row) {
      const Collective& lane = *warp.lanes[8 * matrix + row];
      const void* const from = static_cast<const MatrixRow*>(lane.value)->row;
      if (reinterpret_cast<uintptr_t>(from) % 16 != 0) {
        report("misaligned", describe(lane.site) + ": lane " + std::to_string(8 * matrix + row) +
                                 " loads a matrix row from an address that is no multiple of 16");
      }
      std::memcpy(m[row], from, sizeof m[row]);
    }
    for (int l = 0; l < 32; ++l) {
      const int g = l / 4, t = l % 4;
      const uint16_t low = transposed ? m[2 * t][g] : m[g][2 * t],
                     high = transposed ? m[2 * t + 1][g] : m[g][2 * t + 1];
      static_cast<MatrixRow*>(warp.lanes[l]->value)->words[matrix] = low | static_cast<uint32_t>(high) << 16;
    }
  }
}

}  // namespace

uint32_t rounded_to_tf32(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 0x7FFFFFFFu;
  return magnitude == 0x7F800000u ? bits : (bits + 0x1000u) & 0xFFFFE000u;
}

bool is_whole_warp(const Warp& warp, uint32_t members) {
  if (members == ~0u) return true;
  report("warp-matrix", describe(warp.lanes[__builtin_ctz(members)]->site) +
                            ": a matrix instruction needs all 32 lanes; some have exited");
  return false;
}

void compute_matrices(Warp& warp, uint32_t members, Operation operation) {
  if (!is_whole_warp(warp, members)) return;
  switch (operation) {
    case Operation::kMultiplyBf16:
    case Operation::kMultiplyTf32:
      return multiply(warp, operation == Operation::kMultiplyBf16);
    default:
      return load(warp, operation == Operation::kLoadMatricesTransposed);
  }
}

}  // namespace simt
