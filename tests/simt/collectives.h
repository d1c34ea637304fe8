// SPDX-License-Identifier: Apache-2.0
// Barriers, warp intrinsics and fences of CUDA. __activemask() is absent on purpose: it has no meaning without
// lock-step, and kernels that need it are wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/simt/device.h"

inline void __syncthreads(simt::Site site = simt::Site::current()) {
  simt::block_barrier(simt::Vote::kNone, 0, site);
  asm volatile("" ::: "memory");
}
inline int __syncthreads_count(int predicate, simt::Site site = simt::Site::current()) {
  return simt::block_barrier(simt::Vote::kCount, predicate, site);
}
inline int __syncthreads_and(int predicate, simt::Site site = simt::Site::current()) {
  return simt::block_barrier(simt::Vote::kAnd, predicate, site);
}
inline int __syncthreads_or(int predicate, simt::Site site = simt::Site::current()) {
  return simt::block_barrier(simt::Vote::kOr, predicate, site);
}

// The emulator is sequentially consistent: fences only hold the compiler back, and tell the access checker.
inline void __threadfence() {
  simt::thread_fence();
  asm volatile("" ::: "memory");
}
inline void __threadfence_block() { asm volatile("" ::: "memory"); }
inline void __threadfence_system() { __threadfence(); }
inline void __nanosleep(unsigned) { simt::yield_thread(); }
inline void __trap(simt::Site site = simt::Site::current()) { simt::trap("__trap()", site); }

namespace simt {
template <class T>
T collective(Operation operation, uint32_t mask, T value, int argument, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16);
  alignas(16) unsigned char bytes[16];
  std::memcpy(bytes, &value, sizeof(T));
  Collective lane{operation, mask, bytes, sizeof(T), argument, width, site};
  warp_collective(lane);
  asm volatile("" ::: "memory");
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}
}  // namespace simt

inline void __syncwarp(unsigned mask = ~0u, simt::Site site = simt::Site::current()) {
  simt::collective<int>(simt::Operation::kSync, mask, 0, 0, 32, site);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kShuffleIndex, mask, value, lane, width, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kShuffleUp, mask, value, static_cast<int>(distance), width, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kShuffleDown, mask, value, static_cast<int>(distance), width, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kShuffleXor, mask, value, lanes, width, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::collective<unsigned>(simt::Operation::kBallot, mask, predicate != 0, 0, 32, site);
}
inline int __any_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::collective<int>(simt::Operation::kAny, mask, predicate != 0, 0, 32, site);
}
inline int __all_sync(unsigned mask, int predicate, simt::Site site = simt::Site::current()) {
  return simt::collective<int>(simt::Operation::kAll, mask, predicate != 0, 0, 32, site);
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, simt::Site site = simt::Site::current()) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return static_cast<unsigned>(simt::collective(simt::Operation::kMatchAny, mask, bits, 0, 32, site));
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kAddUnsigned, mask, value, 0, 32, site);
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kMinUnsigned, mask, value, 0, 32, site);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kMaxUnsigned, mask, value, 0, 32, site);
}
inline int __reduce_add_sync(unsigned mask, int value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kAddSigned, mask, value, 0, 32, site);
}
inline int __reduce_min_sync(unsigned mask, int value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kMinSigned, mask, value, 0, 32, site);
}
inline int __reduce_max_sync(unsigned mask, int value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kMaxSigned, mask, value, 0, 32, site);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kAnd, mask, value, 0, 32, site);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kOr, mask, value, 0, 32, site);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, simt::Site site = simt::Site::current()) {
  return simt::collective(simt::Operation::kXor, mask, value, 0, 32, site);
}
