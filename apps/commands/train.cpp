// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <optional>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/profile_table.h"
#include "apps/run_folder.h"
#include "apps/signals.h"
#include "apps/terminal.h"
#include "apps/train_config.h"
#include "apps/training_run.h"
#include "engine/checkpoint.h"
#include "engine/version.h"
#include "kernels/base/cublaslt.h"
#include "kernels/gemm.h"

namespace hourglass {
namespace {

void say(const TrainOptions& options, const std::string& text) {
  if (!options.quiet) std::fprintf(stderr, "%s", text.c_str());
}

/// Who multiplies matrices on CUDA, and the products of cuBLASLt so far with the numbers of their algorithms.
Json cuda_gemm_record(const TrainOptions& options) {
  Json plans = Json::object();
  for (const cuda::LibraryPlan& plan : cuda::library_plans()) {
    if (plan.algorithm >= 0) plans.set(plan.product, plan.algorithm);
  }
  return Json::object({{"choice", options.gemm},
                       {"library", options.gemm == "own" ? "own tiles" : cuda::gemm_library()},
                       {"cublaslt_algorithms", plans}});
}

Json record_of(const TrainOptions& options, const Dataset& dataset, const TrainingRun& run) {
  const BuildInfo& build = build_info();
  const bool on_cuda = run.runtime().ctx().device == Device::kCuda;
  return Json::object({{"version", build.version},
                       {"commit", build.commit},
                       {"compiler", build.compiler},
                       {"flags", build.flags},
                       {"device", run.runtime().description()},
                       {"gemm", on_cuda ? cuda_gemm_record(options) : Json(cpu::gemm_library())},
                       {"precision", options.precision},
                       {"environment", Json::object({{"HOURGLASS_WGMMA", environment_variable("HOURGLASS_WGMMA")}})},
                       {"data", data_record(options, dataset)},
                       {"command_line", options.command_line}});
}

/// Goes on from the newest sound checkpoint, or afresh where there is none.
void resume(const RunFolder& folder, TrainingRun& run) {
  if (!folder.has_checkpoint()) {
    notice("--resume: " + folder.path().string() + " has no checkpoint yet: starting afresh");
    return;
  }
  const FoundCheckpoint found = find_checkpoint(folder.path());
  for (const std::string& line : found.notices) notice(line);
  run.restore(found.file);
}

void report_profile(const TrainOptions& options, const Profiler& profiler, RunFolder& folder) {
  if (profiler.steps() == 0) {
    notice("--profile: no step was measured: the first " + std::to_string(Profiler::kWarmUp) +
           " warm up, and the run had no more");
    return;
  }
  folder.write_profile(profile_json(profiler));
  say(options, profile_table(profiler));
}

}  // namespace

int run_train(const TrainOptions& options) {
  const IfExists if_exists = options.resume      ? IfExists::kResume
                             : options.overwrite ? IfExists::kOverwrite
                                                 : IfExists::kRefuse;
  if (!options.dry_run) check_run_folder(options.out, if_exists);
  Runtime runtime({options.device, options.threads, !options.no_graph, options.gemm == "own"});
  check_precision(parse_precision(options.precision), runtime.ctx());  // before the data, which may take long
  const Dataset dataset = load_data(options);
  TrainingRun run = with_memory_hint([&] { return TrainingRun(runtime, options, dataset); });
  say(options, "  device      " + runtime.description() + "\n");
  if (!runtime.warning().empty()) notice(runtime.warning());
  for (const std::string& line : dataset.notices) notice(line);
  say(options, run.header());
  if (options.dry_run) return 0;

  // Only now, when everything that can be wrong was looked at, is a folder touched.
  RunFolder folder(options.out, if_exists);
  if (options.resume) {
    resume(folder, run);
    if ((run.finished() || run.time_is_up()) && folder.summary()) {
      say(options, run.finished()
                       ? "this run is finished: " + count_text(run.step()) + " steps; --epochs or --steps goes on\n"
                       : "this run has used up its --max-time: " + count_text(run.step()) + " of " +
                             count_text(run.total_steps()) + " steps; a longer --max-time goes on\n");
      return 0;
    }
    say(options, "from step " + count_text(run.step()) + "\n");
    folder.rewind_to(run.step());
  }
  folder.write_config(config_text(options));
  folder.write_record(record_of(options, dataset, run));
  catch_signals();
  const Stop stop = run.run(folder);
  folder.write_record(record_of(options, dataset, run));  // again, with what the steps have chosen
  if (run.profiler()) report_profile(options, *run.profiler(), folder);
  if (stop == Stop::kSignal) {
    notice("stopped by a signal at step " + count_text(run.step()) + " after saving; --resume goes on");
    return exit_code_of_signal();
  }
  say(options, run.closing(folder));
  return 0;
}

}  // namespace hourglass
