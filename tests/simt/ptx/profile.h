// SPDX-License-Identifier: Apache-2.0
// What the memory accesses of kernels cost, counted on the instructions that nvcc made. With
//
//   HOURGLASS_SIMT_PTX_PROFILE=<file>
//
// beside HOURGLASS_SIMT_PTX (module.h) the process writes there, as it ends, a line for each place of a kernel that
// accesses memory, with tabs between kernel file, kernel, space, access, bytes of a lane, executions, lanes, bytes,
// taken, least, and the places in the sources: the innermost first, then the calls that it was inlined by.
//
// taken and least count, of all executions of an instruction by a warp,
// - global memory: the 32-byte sectors that hold the bytes asked for, and the fewest that could hold as many different
//   bytes. Lanes that want the same bytes cost nothing; a row that begins inside a sector does.
// - shared memory: wavefronts. The lanes are served 128 bytes at a time (32 lanes of up to 4 bytes, 16 of 8, 8 of 16; a
//   matrix of ldmatrix is 8 of 16), and each such group takes as many wavefronts as the fullest of the 32 banks has
//   different words; the least is one.
// Local and parameter memory are left out. Caches are unknown here: a sector that L1 holds counts as any other.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <tuple>

#include "tests/simt/ptx/program.h"

namespace simt::ptx {

using Addresses = std::array<unsigned char*, kLanes>;

struct Cost {
  uint64_t taken = 0, least = 0;
};
/// Each of `lanes` accesses `bytes` bytes at its address, a multiple of `bytes`.
Cost sectors_of(uint32_t lanes, const Addresses& addresses, size_t bytes);
Cost wavefronts_of(uint32_t lanes, const Addresses& addresses, size_t bytes);

struct Traffic {
  uint64_t executions = 0, lanes = 0;
  uint64_t bytes = 0;  ///< asked for, by all lanes together
  Cost cost;
};

class Profile {
 public:
  void add(const Kernel& kernel, const Instruction& instruction, Space space, size_t bytes, uint32_t lanes,
           const Addresses& addresses);
  /// The kernels must be alive.
  void write(std::ostream& out) const;

 private:
  /// Kernel, location, memory, access, bytes of a lane.
  using Key = std::tuple<const Kernel*, int, Space, Access, size_t>;
  std::map<Key, Traffic> traffic_;
};

}  // namespace simt::ptx
