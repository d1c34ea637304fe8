// SPDX-License-Identifier: Apache-2.0
// What kernels/base/mma.cuh asks of the emulator. Matrix instructions are collectives of a whole warp. A copy to shared
// memory is put off until its thread waits for it, and its destination is poisoned until then: so a missing wait, and a
// copy into a buffer that is still being read, both show.
#pragma once

#include <cstdint>

#include "tests/simt/device.h"

namespace simt {

/// One lane's words of D += A B; layouts as in mma.cuh.
struct MatrixFragments {
  uint32_t a[4], b[2];
  float d[4];
};
inline void multiply_matrices(Operation operation, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                              Site site) {
  MatrixFragments fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {d[0], d[1], d[2], d[3]}};
  Collective lane{operation, ~0u, &fragments, sizeof fragments, 0, 32, site};
  warp_collective(lane);
  asm volatile("" ::: "memory");
  for (int i = 0; i < 4; ++i) d[i] = fragments.d[i];
}

/// One lane's row, and the words it gets.
struct MatrixRow {
  const void* row;
  uint32_t words[4];
};
inline void load_matrices(Operation operation, uint32_t (&words)[4], const void* row, Site site) {
#if defined(HOURGLASS_SIMT_CHECK)
  read_row(row);
#endif
  MatrixRow of_lane{row, {}};
  Collective lane{operation, ~0u, &of_lane, sizeof of_lane, 0, 32, site};
  warp_collective(lane);
  asm volatile("" ::: "memory");
  for (int i = 0; i < 4; ++i) words[i] = of_lane.words[i];
}

uint32_t rounded_to_tf32(uint32_t float_bits);

/// Puts off a copy of `copied` bytes, followed by zeros up to `bytes`.
void start_copy(void* to, const void* from, uint32_t bytes, uint32_t copied);
void commit_copies();
void wait_for_copies(unsigned groups);

}  // namespace simt
