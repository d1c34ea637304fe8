// SPDX-License-Identifier: Apache-2.0
// What the device promises of a training, at the sizes of its use: for each model and precision several captured
// trainings and an eager one leave one hash of all tensors, logged terms and test figures, and follow the CPU's curve.
// One JSON line each. Exit 1 when a promise is broken, something failed, or time ran out before the last; 77 without a
// device. In the emulator only --small makes sense.
// Usage: determinism [--model NAME ...] [--precision fp32|tf32|bf16 ...] [--runs N] [--steps N] [--curve-steps N]
//                    [--window N] [--seconds S] [--cpu-seconds S] [--data-dir DIR] [--small] [--tolerance X]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>

#include "engine/io/json.h"
#include "engine/runtime.h"
#include "kernels/base/error.h"
#include "tests/model_runs.h"

namespace hourglass::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kKMeans = "kmeans";

struct Options {
  std::vector<std::string> models;
  std::vector<Precision> precisions;
  int runs = 10;
  int64_t steps = 200, curve_steps = 100, window = 10;
  double seconds = 95;     ///< for all; what would begin later is left out
  double cpu_seconds = 2;  ///< of a model's curve on the CPU, which is as long as fits
  std::string data_dir;
  bool small = false;
  std::optional<double> tolerance;  ///< instead of the table's
};

Options parse_options(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::function<void(const std::string&)>> known = {
      {"--model", [&](const std::string& v) { o.models.push_back(v); }},
      {"--precision", [&](const std::string& v) { o.precisions.push_back(parse_precision(v)); }},
      {"--runs", [&](const std::string& v) { o.runs = std::stoi(v); }},
      {"--steps", [&](const std::string& v) { o.steps = std::stoll(v); }},
      {"--curve-steps", [&](const std::string& v) { o.curve_steps = std::stoll(v); }},
      {"--window", [&](const std::string& v) { o.window = std::stoll(v); }},
      {"--seconds", [&](const std::string& v) { o.seconds = std::stod(v); }},
      {"--cpu-seconds", [&](const std::string& v) { o.cpu_seconds = std::stod(v); }},
      {"--data-dir", [&](const std::string& v) { o.data_dir = v; }},
      {"--tolerance", [&](const std::string& v) { o.tolerance = std::stod(v); }}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--small") {
      o.small = true;
    } else if (known.contains(name) && i + 1 < argc) {
      known.at(name)(argv[++i]);
    } else {
      throw Error(Exit::kUsage, "unknown option or no value: " + name);
    }
  }
  if (o.runs < 1 || o.steps < 3 || o.curve_steps < 1 || o.window < 1) {
    throw Error(Exit::kUsage, "expected at least 1 run of 3 steps, a curve and a window");
  }
  if (o.precisions.empty()) o.precisions = {Precision::kFp32, Precision::kTf32, Precision::kBf16};
  return o;
}

/// Its run and what the CPU made of it, for all precisions.
struct Prepared {
  ModelRun run;
  Outcome cpu;
};

class Examination {
 public:
  explicit Examination(const Options& options) : o_(options) {}

  int run() {
    for (const Precision precision : o_.precisions) {
      for (const ModelRow& row : model_rows()) {
        const char* const words = o_.small ? row.small : row.words;
        if (!words || !asked(row.name)) continue;
        report(row.name, precision, [&] { return of_model(row.name, words, precision); });
      }
      if (precision == Precision::kFp32 && asked(kKMeans)) report(kKMeans, precision, [&] { return of_kmeans(); });
    }
    if (examined_ == 0) throw Error(Exit::kUsage, "no model of that name");
    return failed_;
  }

 private:
  bool asked(const std::string& name) const {
    return o_.models.empty() || std::find(o_.models.begin(), o_.models.end(), name) != o_.models.end();
  }

  std::string more() const {
    std::string words = o_.small ? "--data shapes:8:40 --batch 6" : "";
    return o_.data_dir.empty() ? words : words + " --data-dir '" + o_.data_dir + "'";
  }

  Verdict of_model(const std::string& name, const std::string& words, Precision precision) {
    RunPlan plan;
    plan.steps = o_.steps;
    plan.window = o_.window;
    plan.evaluated = o_.small ? 4 : 200;
    plan.precision = precision;
    if (!prepared_.contains(name)) {
      RunPlan cpu = plan;
      cpu.device = "cpu";
      cpu.until = o_.curve_steps;
      cpu.seconds = o_.cpu_seconds;
      const ModelRun run(words, more());
      prepared_.emplace(name, Prepared{run, train(run, cpu)});
    }
    const Prepared& of_row = prepared_.at(name);
    compared_ = static_cast<int64_t>(of_row.cpu.curve.size()) * o_.window;
    return examine(of_row.run, plan, o_.runs, of_row.cpu);
  }

  Verdict of_kmeans() {
    compared_ = 0;
    const ModelRun run("ae", more());
    return examine_kmeans(run, {}, o_.runs, 10000, {.iterations = 10}, o_.small ? 4 : 64);
  }

  template <class F>
  void report(const char* name, Precision precision, F&& f) {
    ++examined_;
    Json line = Json::object({{"model", name}, {"precision", name_of(precision)}});
    const auto start = Clock::now();
    try {
      if (seconds_since(start_) > o_.seconds) throw std::runtime_error("out of time");
      Verdict v = f();
      if (o_.tolerance) v.tolerance = v.gradient_tolerance = *o_.tolerance;
      line.set("runs", v.runs).set("hashes", v.hashes).set("hash", v.hash);
      line.set("eager_equals_captured", v.eager_equals_captured).set("launches", v.nodes);
      line.set("curve_steps", compared_).set("curve_max_relative_difference", v.difference);
      line.set("tolerance", v.tolerance).set("gradient_norm_difference", v.gradient_difference);
      line.set("gradient_norm_tolerance", v.gradient_tolerance).set("seconds", seconds_since(start));
      if (!v.differs.empty()) line.set("differs", v.differs);
      line.set("ok", v.ok());
      if (!v.ok()) failed_ = 1;
    } catch (const std::exception& error) {
      line.set("failed", error.what()).set("ok", false);
      failed_ = 1;
    }
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }

  static double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

  const Options& o_;
  const Clock::time_point start_ = Clock::now();
  std::map<std::string, Prepared> prepared_;
  int64_t compared_ = 0;
  int examined_ = 0, failed_ = 0;
};

int examine_all(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  try {
    Runtime runtime({"cuda", 1});
  } catch (const Error& error) {
    std::fprintf(stderr, "determinism: needs a CUDA device: %s\n", error.what());
    return 77;
  }
  return Examination(options).run();
}

}  // namespace
}  // namespace hourglass::test

int main(int argc, char** argv) {
  try {
    return hourglass::test::examine_all(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "determinism: %s\n", error.what());
    return 2;
  }
}
