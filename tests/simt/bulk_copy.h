// SPDX-License-Identifier: Apache-2.0
// Barriers that count arrivals and bytes (mbarrier), and the bulk copies that bring the bytes. Source: PTX ISA,
// "mbarrier", "cp.async.bulk.tensor" and "Tensors"; CUDA driver API, cuTensorMapEncodeTiled.
//
// A phase of a barrier ends when its arrivals have come and the bytes that were expected, no more and no fewer. A copy
// reads global memory and writes shared memory when somebody waits for its barrier; from its start until then its
// destination is poisoned.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/simt/tensor_map.h"

namespace simt {

/// Of one block.
class BulkCopies {
 public:
  void begin_block();
  void end_block();

  void init(void* barrier, uint32_t count);
  void publish();
  void arrive(void* barrier, uint32_t expected_bytes);
  bool phase_is_over(void* barrier, uint32_t parity);
  void start(void* to, const void* map, void* barrier, const int* corner, int rank, const void* pc);

  /// Whether a copy under way will write any of these bytes.
  bool will_write(const char* first, size_t bytes) const;
  /// What barriers wait for, after a livelock.
  std::string unfinished() const;

  /// Where a byte at `address` of the window stands with the 128-byte swizzle: the 16-byte units of eight rows of 128
  /// bytes change places, by bits of the address.
  static uint32_t swizzled(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

 private:
  struct Barrier {
    uint32_t count, missing;  ///< arrivals of a phase
    int64_t bytes = 0;        ///< expected and not brought
    uint32_t phase = 0;       ///< phases that are over
    uint32_t tests = 0;       ///< in vain, of this phase
    unsigned maker;           ///< thread
    bool published = false;
  };
  struct BoxCopy {
    char* to;
    TensorMap map;
    void* barrier;
    int corner[TensorMap::kMostRank];
    const void* pc;
  };

  Barrier& at(void* barrier);
  void settle(Barrier& barrier);
  void bring(void* barrier);
  void run(const BoxCopy& copy);
  void copy_row(const BoxCopy& copy, const char* from, bool inside, uint32_t offset);
  std::string name(const void* barrier) const;

  std::map<void*, Barrier> barriers_;
  std::vector<BoxCopy> under_way_;
};

}  // namespace simt
