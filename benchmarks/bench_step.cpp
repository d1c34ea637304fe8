// SPDX-License-Identifier: Apache-2.0
// The whole training step of the 784-400-20 VAE (Fashion-MNIST shape, Adam): images a second, one JSON line a batch
// size. Usage: bench_step [--threads N] [--seconds S] [--batch B ...]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/base/philox.h"
#include "models/trainer.h"

namespace {

using namespace hourglass;
using Clock = std::chrono::steady_clock;

constexpr int kSamples = 60000, kPixels = 784;

std::vector<uint8_t> random_images() {
  std::vector<uint8_t> images(static_cast<size_t>(kSamples) * kPixels);
  for (size_t i = 0; i < images.size(); i += 4) {
    const auto words = philox(1, 2, static_cast<uint32_t>(i), 0, 0, 0);
    for (size_t k = 0; k < 4; ++k) images[i + k] = static_cast<uint8_t>(words.w[k] >> 24);
  }
  return images;
}

void bench(const std::vector<uint8_t>& images, int batch, int threads, double seconds) {
  Runtime runtime({"cpu", threads});
  std::vector<int32_t> split(kSamples);
  std::iota(split.begin(), split.end(), 0);
  TrainerOptions options;
  options.batch.batch = batch;
  Trainer trainer(runtime, {images.data(), Dtype::kU8, kSamples, kPixels}, split, options);
  const int64_t block = std::max<int64_t>(1, 4096 / batch);
  trainer.run(3 * block);  // warm-up: pages, plans, caches
  std::vector<double> rates;
  for (const auto start = Clock::now(); std::chrono::duration<double>(Clock::now() - start).count() < seconds;) {
    const auto from = Clock::now();
    trainer.run(block);
    const double took = std::chrono::duration<double>(Clock::now() - from).count();
    rates.push_back(static_cast<double>(block * batch) / took);
  }
  std::sort(rates.begin(), rates.end());
  const auto at = [&](double q) { return rates[static_cast<size_t>(q * static_cast<double>(rates.size() - 1))]; };
  std::printf(
      "{\"benchmark\": \"step/vae-784-400-20\", \"device\": \"cpu\", \"dtype\": \"f32\", \"batch\": %d, \"threads\": "
      "%d, "
      "\"images_per_second\": %.0f, \"p10\": %.0f, \"p90\": %.0f, \"step_ms\": %.3f, \"blocks\": %zu}\n",
      batch, runtime.threads(), at(0.5), at(0.1), at(0.9), 1e3 * batch / at(0.5), rates.size());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 0;
  double seconds = 3;
  std::vector<int> batches;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--threads")) threads = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--seconds")) seconds = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--batch")) batches.push_back(std::atoi(argv[i + 1]));
  }
  if (batches.empty()) batches = {128, 4096};
  try {
    const std::vector<uint8_t> images = random_images();
    for (int batch : batches) bench(images, batch, threads, seconds);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_step: %s\n", error.what());
    return 1;
  }
  return 0;
}
