// SPDX-License-Identifier: Apache-2.0
// The state of a running block, and what an instruction sees of it: the lanes of one warp that execute it.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/simt/ptx/program.h"

namespace simt::ptx {

/// Something the kernel must not do; ends the launch.
struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A copy to shared memory that a thread has started and not waited for.
struct Copy {
  uint64_t to;  ///< in shared memory
  const unsigned char* from;
  uint32_t bytes, copied;  ///< zeros follow what is copied
  unsigned group;
};

class Profile;

struct Warp {
  std::vector<Column> columns;
  std::array<uint32_t, kLanes> pc{};
  uint32_t live = 0;     ///< lanes that have not exited
  uint32_t waiting = 0;  ///< live lanes that wait at the barrier of the block
  uint32_t blocked = 0;  ///< live lanes that wait for others at a converging instruction
  std::vector<unsigned char> local;
  std::array<std::vector<Copy>, kLanes> copies;
  std::array<unsigned, kLanes> copy_groups{};
};

struct Block {
  const Kernel* kernel;
  std::vector<unsigned char> parameters;
  unsigned char* shared;
  size_t shared_bytes;
  uint8_t poison;
  Profile* profile;  ///< null: none
};

struct Lanes {
  Block& block;
  Warp& warp;
  uint32_t active;

  Column& column(int index) const { return warp.columns[static_cast<size_t>(index)]; }
  template <class F>
  void each(F&& f) const {
    if (active == kAllLanes) {
      for (int l = 0; l < kLanes; ++l) f(l);
    } else {
      for (uint32_t rest = active; rest; rest &= rest - 1) f(__builtin_ctz(rest));
    }
  }
};

template <class T>
T get(const Column& column, int lane) {
  T value;
  std::memcpy(&value, &column[static_cast<size_t>(lane)], sizeof value);
  return value;
}
template <class T>
void set(Column& column, int lane, T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  column[static_cast<size_t>(lane)] = bits;
}

/// Where each active lane's access of `bytes` goes; faults if it is unaligned or outside of its memory.
void resolve(const Instruction& instruction, const Lanes& lanes, int column, int64_t offset, size_t bytes,
             std::array<unsigned char*, kLanes>& to);

}  // namespace simt::ptx
