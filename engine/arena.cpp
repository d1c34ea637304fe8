// SPDX-License-Identifier: Apache-2.0
#include "engine/arena.h"

#include <algorithm>
#include <string>

#include "kernels/base/error.h"

namespace hourglass {
namespace {
constexpr size_t kUnlimited = SIZE_MAX / 2;
constexpr size_t kMeasureBase = size_t{1} << 20;  // never null, never mapped
}  // namespace

void Arena::reserve(const Context& ctx, size_t bytes) {
  if (bytes > memory_.bytes()) {
    memory_ = Buffer();
    memory_ = Buffer(ctx, bytes, "arena");
  }
  rewind();
}

void Arena::measure(bool on) {
  measuring_ = on;
  rewind();
}

void Arena::rewind() {
  top_ = 0;
  gradient_bytes_ = 0;
  free_.clear();
  ++generation_;
}

std::byte* Arena::base() const {
  return measuring_ ? reinterpret_cast<std::byte*>(kMeasureBase) : memory_.as<std::byte>();
}

void* Arena::use(size_t end, size_t offset) {
  peak_ = std::max(peak_, end);
  if (!measuring_ && end > memory_.bytes()) {
    throw Error(Exit::kInternal, "arena: a step needs " + format_bytes(end) + ", " + format_bytes(memory_.bytes()) +
                                     " were measured and reserved");
  }
  return base() + offset;
}

void* Arena::allocate(size_t bytes) {
  if (!gradients_idle()) throw Error(Exit::kInternal, "arena: an op inside a backward pass (second order is refused)");
  const size_t offset = top_;
  top_ += aligned(std::max<size_t>(bytes, 1));
  return use(top_, offset);
}

void* Arena::take_gradient(size_t bytes) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  if (gradient_bytes_ == 0) free_.assign(1, {top_, kUnlimited});
  gradient_bytes_ += bytes;
  const auto range = std::find_if(free_.begin(), free_.end(), [bytes](const Range& r) { return r.bytes >= bytes; });
  const size_t offset = range->first;
  range->first += bytes;
  range->bytes -= bytes;
  if (range->bytes == 0) free_.erase(range);
  return use(offset + bytes, offset);
}

void Arena::give_gradient(void* data, size_t bytes) {
  bytes = aligned(std::max<size_t>(bytes, 1));
  gradient_bytes_ -= bytes;
  const size_t offset = static_cast<size_t>(static_cast<std::byte*>(data) - base());
  auto next = std::find_if(free_.begin(), free_.end(), [offset](const Range& r) { return r.first > offset; });
  next = free_.insert(next, {offset, bytes});
  if (next + 1 != free_.end() && next->first + next->bytes == (next + 1)->first) {
    next->bytes += (next + 1)->bytes;
    free_.erase(next + 1);
  }
  if (next != free_.begin() && (next - 1)->first + (next - 1)->bytes == next->first) {
    (next - 1)->bytes += next->bytes;
    free_.erase(next);
  }
}

}  // namespace hourglass
