// SPDX-License-Identifier: Apache-2.0
// Atomics and arithmetic intrinsics of CUDA. Fibers never run at the same time, so an atomic is a plain read, change
// and write. Approximate functions (__expf, rsqrtf) are exact here: tests on a device need a tolerance of some ulp.
#pragma once

#include <math.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tests/simt/device.h"
#include "tests/simt/language.h"

namespace simt {
template <class T, class F>
inline __attribute__((always_inline)) T exchange(T* address, F change) {
#if defined(HOURGLASS_SIMT_CHECK)
  T before;
  read_for_atomic(&before, address, sizeof(T));
  const T after = change(before);
  write_for_atomic(address, &after, sizeof(T));
#else
  const T before = *static_cast<volatile T*>(address);
  *static_cast<volatile T*>(address) = change(before);
#endif
  return before;
}
template <class T>
concept AtomicInteger = std::is_integral_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);
template <class T>
concept AtomicNumber = AtomicInteger<T> || std::is_same_v<T, float> || std::is_same_v<T, double>;
}  // namespace simt

template <simt::AtomicNumber T>
__forceinline__ T atomicAdd(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before + value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicSub(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before - value; });
}
template <simt::AtomicNumber T>
__forceinline__ T atomicExch(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T) { return value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return simt::exchange(address, [=](T before) { return before == expected ? value : before; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before < value ? before : value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before > value ? before : value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicAnd(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before & value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicOr(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before | value; });
}
template <simt::AtomicInteger T>
__forceinline__ T atomicXor(T* address, std::type_identity_t<T> value) {
  return simt::exchange(address, [value](T before) { return before ^ value; });
}
__forceinline__ unsigned atomicInc(unsigned* address, unsigned limit) {
  return simt::exchange(address, [limit](unsigned before) { return before >= limit ? 0u : before + 1; });
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}

inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __saturatef(float x) { return !(x > 0) ? 0.0f : x > 1 ? 1.0f : x; }
inline void sincospif(float x, float* sine, float* cosine) {
  const double angle = 3.141592653589793 * static_cast<double>(x);
  *sine = static_cast<float>(std::sin(angle));
  *cosine = static_cast<float>(std::cos(angle));
}

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(std::lrint(x)); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }

// CUDA's overloads at global scope; for floats a NaN loses, as on the device.
template <class T, class U>
requires(std::is_integral_v<T>&& std::is_integral_v<U>) constexpr std::common_type_t<T, U> min(T a, U b) {
  using C = std::common_type_t<T, U>;
  return static_cast<C>(b) < static_cast<C>(a) ? static_cast<C>(b) : static_cast<C>(a);
}
template <class T, class U>
requires(std::is_integral_v<T>&& std::is_integral_v<U>) constexpr std::common_type_t<T, U> max(T a, U b) {
  using C = std::common_type_t<T, U>;
  return static_cast<C>(a) < static_cast<C>(b) ? static_cast<C>(b) : static_cast<C>(a);
}
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
