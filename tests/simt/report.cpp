// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/report.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/simt/ptx/module.h"
#include "tests/simt/stream.h"

namespace simt {
namespace {

constexpr size_t kMostReports = 64;
std::vector<Report> reports;

/// A misspelt schedule must not run as the default one.
[[noreturn]] void refuse(const char* variable, const std::string& value, const char* expected) {
  throw std::invalid_argument(std::string(variable) + ": expected " + expected + ", got '" + value + "'");
}

std::string environment(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value && *value ? value : otherwise;
}

Config from_environment() {
  Config config;
  const std::string order = environment("HOURGLASS_SIMT_ORDER", "forward");
  const std::string shuffled = "shuffled:";
  if (order == "reverse") {
    config.order = Order::kReverse;
  } else if (order.rfind(shuffled, 0) == 0) {
    config.order = Order::kShuffled;
    config.seed = std::strtoull(order.c_str() + shuffled.size(), nullptr, 10);
  } else if (order != "forward") {
    refuse("HOURGLASS_SIMT_ORDER", order, "forward, reverse or shuffled:SEED");
  }
  const std::string poison = environment("HOURGLASS_SIMT_POISON", "ff");
  if (poison != "ff" && poison != "7b" && poison != "00") refuse("HOURGLASS_SIMT_POISON", poison, "ff, 7b or 00");
  config.poison = static_cast<uint8_t>(std::strtoul(poison.c_str(), nullptr, 16));
  const std::string streams = environment("HOURGLASS_SIMT_STREAMS", "eager");
  if (streams != "eager" && streams != "lazy") refuse("HOURGLASS_SIMT_STREAMS", streams, "eager or lazy");
  config.lazy_streams = streams == "lazy";
  config.cublaslt = environment("HOURGLASS_SIMT_CUBLASLT", "0") != "0";
  const std::string driver = environment("HOURGLASS_SIMT_DRIVER", "13000");
  if (driver.find_first_not_of("0123456789") != std::string::npos) refuse("HOURGLASS_SIMT_DRIVER", driver, "a number");
  config.driver = std::stoi(driver);
  config.devices = environment("HOURGLASS_SIMT_DEVICES", "1") == "0" ? 0 : 1;
  config.image = environment("HOURGLASS_SIMT_IMAGE", "1") != "0";
  config.abort_on_report = environment("HOURGLASS_SIMT_ABORT", "0") == "1";
  const std::string memory = environment("HOURGLASS_SIMT_MEMORY", "8192");
  config.device_bytes = static_cast<size_t>(std::strtoull(memory.c_str(), nullptr, 10)) << 20;
  if (config.device_bytes == 0) refuse("HOURGLASS_SIMT_MEMORY", memory, "a number of MiB");
  return config;
}

}  // namespace

Config& config() {
  static Config config = from_environment();
  return config;
}

std::vector<Config> all_schedules() {
  const Config base = config();
  std::vector<Config> schedules(4, base);
  schedules[1].order = Order::kReverse;
  schedules[1].poison = 0x7B;
  schedules[1].lazy_streams = true;
  schedules[2].order = Order::kShuffled;
  schedules[2].seed = 1;
  schedules[2].poison = 0x00;
  schedules[3].order = Order::kShuffled;
  schedules[3].seed = 2;
  schedules[3].lazy_streams = true;
  return schedules;
}

std::vector<Config> test_schedules() {
  std::vector<Config> schedules = all_schedules();
  if (ptx::enabled()) schedules.resize(1);  // the other orders are the emulator's
#if defined(HOURGLASS_SIMT_CHECK)
  schedules.resize(1);  // what the access checker finds depends on no order
#elif defined(HOURGLASS_SANITIZED)
  // Slow as the sanitizers are: still two orders, two poisons and both kinds of streams.
  if (schedules.size() > 2) schedules.resize(2);
#endif
  return schedules;
}

std::string describe(const Config& config) {
  std::string text = config.order == Order::kForward   ? "threads forward"
                     : config.order == Order::kReverse ? "threads reversed"
                                                       : "threads shuffled by " + std::to_string(config.seed);
  char poison[8];
  std::snprintf(poison, sizeof poison, "%02x", config.poison);
  return text + ", poison " + poison + (config.lazy_streams ? ", lazy streams" : ", eager streams");
}

void report(const std::string& kind, const std::string& text) {
  if (reports.size() < kMostReports) reports.push_back({kind, text});
  if (config().abort_on_report) {
    std::fprintf(stderr, "simt: %s: %s\n", kind.c_str(), text.c_str());
    std::abort();
  }
}

std::vector<Report> take_reports() {
  set_device_fault(cudaSuccess);
  return std::exchange(reports, {});
}

Counters& counters() {
  static Counters counters;
  return counters;
}

}  // namespace simt
