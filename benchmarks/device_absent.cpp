// SPDX-License-Identifier: Apache-2.0
// A build without CUDA kernels has no device to measure: nothing but device_usable is called.
#include "benchmarks/device.h"
#include "benchmarks/device_cases.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass::bench {
namespace {
[[noreturn]] void absent() { throw Error(Exit::kDevice, "this build has no CUDA kernels"); }
}  // namespace

struct Replay::State {};

bool device_usable() { return false; }
std::string device_description() { return cuda::probe(0).description; }
double device_l2_bytes() { absent(); }
int device_multiprocessors() { absent(); }
void require_hopper() { absent(); }
const Context& device_context() { absent(); }
std::shared_ptr<void> device_memory(const Context&, size_t) { absent(); }
unsigned read_word(const std::shared_ptr<void>&, int) { absent(); }
Replay::Replay(int, const std::function<void(int)>&) { absent(); }
Replay::~Replay() = default;
double Replay::seconds() const { absent(); }
void profile_once(const std::function<void()>&) { absent(); }
int rotation(double) { absent(); }
void device_fill_random(void*, int64_t) { absent(); }
Rate device_copy_rate(double) { absent(); }
Rate device_product_rate(Dtype, Math) { absent(); }
double device_copy_bandwidth(double) { absent(); }
double device_peak_flops(Dtype) { absent(); }
std::vector<DeviceCase> ceiling_cases() { return {}; }
std::vector<DeviceCase> launch_cases() { return {}; }
std::vector<DeviceCase> barrier_cases() { return {}; }

}  // namespace hourglass::bench
