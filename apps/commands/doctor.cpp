// SPDX-License-Identifier: Apache-2.0
// hourglass doctor: what a bug report needs.
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/terminal.h"
#include "engine/buffer.h"
#include "engine/dataset.h"
#include "engine/runtime.h"
#include "engine/version.h"
#include "kernels/gemm.h"

namespace hourglass {
namespace {

/// The value of `key` in a file of lines such as "model name : ..." or NAME="...".
std::string value_in_file(const char* path, const std::string& key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t at = line.find(separator);
    if (line.rfind(key, 0) != 0 || at == std::string::npos) continue;
    std::string value = line.substr(at + 1);
    std::erase(value, '"');
    return value.substr(std::min(value.find_first_not_of(' '), value.size()));
  }
  return "unknown";
}

std::string instruction_sets() {
  std::string names;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) names += "sse4.2 ";
  if (__builtin_cpu_supports("avx2")) names += "avx2 ";
  if (__builtin_cpu_supports("fma")) names += "fma ";
  if (__builtin_cpu_supports("avx512f")) names += "avx512f ";
#endif
  if (!names.empty()) names.pop_back();
  return names;
}

Json machine() {
  utsname system = {};
  uname(&system);
  const size_t memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return Json::object({{"system", value_in_file("/etc/os-release", "PRETTY_NAME", '=')},
                       {"kernel", std::string(system.sysname) + " " + system.release + " " + system.machine},
                       {"cpu", value_in_file("/proc/cpuinfo", "model name", ':')},
                       {"instruction_sets", instruction_sets()},
                       {"memory", format_bytes(memory)}});
}

Json build() {
  const BuildInfo& info = build_info();
  return Json::object({{"version", info.version},
                       {"commit", info.commit},
                       {"compiler", info.compiler},
                       {"flags", info.flags},
                       {"cuda", info.cuda},
                       {"onednn", info.onednn},
                       {"libraries", HOURGLASS_LIBRARIES}});
}

/// Where a named data set stands: loaded in full, because only that shows that it is sound.
Json data_state(const char* name, const DoctorOptions& options) {
  try {
    const Dataset data = load_dataset({.spec = name, .data_dir = options.data_dir});
    return "found: " + count_text(static_cast<int64_t>(data.train.size())) + " training and " +
           count_text(static_cast<int64_t>(data.test.size())) + " test images";
  } catch (const Error& error) {
    const std::string message = error.what();
    return message.substr(0, message.find(". "));
  }
}

Json device_state() {
  try {
    const Runtime runtime;
    if (runtime.ctx().device == Device::kCpu) return runtime.description();
    return runtime.description() + "; matrix products by " + cuda::gemm_library();
  } catch (const Error& error) {
    return std::string("none: ") + error.what();
  }
}

}  // namespace

int run_doctor(const DoctorOptions& options) {
  const Json facts =
      Json::object({{"build", build()},
                    {"device", device_state()},
                    {"machine", machine()},
                    {"environment", Json::object({{"HOURGLASS_DATA", environment_variable("HOURGLASS_DATA")},
                                                  {"HOURGLASS_WGMMA", environment_variable("HOURGLASS_WGMMA")},
                                                  {"NO_COLOR", environment_variable("NO_COLOR")}})},
                    {"data", Json::object({{"fashion-mnist", data_state("fashion-mnist", options)},
                                           {"mnist", data_state("mnist", options)},
                                           {"cifar-10", data_state("cifar-10", options)}})}});
  print_facts(facts, options.json);
  return 0;
}

}  // namespace hourglass
