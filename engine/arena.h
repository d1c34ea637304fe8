// SPDX-License-Identifier: Apache-2.0
// Memory of a step's temporaries: reserved once, rewound each step, so every step has the same addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/buffer.h"

namespace hourglass {

/// Activations are bumped from the bottom and stay until the rewind. Gradients of activations live above them, in a
/// deterministic first-fit list, and are given back as soon as their producing op has run backward: that halves the
/// memory of large nets. A measuring arena hands out addresses that must not be touched, and learns the peak.
class Arena {
 public:
  /// One block, zeroed. Throws Error(kDevice) with both sizes if it does not fit.
  void reserve(const Context& ctx, size_t bytes);
  size_t reserved() const { return memory_.bytes(); }

  /// Start or stop handing out untouchable addresses without limit.
  void measure(bool on);
  bool measuring() const { return measuring_; }

  /// Forgets every allocation; Vars of earlier generations are refused by the tape.
  void rewind();
  uint32_t generation() const { return generation_; }

  /// 256-byte aligned, uninitialised. Throws Error(kInternal) when more is asked than was measured and reserved.
  void* allocate(size_t bytes);

  void* take_gradient(size_t bytes);
  void give_gradient(void* data, size_t bytes);
  /// True when every gradient taken was given back.
  bool gradients_idle() const { return gradient_bytes_ == 0; }

  /// Most bytes in use since the last clear_peak().
  size_t peak() const { return peak_; }
  void clear_peak() { peak_ = 0; }

 private:
  struct Range {
    size_t first, bytes;
  };
  std::byte* base() const;
  void* use(size_t end, size_t offset);

  Buffer memory_;
  std::vector<Range> free_;  // sorted, merged; the last range is the unlimited rest
  size_t top_ = 0, peak_ = 0, gradient_bytes_ = 0;
  uint32_t generation_ = 1;
  bool measuring_ = false;
};

}  // namespace hourglass
