// SPDX-License-Identifier: Apache-2.0
// Products of a warpgroup (wgmma.mma_async, m64nNk16 of bf16, both operands in shared memory along the depth with the
// 128-byte swizzle). Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions".
//
// Each of the four warps computes its 16 rows when it waits: it reads operands and writes sums then, and from the start
// until then its sums are poisoned. The warps need not run in step, but must issue the same products in the same order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simt/device.h"
#include "tests/simt/hopper.h"

namespace simt {

struct Warp;

/// Of one block.
class Warpgroups {
 public:
  void begin_block(unsigned threads);
  void end_block();
  /// One instruction of a whole warp.
  void run(Warp& warp, Operation operation);

 private:
  static constexpr unsigned kWarps = 4, kLanes = 32;
  struct Product {
    WarpgroupCall call;
    unsigned group;
  };
  /// The sums of a warp that products under way will write.
  struct Sums {
    float* of[kLanes];
    int each;
    std::vector<float> values;  ///< [lane][each]
    int under_way = 0;
  };
  struct State {
    std::vector<Product> products;
    std::vector<Sums> sums;
    unsigned group = 0;
    bool fenced = false;
    size_t issued = 0;
  };
  struct Issued {
    Site site;
    uint64_t a, b;
    int columns;
  };
  struct Operand {
    uint32_t start, stride;  ///< in the window; bytes from eight rows to the next
  };

  void issue(Warp& warp, State& state, const WarpgroupCall& call);
  void compare(const WarpgroupCall& call, State& state, Site site);
  Sums& sums_of(Warp& warp, State& state, const WarpgroupCall& call);
  void check_untouched(const Sums& sums);
  void wait(State& state, unsigned groups);
  void multiply(const Product& product, Sums& sums);
  Operand decoded(uint64_t descriptor, int rows, const char* what);
  void read_row(const Operand& operand, int row, float* values, const void* pc);

  std::vector<State> warps_;
  std::vector<std::vector<Issued>> groups_;
};

}  // namespace simt
