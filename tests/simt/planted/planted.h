// SPDX-License-Identifier: Apache-2.0
// Planted bugs: small kernels, and callers of the runtime, with one mistake each. They prove that the emulator notices
// what it is for (tests/test_planted.cpp). Every one has a correct twin, the same code with `planted` false, in which
// nothing may be noticed.
#pragma once

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/base/gpu.cuh"

namespace hourglass::test {

using Floats = std::vector<float>;

struct Outcome {
  Floats got;
  Floats want = {};      ///< what the correct code gives; empty: not asked
  bool refused = false;  ///< a call of the runtime returned an error
};

/// Expected signs, separated by blanks: "wrong" (a result), "differs" (from schedule to schedule), "refused" (by the
/// runtime), "crash", "asan" or "ubsan" (AddressSanitizer or UndefinedBehaviorSanitizer stops the program), or the kind
/// of a report. Empty: this flavour does not notice.
struct PlantedBug {
  const char* name;
  const char* mistake;
  const char* plain;
  const char* sanitized;
  const char* checked;
  Outcome (*run)(bool planted);
};

std::vector<PlantedBug> planted_barriers();
std::vector<PlantedBug> planted_memory();
std::vector<PlantedBug> planted_warps();
std::vector<PlantedBug> planted_host();
std::vector<PlantedBug> planted_hopper();
std::vector<PlantedBug> planted_images();
std::vector<PlantedBug> planted_matrices();
std::vector<PlantedBug> planted_training();

/// Device memory of exactly n elements. Errors are left for the emulator to tell.
template <class T = float>
class Array {
 public:
  explicit Array(size_t n) : size_(n) { static_cast<void>(cudaMalloc(&data_, n * sizeof(T))); }
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    static_cast<void>(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
    static_cast<void>(cudaStreamSynchronize(nullptr));  // for streams that do not wait for the default one
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { static_cast<void>(cudaFree(data_)); }
  T* data() const { return data_; }
  size_t bytes() const { return size_ * sizeof(T); }
  std::vector<T> values() const {
    std::vector<T> host(size_, T{});
    static_cast<void>(cudaMemcpy(host.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  size_t size_;
  T* data_ = nullptr;
};

/// 1, 2, 3, ... to 97, and again.
inline Floats ramp(size_t n) {
  Floats values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i % 97 + 1);
  return values;
}
/// f(0), f(1), ...
template <class F>
Floats each(size_t n, F f) {
  Floats values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(f(i));
  return values;
}
inline float sum(const Floats& values) {
  float total = 0;
  for (float value : values) total += value;
  return total;
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, Arguments&&... arguments) {
  gpu::launch(kernel, blocks, threads, 0, nullptr, std::forward<Arguments>(arguments)...);
}

}  // namespace hourglass::test
