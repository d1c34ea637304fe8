// SPDX-License-Identifier: Apache-2.0
// Images a second on their way to a step: one JSON line for each source. `files` decodes and resizes a folder of JPEGs,
// `cache-open` checks and loads what was decoded, `memory` gathers batches from it, `streamed-memory` and
// `streamed-cache` bring them through the staging buffers first, as beyond --data-memory.
// Usage: bench_data [--images N] [--side PIXELS] [--size PIXELS] [--threads N] [--batch N] [--folder DIR]
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "engine/batch_source.h"
#include "engine/dataset.h"
#include "engine/io/files.h"
#include "engine/runtime.h"
#include "engine/step_graph.h"
#include "tests/jpeg_samples.h"

namespace {

using namespace hourglass;
namespace fs = std::filesystem;

std::map<std::string, int> parse(int argc, char** argv, fs::path& folder) {
  std::map<std::string, int> options = {
      {"--images", 2000}, {"--side", 256}, {"--size", 64}, {"--threads", 0}, {"--batch", 128}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 < argc && name == "--folder") {
      folder = argv[i + 1];
    } else if (i + 1 < argc && options.contains(name)) {
      options[name] = std::atoi(argv[i + 1]);
    } else {
      std::fprintf(stderr, "bench_data: unknown option %s, or no value after it\n", argv[i]);
      std::exit(2);
    }
  }
  return options;
}

/// The least time of five runs.
void report(const char* source, int64_t images, int threads, const std::function<void()>& run) {
  double least = 0;
  for (int round = 0; round < 5; ++round) {
    const auto from = std::chrono::steady_clock::now();
    run();
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
    if (round == 0 || took < least) least = took;
  }
  std::printf("{\"benchmark\": \"data/%s\", \"threads\": %d, \"images\": %lld, \"images_per_second\": %.0f}\n", source,
              threads, static_cast<long long>(images), static_cast<double>(images) / least);
  std::fflush(stdout);
}

/// Whole epochs of batches, and nothing else in the step.
void report_batches(const char* source, const Dataset& data, int batch, int threads, int64_t data_memory) {
  Runtime runtime({"cpu", threads});
  Parameters parameters(Dtype::kF32);
  parameters.statistic("none");
  parameters.allocate(0, runtime.ctx());
  TrainingState state(runtime.ctx(), parameters);
  BatchSource batches(runtime.ctx(), data.store(), data.train, {.batch = batch, .data_memory = data_memory},
                      Dtype::kF32);
  Tape tape(runtime.ctx(), runtime.arena());
  StepGraph step(runtime, state, [&] {
    tape.rewind(Mode::kTrain);
    batches.next(tape, state);
  });
  const int64_t steps = 4 * batches.batches_per_epoch();
  report(source, steps * batch, runtime.threads(), [&] {
    for (int64_t i = 0; i < steps; ++i) step.run();
  });
}

}  // namespace

int main(int argc, char** argv) {
  fs::path folder = fs::temp_directory_path() / ("bench_data-" + std::to_string(::getpid()));
  auto options = parse(argc, argv, folder);
  const int images = options["--images"], threads = options["--threads"], batch = options["--batch"];
  for (int i = 0; i < images; ++i) {
    Image image = test::smooth_image(options["--side"], options["--side"], 3);
    for (size_t p = 0; p < image.pixels.size(); ++p) {
      image.pixels[p] =
          static_cast<uint8_t>(image.pixels[p] + ((p * 2654435761u + static_cast<size_t>(i) * 40503u) >> 16) % 16);
    }
    make_folders(folder / "images");
    write_file_atomic(folder / "images" / (std::to_string(100000 + i) + ".jpg"),
                      test::encode_jpeg(image, {.quality = 90}));
  }
  DataOptions files;
  files.spec = (folder / "images").string();
  files.image_size = options["--size"];
  files.threads = threads;
  const int workers = Runtime({"cpu", threads}).threads();
  report("files", images, workers, [&] { load_dataset(files); });
  DataOptions cached = files;
  cached.cache_dir = folder / "cache";
  const Dataset data = load_dataset(cached);
  report("cache-open", images, 1, [&] { load_dataset(cached); });
  cached.data_memory = 1;
  const Dataset of_file = load_dataset(cached);
  report_batches("memory", data, batch, threads, 0);
  report_batches("streamed-memory", data, batch, threads, 1);
  report_batches("streamed-cache", of_file, batch, threads, 0);
  fs::remove_all(folder / "images");
  fs::remove_all(folder / "cache");
  return 0;
}
