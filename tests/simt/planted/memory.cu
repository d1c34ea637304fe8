// SPDX-License-Identifier: Apache-2.0
// Planted bugs of addresses, and of memory that nobody has written.
#include <algorithm>

#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

constexpr int kThreads = 64;

__global__ void read_past_end_kernel(const float* x, float* y, int n, bool planted) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i < n + (planted ? 1 : 0)) y[i < n ? i : 0] = x[i];
}
Outcome read_past_end(bool planted) {
  const size_t n = 100;
  const Array<> x(ramp(n)), y(n);
  launch(read_past_end_kernel, 2, kThreads, x.data(), y.data(), static_cast<int>(n), planted);
  return {y.values()};
}

__global__ void write_past_end_kernel(float* y, int n, bool planted) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i < n + (planted ? 1 : 0)) y[i] = 1;
}
Outcome write_past_end(bool planted) {
  const size_t n = 100;
  const Array<> y(n);
  launch(write_past_end_kernel, 2, kThreads, y.data(), static_cast<int>(n), planted);
  return {y.values(), Floats(n, 1)};
}

__global__ void row_end_kernel(float* y, bool planted) {
  __shared__ float s[2][32];
  const auto t = static_cast<int>(threadIdx.x);
  s[0][t] = s[1][t] = static_cast<float>(t);
  __syncthreads();
  y[t] = s[0][planted ? t + 1 : t];
}
Outcome past_end_of_shared_row(bool planted) {
  const Array<> y(32);
  launch(row_end_kernel, 1, 32, y.data(), planted);
  return {y.values()};
}

__global__ void dynamic_shared_kernel(float* y, int n) {
  auto* const s = gpu::dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += 32) s[i] = 1;
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
Outcome past_end_of_dynamic_shared(bool planted) {
  const Array<> y(32);
  gpu::launch(dynamic_shared_kernel, 1, 32, 32 * sizeof(float), nullptr, y.data(), planted ? 40 : 32);
  return {y.values(), Floats(32, 1)};
}

__global__ void vector_load_kernel(const float* x, float* y, int offset) {
  const gpu::Vec4 v = gpu::load4(x + offset + 4 * threadIdx.x);
  y[threadIdx.x] = v[0] + v[1] + v[2] + v[3];
}
Outcome misaligned_vector(bool planted) {
  const Array<> x(ramp(132)), y(32);
  launch(vector_load_kernel, 1, 32, x.data(), y.data(), planted ? 1 : 0);
  return {y.values()};
}

__global__ void copy_kernel(const float* x, float* y, int n) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i < n) y[i] = x[i];
}
Outcome use_after_free(bool planted) {
  const Array<> y(kThreads);
  float* x = nullptr;
  static_cast<void>(cudaMalloc(&x, y.bytes()));
  static_cast<void>(cudaMemset(x, 0, y.bytes()));
  if (planted) static_cast<void>(cudaFree(x));
  launch(copy_kernel, 1, kThreads, x, y.data(), kThreads);
  if (!planted) static_cast<void>(cudaFree(x));
  return {y.values(), Floats(kThreads, 0)};
}

Outcome host_pointer_to_kernel(bool planted) {
  const Floats host = ramp(kThreads);
  const Array<> x(host), y(kThreads);
  launch(copy_kernel, 1, kThreads, planted ? host.data() : x.data(), y.data(), kThreads);
  return {y.values(), host};
}

Outcome device_pointer_on_host(bool planted) {
  const Array<> y(4);
  static_cast<void>(cudaMemset(y.data(), 0, y.bytes()));
  const float second = planted ? y.data()[1] : y.values()[1];
  return {{second}, {0}};
}

__global__ void offset_kernel(float* y, int rows, int columns, bool planted) {
  const int64_t offset = planted ? rows * columns : int64_t{rows} * columns;
  y[threadIdx.x] = offset < 0 ? -1.f : 1.f;
}
Outcome int_overflow(bool planted) {
  const Array<> y(32);
  launch(offset_kernel, 1, 32, y.data(), 1 << 16, 1 << 15, planted);
  return {y.values(), Floats(32, 1)};
}

__global__ void local_array_kernel(float* y, int n) {
  float values[8];
  for (int i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  y[threadIdx.x] = values[threadIdx.x % 8];
}
Outcome past_end_of_local_array(bool planted) {
  const Array<> y(32);
  launch(local_array_kernel, 1, 32, y.data(), planted ? 9 : 8);
  return {y.values(), each(32, [](size_t i) { return i % 8; })};
}

__global__ void foreign_local_kernel(const float** box, float* shared_word, float* y, bool planted) {
  float own = 3;
  if (threadIdx.x == 0) {
    *shared_word = 3;
    *box = planted ? &own : shared_word;
  }
  __syncthreads();
  y[threadIdx.x] = **box;
  __syncthreads();
  if (threadIdx.x > 32) y[0] = *(&own);
}
Outcome pointer_to_foreign_local(bool planted) {
  const Array<const float*> box(1);
  const Array<> word(1), y(32);
  launch(foreign_local_kernel, 1, 32, box.data(), word.data(), y.data(), planted);
  return {y.values(), Floats(32, 3)};
}

__global__ void histogram_kernel(const int* x, float* y, bool planted) {
  __shared__ int counts[32];
  if (!planted) counts[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&counts[x[threadIdx.x]], 1);
  __syncthreads();
  y[threadIdx.x] = static_cast<float>(counts[threadIdx.x]);
}
Outcome uninitialised_shared(bool planted) {
  std::vector<int> bins(32);
  for (int i = 0; i < 32; ++i) bins[static_cast<size_t>(i)] = i;
  const Array<int> x(bins);
  const Array<> y(32);
  launch(histogram_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), Floats(32, 1)};
}

__global__ void increment_kernel(float* y, bool planted) {
  const float before = planted ? y[threadIdx.x] : 0;
  y[threadIdx.x] = before + 1;
}
Outcome uninitialised_global(bool planted) {
  const Array<> y(32);
  launch(increment_kernel, 1, 32, y.data(), planted);
  return {y.values(), Floats(32, 1)};
}

__global__ void largest_kernel(const float* x, float* y, int n) {
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = fmaxf(largest, x[i]);
  y[threadIdx.x] = largest;
}
/// fmaxf ignores the NaN of the poison; other poisons show.
Outcome uninitialised_hidden_by_maximum(bool planted) {
  const Floats values(32, 2);
  const Array<> x(33), y(32);
  static_cast<void>(cudaMemcpy(x.data(), values.data(), 32 * sizeof(float), cudaMemcpyHostToDevice));
  launch(largest_kernel, 1, 32, x.data(), y.data(), planted ? 33 : 32);
  return {y.values(), values};
}

}  // namespace

std::vector<PlantedBug> planted_memory() {
  return {
      {"read_past_end", "`i <= n`: one element read past the end", "differs", "asan", "out-of-bounds", read_past_end},
      {"write_past_end", "`i <= n`: one element written past the end", "", "asan", "out-of-bounds", write_past_end},
      {"past_end_of_shared_row", "an index past a row's end, inside the shared array", "", "ubsan", "",
       past_end_of_shared_row},
      {"past_end_of_dynamic_shared", "more dynamic shared memory used than asked for", "", "asan", "out-of-bounds",
       past_end_of_dynamic_shared},
      {"misaligned_vector", "a 16-byte load from an address that is no multiple of 16", "", "ubsan", "misaligned",
       misaligned_vector},
      {"use_after_free", "a kernel reads memory after `cudaFree`", "", "asan", "out-of-bounds", use_after_free},
      {"host_pointer_to_kernel", "a host pointer passed to a kernel", "", "", "host-memory", host_pointer_to_kernel},
      {"device_pointer_on_host", "the host reads through a device pointer", "wrong", "wrong", "device-memory",
       device_pointer_on_host},
      {"int_overflow", "an offset multiplied in 32 bits", "wrong", "ubsan", "wrong", int_overflow},
      {"past_end_of_local_array", "an index past a local array's end", "", "ubsan", "", past_end_of_local_array},
      {"pointer_to_foreign_local", "a thread reads another thread's local variable", "", "", "foreign-local",
       pointer_to_foreign_local},
      {"uninitialised_shared", "a histogram in shared memory that nobody has zeroed", "wrong differs", "wrong differs",
       "uninitialised", uninitialised_shared},
      {"uninitialised_global", "`+=` on memory that nobody has written", "wrong differs", "wrong differs",
       "uninitialised", uninitialised_global},
      {"uninitialised_hidden_by_maximum", "`fmaxf` of an element that nobody has written", "wrong differs",
       "wrong differs", "uninitialised", uninitialised_hidden_by_maximum},
  };
}

}  // namespace hourglass::test
