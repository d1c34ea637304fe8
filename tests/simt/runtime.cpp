// SPDX-License-Identifier: Apache-2.0
// Errors, device properties and kernel launches of the emulated runtime.
#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "tests/simt/ptx/module.h"
#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"
#include "tests/simt/shared_memory.h"
#include "tests/simt/stream.h"

namespace simt {
namespace {

constexpr size_t kDefaultShared = 48 << 10, kMostShared = 227 << 10;
constexpr int kMultiprocessors = 4, kMostBlocksOfOne = 32;
constexpr unsigned kMostGridYZ = 65535, kMostBlockZ = 64, kMostGridX = 0x7FFFFFFF;

cudaError_t last_error = cudaSuccess;
cudaError_t fault_of_device = cudaSuccess;
bool recording = false, profiling = false;
std::vector<LaunchRecord> records;

std::unordered_map<const void*, size_t>& dynamic_limits() {
  static std::unordered_map<const void*, size_t> limits;
  return limits;
}

/// Of a kernel that has not asked for more, with its static arrays 48 KiB.
size_t dynamic_limit(const void* kernel) {
  const auto found = dynamic_limits().find(kernel);
  return found == dynamic_limits().end() ? kDefaultShared - static_shared_bytes(kernel) : found->second;
}

cudaError_t check_launch(const KernelCall& call) {
  const uint64_t threads = uint64_t{call.block.x} * call.block.y * call.block.z;
  if (threads == 0 || threads > kMaxThreads || call.block.z > kMostBlockZ || call.grid.x == 0 || call.grid.y == 0 ||
      call.grid.z == 0 || call.grid.x > kMostGridX || call.grid.y > kMostGridYZ || call.grid.z > kMostGridYZ) {
    return cudaErrorInvalidConfiguration;
  }
  const size_t fixed = static_shared_bytes(call.kernel);
  if (fixed > kDefaultShared || call.shared_bytes > dynamic_limit(call.kernel)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

/// A multiprocessor has the threads and the shared memory of an H100's. Interpreted PTX runs a block at a time.
int blocks_of_one(const void* kernel, unsigned threads, size_t dynamic_bytes) {
  cudaDeviceProp card;
  if (cudaGetDeviceProperties(&card, 0) != cudaSuccess || threads == 0) return 0;
  if (ptx::enabled()) return 1;
  constexpr size_t kOfTheSystem = 1024;  // of each block
  const unsigned whole = (threads + kWarpLanes - 1) / kWarpLanes * kWarpLanes;
  const size_t bytes = static_shared_bytes(kernel) + dynamic_bytes + kOfTheSystem;
  const auto by_threads = card.maxThreadsPerMultiProcessor / static_cast<int>(whole);
  const auto by_memory = static_cast<int>(card.sharedMemPerMultiprocessor / bytes);
  return std::min({by_threads, by_memory, kMostBlocksOfOne});
}

bool fits_together(const KernelCall& call) {
  const uint64_t blocks = uint64_t{call.grid.x} * call.grid.y * call.grid.z;
  const unsigned threads = call.block.x * call.block.y * call.block.z;
  const int multiprocessors = ptx::enabled() ? 1 : kMultiprocessors;
  return blocks <= static_cast<uint64_t>(multiprocessors * blocks_of_one(call.kernel, threads, call.shared_bytes));
}

void append_record(const KernelCall& call) {
  LaunchRecord record;
  record.kernel = demangled(symbol_of(call.kernel));
  record.grid[0] = call.grid.x, record.grid[1] = call.grid.y, record.grid[2] = call.grid.z;
  record.block[0] = call.block.x, record.block[1] = call.block.y, record.block[2] = call.block.z;
  record.shared_bytes = call.shared_bytes;
  record.arguments = call.argument_bytes;
  records.push_back(std::move(record));
}

void run(const KernelCall& call) {
  ++counters().launches;
  counters().profiled_launches += profiling;
  if (ptx::enabled()) {
    if (!ptx::run(call)) set_device_fault(cudaErrorLaunchFailure);
    return;
  }
  Grid grid;
  grid.grid = call.grid;
  grid.block = call.block;
  grid.shared_bytes = call.shared_bytes;
  grid.kernel = call.kernel;
  grid.run_thread = call.run_thread;
  grid.arguments = call.arguments.get();
  grid.argument_bytes = call.bound_bytes;
  grid.cooperative = call.cooperative;
  if (!run_grid(grid)) set_device_fault(cudaErrorLaunchFailure);
}

}  // namespace

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}
cudaError_t device_fault() { return fault_of_device; }
void set_device_fault(cudaError_t error) { fault_of_device = last_error = error; }

void record_launches(bool on) { recording = on; }
void profile_launches(bool on) { profiling = on; }
std::vector<LaunchRecord> take_launches() { return std::exchange(records, {}); }

cudaError_t launch(KernelCall call, cudaStream_t stream) {
  if (const cudaError_t error = check_launch(call)) return remember(error);
  if (call.cooperative && !fits_together(call)) return remember(cudaErrorCooperativeLaunchTooLarge);
  ++counters().api_launches;
  if (recording) append_record(call);
  return push(stream, cudaGraphNodeTypeKernel, [call = std::move(call)] { run(call); });
}

}  // namespace simt

using namespace simt;

cudaError_t cudaGetLastError() { return std::exchange(last_error, device_fault()); }
cudaError_t cudaPeekAtLastError() { return last_error; }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define SIMT_NAME(name) \
  case name:            \
    return #name
    SIMT_NAME(cudaSuccess);
    SIMT_NAME(cudaErrorInvalidValue);
    SIMT_NAME(cudaErrorMemoryAllocation);
    SIMT_NAME(cudaErrorInvalidConfiguration);
    SIMT_NAME(cudaErrorInvalidMemcpyDirection);
    SIMT_NAME(cudaErrorInsufficientDriver);
    SIMT_NAME(cudaErrorInvalidDeviceFunction);
    SIMT_NAME(cudaErrorNoDevice);
    SIMT_NAME(cudaErrorSystemNotReady);
    SIMT_NAME(cudaErrorInvalidDevice);
    SIMT_NAME(cudaErrorNoKernelImageForDevice);
    SIMT_NAME(cudaErrorUnsupportedPtxVersion);
    SIMT_NAME(cudaErrorInvalidResourceHandle);
    SIMT_NAME(cudaErrorIllegalState);
    SIMT_NAME(cudaErrorNotReady);
    SIMT_NAME(cudaErrorIllegalAddress);
    SIMT_NAME(cudaErrorLaunchFailure);
    SIMT_NAME(cudaErrorCooperativeLaunchTooLarge);
    SIMT_NAME(cudaErrorNotSupported);
    SIMT_NAME(cudaErrorStreamCaptureUnsupported);
    SIMT_NAME(cudaErrorStreamCaptureInvalidated);
    SIMT_NAME(cudaErrorStreamCaptureMerge);
    SIMT_NAME(cudaErrorStreamCaptureUnmatched);
    SIMT_NAME(cudaErrorStreamCaptureUnjoined);
    SIMT_NAME(cudaErrorStreamCaptureIsolation);
    SIMT_NAME(cudaErrorStreamCaptureImplicit);
    SIMT_NAME(cudaErrorCapturedEvent);
    SIMT_NAME(cudaErrorStreamCaptureWrongThread);
#undef SIMT_NAME
  }
  return "cudaErrorUnknown";
}
const char* cudaGetErrorString(cudaError_t) { return "reported by the SIMT emulator"; }

cudaError_t cudaGetDeviceCount(int* count) {
  int needed = 0;
  *count = 0;
  static_cast<void>(cudaRuntimeGetVersion(&needed));
  if (config().driver < needed) return remember(cudaErrorInsufficientDriver);
  if (config().devices == 0) return remember(cudaErrorNoDevice);
  if (!config().starts) return remember(cudaErrorSystemNotReady);
  *count = config().devices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : remember(cudaErrorInvalidDevice); }
cudaError_t cudaDriverGetVersion(int* version) {
  *version = config().driver;
  return cudaSuccess;
}
cudaError_t cudaProfilerStart() {
  profile_launches(true);
  return cudaSuccess;
}
cudaError_t cudaProfilerStop() {
  profile_launches(false);
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDeviceReset() {
  drain_all();
  set_device_fault(cudaSuccess);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return remember(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "SIMT emulator");
  properties->major = ptx::enabled() ? 8 : 9;  // what the code that runs was made for
  properties->multiProcessorCount = ptx::enabled() ? 1 : kMultiprocessors;
  properties->warpSize = static_cast<int>(kWarpLanes);
  properties->maxThreadsPerBlock = static_cast<int>(kMaxThreads);
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->regsPerBlock = 65536;
  properties->totalGlobalMem = config().device_bytes;
  properties->sharedMemPerBlock = kDefaultShared;
  properties->sharedMemPerBlockOptin = kMostShared;
  properties->sharedMemPerMultiprocessor = kMostShared + 1024;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device)) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = properties.maxThreadsPerBlock;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = properties.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = properties.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = properties.minor;
      return cudaSuccess;
    case cudaDevAttrCooperativeLaunch:
      *value = 1;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return cudaSuccess;
    default:  // clocks, caches and buses, which the emulator does not have
      *value = 0;
      return cudaSuccess;
  }
}

cudaError_t cudaFuncGetName(const char** name, const void* kernel) {
  static std::unordered_map<const void*, std::string> names;
  std::string& symbol = names[kernel];
  if (symbol.empty()) symbol = symbol_of(kernel);
  *name = symbol.c_str();
  return symbol.empty() ? remember(cudaErrorInvalidDeviceFunction) : cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  if (!config().image) return remember(cudaErrorNoKernelImageForDevice);
  *attributes = {};
  attributes->sharedSizeBytes = static_shared_bytes(kernel);
  attributes->maxThreadsPerBlock = static_cast<int>(kMaxThreads);
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_limit(kernel));
  attributes->ptxVersion = attributes->binaryVersion = 80;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int block_size,
                                                          size_t dynamic_smem) {
  if (block_size < 0) return remember(cudaErrorInvalidValue);
  *blocks = blocks_of_one(kernel, static_cast<unsigned>(block_size), dynamic_smem);
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  if (value < 0 || static_cast<size_t>(value) + static_shared_bytes(kernel) > kMostShared) {
    return remember(cudaErrorInvalidValue);
  }
  dynamic_limits()[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}
