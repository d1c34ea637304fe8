// SPDX-License-Identifier: Apache-2.0
#include "tests/model_runs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <tuple>

#include "apps/command_line.h"
#include "apps/run_setup.h"
#include "engine/buffer.h"
#include "engine/checkpoint.h"
#include "engine/io/checksum.h"
#include "engine/transfer.h"
#if defined(HOURGLASS_CUDA_EMULATED)
#include "tests/simt/simt.h"
#endif

namespace hourglass::test {
namespace {

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (const char c : text) {
    if (c == '\'') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      if (!words.back().empty()) words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

TrainOptions parse_words(const std::string& text) {
  const std::vector<std::string> words = split_words("hourglass train " + text);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  return std::get<TrainOptions>(parse(static_cast<int>(argv.size()), argv.data()));
}

const Dataset& loaded(const TrainOptions& o) {
  static std::map<std::string, Dataset> all;
  const std::string key = o.data + ", " + o.channels + " channels, " + std::to_string(o.image_size.height) + " x " +
                          std::to_string(o.image_size.width);
  if (!all.contains(key)) all.emplace(key, load_data(o));
  return all.at(key);
}

template <class T>
std::string hash_of(const std::vector<T>& values) {
  return sha256({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)}).substr(0, 16);
}

EvaluationOptions evaluation_of(const ModelRun& run, const RunPlan& plan) {
  EvaluationOptions e = evaluation_options(objective_record(run.options), (plan.evaluated + 1) / 2, 0);
  e.corruption = parse_corruption("--corrupt", run.options.corrupt);
  if (run.options.is_vae()) e.iwae_samples = 7;
  return e;
}

std::vector<Outcome::Point> points_of(const Evaluation& e) {
  std::vector<Outcome::Point> points{{e.reconstruction, e.kl}, {e.mse, 0}};
  if (e.iwae_bound) points.push_back({*e.iwae_bound, 0});
  if (e.codes) points.push_back({e.codes->commitment_loss, 0});
  return points;
}

/// Adds what the host knows, and the hash of all.
void finish(Outcome& outcome) {
  outcome.parts.emplace_back("the curve", hash_of(outcome.curve));
  outcome.parts.emplace_back("the gradients' norms", hash_of(outcome.gradient_norms));
  outcome.parts.emplace_back("the evaluation", hash_of(outcome.evaluation));
  std::vector<char> all;
  for (const auto& [name, hash] : outcome.parts) all.insert(all.end(), hash.begin(), hash.end());
  outcome.hash = hash_of(all);
}

void add_parts(const Context& ctx, Trainer& trainer, Outcome& outcome) {
  for (const StateTensor& t : trainer.state_tensors()) {
    std::vector<uint8_t> bytes(static_cast<size_t>(checked_array_bytes(t.shape, t.type)));
    if (t.device == Device::kCpu) {
      std::copy_n(static_cast<const uint8_t*>(t.data), bytes.size(), bytes.begin());
    } else {
      to_host(ctx, bytes.data(), t.data, bytes.size());
    }
    outcome.parts.emplace_back(t.name, hash_of(bytes));
  }
  finish(outcome);
}

Outcome train_as_configured(const ModelRun& run, const RunPlan& plan) {
  Runtime runtime({plan.device, run.options.threads, plan.capture, run.options.gemm == "own"});
  TrainerOptions options = trainer_options(run.options, *run.data, plan.steps);
  if (plan.device != "cpu") options.precision = plan.precision;
  const SampleStore store = run.data->store();
  std::vector<int32_t> test = run.data->split("test");
  test.resize(std::min(test.size(), static_cast<size_t>(plan.evaluated)));
  Trainer trainer(runtime, store, run.data->split("train"), options);
  Evaluator evaluator(runtime, trainer.model(), store, test, evaluation_of(run, plan));
  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  const auto out_of_time = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > plan.seconds;
  };
  for (int64_t step = 0; step < std::min(plan.steps, plan.until) && !out_of_time(); step += plan.window) {
    trainer.run(std::min(plan.window, plan.steps - step));
    const LogPoint log = trainer.take_log();
    outcome.curve.push_back({log.reconstruction, run.options.is_vqvae() ? log.commitment : log.kl});
    outcome.gradient_norms.push_back(log.gradient_norm);
  }
  outcome.evaluation = points_of(evaluator.run());
  outcome.nodes = trainer.nodes();
  add_parts(runtime.ctx(), trainer, outcome);
  return outcome;
}

/// f() under one of the emulator's schedules, without a report.
template <class F>
Outcome scheduled([[maybe_unused]] int schedule, F&& f) {
#if defined(HOURGLASS_CUDA_EMULATED)
  const std::vector<simt::Config> schedules = simt::all_schedules();
  const simt::ScopedConfig scope(schedules[static_cast<size_t>(schedule) % schedules.size()]);
  Outcome outcome = f();
  for (const simt::Report& report : simt::take_reports()) throw std::runtime_error(report.kind + ": " + report.text);
  return outcome;
#else
  return f();
#endif
}

double relative(double got, double want, double largest) {
  const double difference = std::abs(got - want) / std::max(std::abs(want), 0.1 * largest);
  return std::isfinite(difference) ? difference : got == want ? 0 : HUGE_VAL;
}

double relative_points(const std::vector<Outcome::Point>& got, const std::vector<Outcome::Point>& want) {
  const auto scale = [](const Outcome::Point& p) { return std::abs(p.reconstruction) + std::abs(p.second); };
  double most = 0, largest = 0;
  for (const Outcome::Point& p : want) largest = std::max(largest, scale(p));
  for (size_t i = 0; i < want.size(); ++i) {
    const double part = std::max(scale(want[i]), 0.1 * largest);
    most = std::max({most, relative(part + got[i].reconstruction - want[i].reconstruction, part, 0),
                     relative(part + got[i].second - want[i].second, part, 0)});
  }
  return most;
}

}  // namespace

ModelRun::ModelRun(const std::string& words, const std::string& more)
    : options(parse_words(words + " " + more)), data(&loaded(options)) {}

Outcome train(const ModelRun& run, const RunPlan& plan) {
  return scheduled(plan.schedule, [&] { return train_as_configured(run, plan); });
}

std::string differing_parts(const Outcome& a, const Outcome& b) {
  if (a.parts.size() != b.parts.size()) return "the tensors of the state";
  std::string names;
  int count = 0;
  for (size_t i = 0; i < a.parts.size(); ++i) {
    if (a.parts[i] == b.parts[i] || ++count > 3) continue;
    names += (names.empty() ? "" : ", ") + a.parts[i].first;
  }
  return names + (count > 3 ? " and " + std::to_string(count - 3) + " more" : "");
}

double relative_difference(const Outcome& got, const Outcome& want) {
  if (got.curve.size() < want.curve.size()) return HUGE_VAL;
  double most = relative_points(got.curve, want.curve);
  if (got.curve.size() > want.curve.size()) return most;
  // One by one: their units differ.
  for (size_t i = 0; i < want.evaluation.size(); ++i) {
    most = std::max(most, relative_points({got.evaluation[i]}, {want.evaluation[i]}));
  }
  return most;
}

double relative_gradient_difference(const Outcome& got, const Outcome& want, size_t points) {
  points = std::min(points, want.gradient_norms.size());
  if (got.gradient_norms.size() < points) return HUGE_VAL;
  double most = 0, largest = 0;
  for (size_t i = 0; i < points; ++i) largest = std::max(largest, want.gradient_norms[i]);
  for (size_t i = 0; i < points; ++i) {
    most = std::max(most, relative(got.gradient_norms[i], want.gradient_norms[i], largest));
  }
  return most;
}

namespace {

constexpr int64_t kFewSteps = 10;

/// Of the curve, and of the gradients' norms in its first steps. Within a few steps the two devices part by rounding
/// alone. Later the kinks of relu, and vectors that choose between two codes, multiply it, and that of the norms sooner
/// than the loss's: on the CPU a learning rate larger by 3e-7 changes 100 steps by 4e-4, with codes by 1e-2. The
/// optimal variance makes the loss a logarithm of the squared error, which has no floor: the better the fit, the more
/// of bf16's rounding is in it (2e-3 after 30 steps of the small row, 3e-2 after 100).
std::pair<double, double> tolerances(const ModelRun& run, Precision precision, bool few_steps) {
  const bool codes = run.options.is_vqvae(), logarithm = run.options.sigma.optimal;
  if (run.data->dim() > 1024) few_steps &= !codes;  // among so many vectors one is near two codes at once
  switch (precision) {
    case Precision::kFp32:
      return few_steps ? std::pair{5e-6, 1e-5} : std::pair{codes ? 3e-2 : 1e-3, 1e-3};
    case Precision::kTf32:
      return few_steps ? std::pair{1e-3, 2e-3} : std::pair{codes ? 6e-2 : 3e-3, 1e-2};
    case Precision::kBf16:
      return few_steps ? std::pair{codes ? 4e-2 : 8e-3, 4e-2} : std::pair{codes || logarithm ? 1e-1 : 1e-2, 5e-2};
  }
  return {};
}

/// Whether all runs gave one hash, and what the others differ in.
void compare_runs(const std::vector<Outcome>& outcomes, Verdict& verdict) {
  std::set<std::string> hashes;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    hashes.insert(outcomes[i].hash);
    if (outcomes[i].hash == outcomes[0].hash || !verdict.differs.empty()) continue;
    verdict.differs = "run " + std::to_string(i) + ": " + differing_parts(outcomes[0], outcomes[i]);
  }
  verdict.runs = static_cast<int>(outcomes.size());
  verdict.hashes = static_cast<int>(hashes.size());
  verdict.hash = outcomes[0].hash;
}

Outcome cluster(const ModelRun& run, const RunPlan& plan, int rows, const KMeansOptions& options, int K) {
  Runtime runtime({plan.device, run.options.threads});
  const std::vector<int32_t>& split = run.data->split("train");
  const std::vector<float> x =
      run.data->images(std::span(split).first(std::min(split.size(), static_cast<size_t>(rows))));
  const int D = run.data->dim(), N = static_cast<int>(x.size()) / D;
  const auto on_device = [&](size_t bytes) { return Buffer(runtime.ctx(), bytes, "k-means"); };
  Buffer vectors = on_device(x.size() * sizeof(float)), centres = on_device(sizeof(float) * static_cast<size_t>(K * D));
  Buffer index = on_device(sizeof(int32_t) * static_cast<size_t>(N));
  to_device(runtime.ctx(), vectors.data(), x.data(), vectors.bytes());
  const auto table = [](Buffer& buffer, int height, int width) {
    Var v;
    v.data = buffer.data();
    v.shape = {height, width};
    v.dtype = Dtype::kF32;
    return v;
  };
  const KMeansResult result =
      kmeans(runtime.ctx(), table(vectors, N, D), table(centres, K, D), options, index.as<int32_t>());
  Outcome outcome;
  outcome.curve.push_back({result.inertia, 0});
  for (auto& [name, buffer] : {std::pair{"centres", &centres}, {"index", &index}}) {
    std::vector<uint8_t> bytes(buffer->bytes());
    to_host(runtime.ctx(), bytes.data(), buffer->data(), bytes.size());
    outcome.parts.emplace_back(name, hash_of(bytes));
  }
  finish(outcome);
  return outcome;
}

}  // namespace

Verdict examine(const ModelRun& run, RunPlan plan, int runs, const Outcome& cpu) {
  Verdict verdict;
  std::vector<Outcome> outcomes;
  for (plan.schedule = 0; plan.schedule < runs; ++plan.schedule) outcomes.push_back(train(run, plan));
  compare_runs(outcomes, verdict);
  plan.capture = false;
  const Outcome eager = train(run, plan), &first = outcomes[0];
  verdict.nodes = first.nodes;
  verdict.eager_equals_captured = eager.hash == first.hash && eager.nodes == 0 && first.nodes > 0;
  if (eager.hash != first.hash && verdict.differs.empty())
    verdict.differs = "eagerly: " + differing_parts(first, eager);
  const auto steps = static_cast<int64_t>(cpu.curve.size()) * plan.window;
  std::tie(verdict.tolerance, verdict.gradient_tolerance) = tolerances(run, plan.precision, steps <= kFewSteps);
  verdict.difference = relative_difference(first, cpu);
  verdict.gradient_difference =
      relative_gradient_difference(first, cpu, static_cast<size_t>(std::max<int64_t>(1, kFewSteps / plan.window)));
  return verdict;
}

Verdict examine_kmeans(const ModelRun& run, const RunPlan& plan, int runs, int rows, const KMeansOptions& options,
                       int K) {
  Verdict verdict;
  std::vector<Outcome> outcomes;
  for (int i = 0; i < runs; ++i) {
    outcomes.push_back(scheduled(i, [&] { return cluster(run, plan, rows, options, K); }));
  }
  compare_runs(outcomes, verdict);
  RunPlan on_cpu = plan;
  on_cpu.device = "cpu";
  verdict.eager_equals_captured = true;  // it is never captured
  verdict.difference = relative_difference(outcomes[0], cluster(run, on_cpu, rows, options, K));
  verdict.tolerance = 1e-3;
  return verdict;
}

}  // namespace hourglass::test
