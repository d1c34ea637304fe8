// SPDX-License-Identifier: Apache-2.0
// What tests of CUDA kernels are made of, on top of harness.h. They run on the device, or on the emulator
// (HOURGLASS_CUDA=EMULATED), where each one runs under several thread orders and poisons that must give the same bits.
//
//   using GaussianKlCuda = CudaTest;                          // skips where there is no device
//   TEST_F(GaussianKlCuda, MatchesTheReference) {
//     for (GaussianKlShape s : kGaussianKlCases) {
//       const auto mu = random_values<float>(...);            // inputs of the storage type under test: float or bf16
//       const auto got = on_cuda([&](const Context& ctx) {    // under every schedule: same bits, no reports
//         const DeviceArray<float> device_mu(mu);
//         DeviceArray<float> kl(s.N);                         // NaN inside, guard words around
//         cuda::gaussian_kl_forward(ctx, s, device_mu.data(), ..., kl.data());
//         return kl.values();                                 // or std::tuple(a.values(), b.values())
//       });
//       expect_close(got, want_in_double, cuda_tolerance<float>(s.D));
//     }
//   }
//
// Everything a kernel reads through a pointer lives in a DeviceArray: step counters, weights, row tables, Fault words.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/bf16.h"
#include "kernels/base/context.h"
#include "kernels/base/cuda_check.h"
#include "tests/harness.h"
#if defined(HOURGLASS_CUDA_EMULATED)
#include "tests/simt/simt.h"
#endif

namespace hourglass::test {

/// Limit for CUDA results against the double reference on the same inputs. bf16: float arithmetic, and two roundings
/// of the output (kAdd rounds the sum of a rounded value and an unrounded one), which may cancel a little.
template <class T>
Tolerance cuda_tolerance([[maybe_unused]] int64_t K, double scale = 0) {
  if constexpr (std::is_same_v<T, bf16>) {
    return {8e-3, scale};
  } else {
    return fp32_tolerance(K, scale);
  }
}

/// Limit for sums of K exact products on tensor cores, of terms of either sign: every few terms are cut off toward zero
/// (tests/simt/tensor_core_sum.h), which adds up; of 156 products 5.7e-9 K was the largest, and 0.71 of this limit.
inline Tolerance tensor_core_tolerance(int64_t K) {
  return {std::max(fp32_tolerance(K).relative, 8e-9 * static_cast<double>(K))};
}

/// As a tf32 product sees a float that is finite: the nearest tf32, ties away from zero.
inline float rounded_to_tf32(float v) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(v) + 0x1000u) & 0xFFFFE000u);
}
inline std::vector<float> rounded_to_tf32(std::vector<float> values) {
  for (float& v : values) v = rounded_to_tf32(v);
  return values;
}

/// A context of the CUDA device on one non-blocking stream, with a workspace, that live as long as the program.
inline Context cuda_context() {
  static const Context context = [] {
    Context ctx;
    ctx.device = Device::kCuda;
    cudaStream_t stream = nullptr;
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ctx.stream = stream;
    CUDA_CHECK(cudaMalloc(&ctx.workspace, kWorkspaceBytes));
    CUDA_CHECK(cudaMemset(ctx.workspace, 0, kWorkspaceBytes));
    CUDA_CHECK(cudaDeviceSynchronize());
    return ctx;
  }();
  return context;
}

inline void cuda_synchronize() { CUDA_CHECK(cudaStreamSynchronize(static_cast<cudaStream_t>(cuda_context().stream))); }

/// A copy that kernels on any stream see. cudaMemcpy may come back once the bytes are staged, and no non-blocking
/// stream waits for their way to the device.
inline void copy_in(void* to, const void* from, size_t bytes) {
  CUDA_CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
  CUDA_CHECK(cudaStreamSynchronize(nullptr));
}

/// n elements of device memory between guard words. Under AddressSanitizer and the access checker the allocation ends
/// where the array ends, so that a read beyond it is found too; to the checker nothing but what the constructor of a
/// copy or a kernel writes is initialised.
template <class T>
class DeviceArray {
 public:
  /// Poisoned: NaN, or a pattern for integers and structs. `offset` shifts the array by that many elements from its
  /// 256-byte alignment, for tests of the path without vector loads.
  explicit DeviceArray(int64_t n, int offset = 0) : size_(n), offset_(offset) {
    const auto bytes = static_cast<size_t>(n) * sizeof(T);
    std::vector<unsigned char> image(kGuard + static_cast<size_t>(offset) * sizeof(T) + bytes + kTail, kGuardByte);
    CUDA_CHECK(cudaMalloc(&memory_, image.size()));
    constexpr bool kIsFloat = std::is_floating_point_v<T> || std::is_same_v<T, bf16>;
    std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(kGuard) + offset * static_cast<int64_t>(sizeof(T)), bytes,
                kIsFloat ? 0xFF : 0x5A);
    copy_in(memory_, image.data(), image.size());
#if defined(HOURGLASS_CUDA_EMULATED)
    simt::forget_contents(memory_, image.size());
#endif
  }
  /// A copy of `values`: an input, or an output that is read too (kAdd).
  explicit DeviceArray(const std::vector<T>& values, int offset = 0)
      : DeviceArray(static_cast<int64_t>(values.size()), offset) {
    if (values.empty()) return;
    copy_in(data(), values.data(), values.size() * sizeof(T));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() {
    if (!std::uncaught_exceptions()) expect_intact();
    static_cast<void>(cudaFree(memory_));
  }

  T* data() { return reinterpret_cast<T*>(memory_ + kGuard) + offset_; }
  const T* data() const { return reinterpret_cast<const T*>(memory_ + kGuard) + offset_; }
  int64_t size() const { return size_; }

  /// Waits for the stream and copies back.
  std::vector<T> values() const {
    cuda_synchronize();
    std::vector<T> host(static_cast<size_t>(size_));
    if (size_) CUDA_CHECK(cudaMemcpy(host.data(), data(), host.size() * sizeof(T), cudaMemcpyDeviceToHost));
    return host;
  }

  void expect_intact() const {
    cuda_synchronize();
    const size_t front = kGuard + static_cast<size_t>(offset_) * sizeof(T);
    const size_t inside = static_cast<size_t>(size_) * sizeof(T);
    std::vector<unsigned char> image(front + inside + kTail);
    CUDA_CHECK(cudaMemcpy(image.data(), memory_, image.size(), cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < image.size(); ++i) {
      if (i == front) i += inside;
      if (i < image.size() && image[i] != kGuardByte) {
        ADD_FAILURE() << "a kernel wrote " << static_cast<int64_t>(i) - static_cast<int64_t>(front)
                      << " bytes from the start of a device array of " << inside << " bytes";
        return;
      }
    }
  }

 private:
#if defined(HOURGLASS_SANITIZED) || defined(HOURGLASS_SIMT_CHECK)
  static constexpr size_t kTail = 0;
#else
  static constexpr size_t kTail = 256;
#endif
  static constexpr size_t kGuard = 256;
  static constexpr unsigned char kGuardByte = 0xB7;
  int64_t size_;
  int offset_;
  unsigned char* memory_ = nullptr;
};

/// The fixture of tests that need the device.
class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) GTEST_SKIP() << "no CUDA device: " << cudaGetErrorName(error);
  }
};

// Under the sanitizers and the access checker large shapes take minutes: those of more work than this are left out.
// Their tiles, slices and edges are those of smaller cases.
#if defined(HOURGLASS_SIMT_CHECK)
inline constexpr int64_t kMostProducts = 1'000'000, kMostElements = 200'000;
#elif defined(HOURGLASS_SANITIZED)
inline constexpr int64_t kMostProducts = 3'000'000, kMostElements = INT64_MAX;
#else
inline constexpr int64_t kMostProducts = INT64_MAX, kMostElements = INT64_MAX;
#endif
/// The cases whose work(shape) is at most `most`.
template <class Shape, class Work>
std::vector<Shape> affordable(std::vector<Shape> cases, int64_t most, Work work) {
  std::erase_if(cases, [&](const Shape& s) { return work(s) > most; });
  return cases;
}

namespace detail {
template <class T>
void expect_same_results(const std::vector<T>& got, const std::vector<T>& want, const std::string& name) {
  if constexpr (requires(const T& x) { +x; }) {
    expect_same_bits(got, want, name);
  } else {  // structs
    ASSERT_EQ(got.size(), want.size()) << name;
    EXPECT_TRUE(got.empty() || std::memcmp(got.data(), want.data(), got.size() * sizeof(T)) == 0) << name;
  }
}
template <class... V>
void expect_same_results(const std::tuple<V...>& got, const std::tuple<V...>& want, const std::string& name) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    (expect_same_results(std::get<I>(got), std::get<I>(want), name + ", output " + std::to_string(I)), ...);
  }
  (std::index_sequence_for<V...>{});
}
/// Kernels must leave the tickets at the head of the workspace at zero. What stands behind them is no kernel's to rely
/// on: it is poisoned before the next run.
inline void check_workspace(const std::string& name) {
  constexpr size_t kTicketBytes = 256;
  const Context ctx = cuda_context();
  std::vector<unsigned char> tickets(kTicketBytes);
  cuda_synchronize();
  CUDA_CHECK(cudaMemcpy(tickets.data(), ctx.workspace, kTicketBytes, cudaMemcpyDeviceToHost));
  EXPECT_EQ(std::count(tickets.begin(), tickets.end(), 0), static_cast<std::ptrdiff_t>(kTicketBytes))
      << name << " left a ticket of the workspace taken";
  CUDA_CHECK(cudaMemset(ctx.workspace, 0, kTicketBytes));
  CUDA_CHECK(cudaMemset(static_cast<char*>(ctx.workspace) + kTicketBytes, 0xFF, kWorkspaceBytes - kTicketBytes));
  CUDA_CHECK(cudaDeviceSynchronize());
#if defined(HOURGLASS_CUDA_EMULATED)
  simt::forget_contents(static_cast<char*>(ctx.workspace) + kTicketBytes, kWorkspaceBytes - kTicketBytes);
#endif
}
inline void expect_no_reports([[maybe_unused]] const std::string& name) {
#if defined(HOURGLASS_CUDA_EMULATED)
  for (const simt::Report& report : simt::take_reports()) {
    ADD_FAILURE() << name << ": " << report.kind << ": " << report.text;
  }
#endif
}
}  // namespace detail

/// Runs f(ctx), which returns a vector or a tuple of vectors, under every schedule of the emulator, or three times on
/// the device: every run must give the same bits and no report. Returns the first result.
template <class F>
auto on_cuda(F&& f, const std::string& name = "result") {
  const Context ctx = cuda_context();
#if defined(HOURGLASS_CUDA_EMULATED)
  using Result = decltype(f(ctx));
  Result first;
  bool have_first = false;
  for (const simt::Config& schedule : simt::test_schedules()) {
    const simt::ScopedConfig scope(schedule);
    const std::string label = name + " with " + simt::describe(schedule);
    Result result = f(ctx);
    detail::check_workspace(label);
    detail::expect_no_reports(label);
    if (have_first) detail::expect_same_results(result, first, label);
    if (!std::exchange(have_first, true)) first = std::move(result);
  }
#else
  const auto first = f(ctx);
  for (int run = 1; run < 3; ++run) {
    detail::check_workspace(name);
    detail::expect_same_results(f(ctx), first, name + " in run " + std::to_string(run));
  }
#endif
  return first;
}

/// The three promises of a gradient output of n elements (expect_set_and_add of harness.h) on the device:
/// `backward(ctx, Grad<T>)` runs the op; kSet overwrites every element, kAdd adds the same, null is skipped.
/// Returns the kSet result.
template <class T, class F>
std::vector<T> expect_set_and_add_on_cuda(int64_t n, F&& backward, Tolerance tolerance = cuda_tolerance<T>(1),
                                          const std::string& name = "gradient") {
  const std::vector<T> set = on_cuda(
      [&](const Context& ctx) {
        DeviceArray<T> out(n);
        backward(ctx, Grad<T>{out.data(), Write::kSet});
        return out.values();
      },
      name + " under kSet");
  const std::vector<T> before = random_values<T>(n, 77);
  std::vector<double> want(before.begin(), before.end());
  for (size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(set[i]);
  const std::vector<T> added = on_cuda(
      [&](const Context& ctx) {
        DeviceArray<T> out(before);
        backward(ctx, Grad<T>{out.data(), Write::kAdd});
        return out.values();
      },
      name + " under kAdd");
  expect_close(added, want, tolerance, name + " under kAdd");
  backward(cuda_context(), Grad<T>{});
  cuda_synchronize();
  detail::expect_no_reports(name + " not wanted");
  return set;
}

}  // namespace hourglass::test
