// SPDX-License-Identifier: Apache-2.0
// What every kernel test is made of: guarded outputs, deterministic inputs, computed tolerances, the gradient check,
// and the three promises of a gradient output (set, add, not wanted) and of threads (same bits for any number).
//
// A test of an op reads: for each case, fill inputs, run the double reference as truth, run the form under test into
// Guarded buffers (NaN inside, guard words around), `expect_close(got, want, fp32_tolerance(K))`.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/context.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_pool.h"
#include "kernels/base/types.h"

namespace hourglass::test {

// ---------------------------------------------------------------- contexts

/// A context on a pool of `threads` threads that lives as long as the program; 0: no pool at all.
inline Context test_context(int threads = 0) {
  Context ctx;
  if (threads <= 0) return ctx;
  static std::vector<std::pair<int, std::unique_ptr<ThreadPool>>> pools;
  for (auto& [count, pool] : pools) {
    if (count == threads) return ctx.threads = pool.get(), ctx;
  }
  pools.emplace_back(threads, std::make_unique<ThreadPool>(threads));
  return ctx.threads = pools.back().second.get(), ctx;
}

/// The label of a case for SCOPED_TRACE: describe("gemm", {128, 400, 784}) = "gemm 128x400x784".
inline std::string describe(const std::string& name, std::initializer_list<int64_t> extents) {
  std::string text = name;
  char separator = ' ';
  for (int64_t extent : extents) text += std::exchange(separator, 'x') + std::to_string(extent);
  return text;
}

// ---------------------------------------------------------------- inputs

/// SplitMix64: small, seedable anywhere, the same on every machine. For test inputs only.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x1234567u) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * (static_cast<double>(bits() >> 11) * 0x1p-53); }
  /// Uniform among low, low + 1, ..., high.
  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(high - low + 1));
  }

 private:
  uint64_t state_;
};

/// Values in [low, high) that float holds exactly, so that a float and a double run see the same inputs.
template <class T>
std::vector<T> random_values(int64_t n, uint64_t seed, double low = -1, double high = 1) {
  Random random(seed);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& value : values) value = static_cast<T>(static_cast<float>(random.uniform(low, high)));
  return values;
}

/// Small integers: sums of their products stay below 2^24, so that every order of summation gives the same bits.
template <class T>
std::vector<T> random_integers(int64_t n, uint64_t seed, int64_t low = -3, int64_t high = 3) {
  Random random(seed);
  std::vector<T> values(static_cast<size_t>(n));
  for (T& value : values) value = static_cast<T>(random.integer(low, high));
  return values;
}

template <class To, class From>
std::vector<To> converted(const std::vector<From>& from) {
  return std::vector<To>(from.begin(), from.end());
}

/// Moves inputs that are nearer than `margin` to a kink (0 for relu) away from it: a difference across it means
/// nothing.
template <class T>
void move_off(std::vector<T>& values, double kink, double margin = 1e-3) {
  for (T& value : values) {
    if (std::abs(static_cast<double>(value) - kink) < margin) {
      value = static_cast<T>(kink + (static_cast<double>(value) < kink ? -margin : margin));
    }
  }
}

// ---------------------------------------------------------------- guarded outputs

/// n elements poisoned with NaN (integers: a pattern) between guard words. A kernel that leaves one element unwritten
/// fails the comparison; one that writes outside fails `expect_intact`, which the destructor also runs.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t n) : size_(n), memory_(static_cast<size_t>(n) + 2 * kGuard, guard()) {
    std::fill(begin(), end(), poison());
  }
  /// A copy of `values` between guard words, for outputs that are read too (kAdd).
  explicit Guarded(const std::vector<T>& values) : Guarded(static_cast<int64_t>(values.size())) {
    std::copy(values.begin(), values.end(), begin());
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { expect_intact(); }

  T* data() { return memory_.data() + kGuard; }
  const T* data() const { return memory_.data() + kGuard; }
  int64_t size() const { return size_; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](int64_t i) { return data()[i]; }
  const T& operator[](int64_t i) const { return data()[i]; }
  std::vector<T> values() const { return std::vector<T>(begin(), end()); }

  static T poison() {
    if constexpr (std::is_floating_point_v<T>) return std::numeric_limits<T>::quiet_NaN();
    return static_cast<T>(0x5a5a5a5a5a5a5a5a);
  }
  void expect_intact() const {
    const T expected = guard();
    for (size_t i = 0; i < memory_.size(); ++i) {
      if (i == kGuard) i += static_cast<size_t>(size_);
      if (i < memory_.size() && std::memcmp(&memory_[i], &expected, sizeof(T)) != 0) {
        ADD_FAILURE() << "guard word " << static_cast<int64_t>(i) - static_cast<int64_t>(kGuard) << " of an output of "
                      << size_ << " elements was overwritten with " << +memory_[i];
        return;
      }
    }
  }

 private:
  static constexpr size_t kGuard = 64;
  static T guard() { return static_cast<T>(-12345); }
  int64_t size_;
  std::vector<T> memory_;
};

// ---------------------------------------------------------------- comparisons

/// Limit of a comparison: relative L2 over the whole output, and 8 times it for one element, relative to the largest
/// expected magnitude. `scale` raises that magnitude where results cancel to nearly zero (a KL of 1e-9).
struct Tolerance {
  double relative = 0;  ///< 0: equal values (a zero's sign does not count)
  double scale = 0;     ///< least magnitude an element is measured against
};

/// Limit for float results of sums of K terms against double ones: u * sqrt(K), u = 6e-8, at least 1e-6.
/// Source: measured, a sequential float sum errs by about 0.3 u sqrt(K).
inline Tolerance fp32_tolerance(int64_t K, double scale = 0) {
  return {std::max(1e-6, 6e-8 * std::sqrt(static_cast<double>(K))), scale};
}
/// Limit for products of floats whose operands are rounded to tf32: measured 2.9e-4.
inline constexpr Tolerance kTf32Tolerance{1e-3, 0};
/// Limit for double against double in another order.
inline Tolerance fp64_tolerance(double scale = 0) { return {1e-12, scale}; }
inline Tolerance exact() { return {}; }
template <class T>
Tolerance tolerance_for(int64_t K, double scale = 0) {
  return std::is_same_v<T, double> ? fp64_tolerance(scale) : fp32_tolerance(K, scale);
}

/// Compares any two containers element by element. NaN in either never passes: every test is `!(error <= limit)`.
template <class Got, class Want>
void expect_close(const Got& got, const Want& want, Tolerance tolerance, const std::string& name = "") {
  const auto n = static_cast<int64_t>(std::end(want) - std::begin(want));
  ASSERT_EQ(static_cast<int64_t>(std::end(got) - std::begin(got)), n) << name;
  double largest = tolerance.scale, want_squares = 0, error_squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto expected = static_cast<double>(std::begin(want)[i]);
    largest = std::max(largest, std::abs(expected));
    want_squares += std::max(expected * expected, tolerance.scale * tolerance.scale);
  }
  const double limit = 8 * tolerance.relative * largest;
  int64_t bad = 0, first = -1, worst = -1;
  double worst_error = -1;
  for (int64_t i = 0; i < n; ++i) {
    const double error = std::abs(static_cast<double>(std::begin(got)[i]) - static_cast<double>(std::begin(want)[i]));
    error_squares += error * error;
    if (error > worst_error || (std::isnan(error) && !std::isnan(worst_error))) worst_error = error, worst = i;
    if (!(error <= limit)) {
      if (bad++ == 0) first = i;
    }
  }
  const double norm_limit = tolerance.relative * std::sqrt(want_squares), norm_error = std::sqrt(error_squares);
  if (bad == 0 && norm_error <= norm_limit) return;
  bool worst_reported = false;
  std::ostringstream report;
  report.precision(9);
  report << (name.empty() ? "output" : name) << ": " << bad << " of " << n << " elements beyond the limit " << limit
         << "; relative L2 " << norm_error / std::sqrt(want_squares) << ", limit " << tolerance.relative;
  for (int64_t i : {first, worst}) {
    if (i < 0 || (i == worst && std::exchange(worst_reported, true))) continue;
    const double error = std::abs(static_cast<double>(std::begin(got)[i]) - static_cast<double>(std::begin(want)[i]));
    report << "\n  [" << i << "]: expected " << static_cast<double>(std::begin(want)[i]) << ", got "
           << static_cast<double>(std::begin(got)[i]) << ", " << error / limit << " times the limit"
           << (i == worst ? " (worst)" : " (first)");
  }
  ADD_FAILURE() << report.str();
}

/// Every bit equal, NaN payloads and the sign of zero included.
template <class A, class B>
void expect_same_bits(const A& got, const B& want, const std::string& name = "") {
  const auto n = static_cast<int64_t>(std::end(want) - std::begin(want));
  ASSERT_EQ(static_cast<int64_t>(std::end(got) - std::begin(got)), n) << name;
  int64_t bad = 0, first = -1;
  for (int64_t i = 0; i < n; ++i) {
    static_assert(sizeof(*std::begin(got)) == sizeof(*std::begin(want)));
    if (std::memcmp(&std::begin(got)[i], &std::begin(want)[i], sizeof(*std::begin(got))) != 0 && bad++ == 0) first = i;
  }
  if (bad == 0) return;
  std::ostringstream report;
  report.precision(17);
  report << (name.empty() ? "output" : name) << ": bits of " << bad << " of " << n << " elements differ; first ["
         << first << "]: expected " << +std::begin(want)[first] << ", got " << +std::begin(got)[first];
  ADD_FAILURE() << report.str();
}

/// f must throw hourglass::Error of this class with a message that contains every given part.
template <class F>
void expect_error(F&& f, Exit exit, std::initializer_list<const char*> parts) {
  try {
    f();
    ADD_FAILURE() << "expected an error, none was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), static_cast<int>(exit)) << error.what();
    for (const char* part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "\"" << error.what() << "\" does not say \"" << part << "\"";
    }
  }
}

// ---------------------------------------------------------------- promises

/// The gradient check: central differences of the scalar f(x) in double against `analytic`, element by element.
/// Large inputs are probed at `probes` evenly spread elements. eps 1e-6, atol 1e-8, rtol 1e-6 (100 to 1000 times
/// tighter than PyTorch's defaults).
template <class F, class Analytic>
void gradcheck(F&& f, std::vector<double> x, const Analytic& analytic, const std::string& name = "gradient",
               int64_t probes = 256) {
  constexpr double kEps = 1e-6, kAtol = 1e-8, kRtol = 1e-6;
  const auto n = static_cast<int64_t>(x.size());
  ASSERT_EQ(static_cast<int64_t>(std::end(analytic) - std::begin(analytic)), n) << name;
  const int64_t count = std::min(n, probes);
  for (int64_t probe = 0; probe < count; ++probe) {
    const int64_t i = probe * n / count;
    const double kept = x[static_cast<size_t>(i)];
    x[static_cast<size_t>(i)] = kept + kEps;
    const double above = f(std::as_const(x));
    x[static_cast<size_t>(i)] = kept - kEps;
    const double below = f(std::as_const(x));
    x[static_cast<size_t>(i)] = kept;
    const double numeric = (above - below) / (2 * kEps), error = std::abs(numeric - std::begin(analytic)[i]);
    const double limit = kAtol + kRtol * std::abs(numeric);
    if (!(error <= limit)) {
      ADD_FAILURE() << name << "[" << i << "] of " << n << ": central difference " << numeric << ", backward "
                    << std::begin(analytic)[i] << ", " << error / limit << " times the limit";
      return;
    }
  }
}

/// sum_i seeds[i] y[i]: turns an op's output into the scalar of a gradient check; the seeds are its output gradient.
template <class Y, class Seeds>
double weighted_sum(const Y& y, const Seeds& seeds) {
  double sum = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(std::end(y) - std::begin(y)); ++i) {
    sum += static_cast<double>(std::begin(y)[i]) * static_cast<double>(std::begin(seeds)[i]);
  }
  return sum;
}

/// The three promises of a gradient output of n elements. `backward(Grad<T>)` runs the op: kSet overwrites every
/// element of a poisoned buffer, kAdd adds the same to what is there, null is skipped. Returns the kSet result.
template <class T, class F>
std::vector<T> expect_set_and_add(int64_t n, F&& backward, Tolerance tolerance = fp32_tolerance(1),
                                  const std::string& name = "gradient") {
  Guarded<T> set(n);
  backward(Grad<T>{set.data(), Write::kSet});
  const std::vector<T> before = random_values<T>(n, 77);
  std::vector<double> want(before.begin(), before.end());
  for (int64_t i = 0; i < n; ++i) want[static_cast<size_t>(i)] += static_cast<double>(set[i]);
  Guarded<T> add(before);
  backward(Grad<T>{add.data(), Write::kAdd});
  expect_close(add, want, tolerance, name + " under kAdd");
  backward(Grad<T>{});
  return set.values();
}

/// Runs f(context) without a pool and on 1, 2 and 4 threads; the vectors it returns must have the same bits.
template <class F>
void expect_same_bits_for_threads(F&& f, const std::string& name = "output") {
  const auto want = f(test_context(0));
  for (int threads : {1, 2, 4}) {
    expect_same_bits(f(test_context(threads)), want, name + " on " + std::to_string(threads) + " threads");
  }
}

}  // namespace hourglass::test
