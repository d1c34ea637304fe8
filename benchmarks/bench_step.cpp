// SPDX-License-Identifier: Apache-2.0
// The whole training step of a network (Fashion-MNIST shape, Adam): one JSON line for each network, batch size and
// device with images a second, microseconds and launches a step. On the CUDA device both as one captured graph and
// eagerly, the same launches one by one (a test holds them to each other), and the VAE as one persistent kernel for
// many. In an emulated build the device is named `emulated` and its times mean nothing. The networks: the VAE
// 784-400-20, and those of the presets conv-vae and keras-conv, and the default VQ-VAE. Usage: bench_step [--device
// cpu|cuda] [--threads N] [--seconds S] [--model vae|conv-vae|conv-ae|vqvae ...]
//                   [--batch B ...] [--precision fp32|tf32|bf16 ...]
// On a CUDA device all precisions unless some are named; always fp32 on the CPU.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "benchmarks/device.h"
#include "kernels/base/philox.h"
#include "models/trainer.h"

namespace {

using namespace hourglass;
using Clock = std::chrono::steady_clock;

constexpr int kPixels = 784;

struct StepCase {
  const char* name;   ///< of --model
  const char* title;  ///< of the JSON line
  ModelConfig config;
  std::vector<int> batches;
};

std::vector<StepCase> step_cases() {
  ModelConfig conv_vae;
  conv_vae.encoder = "conv 32 4 2; conv 64 4 2";
  ModelConfig conv_ae;
  conv_ae.kind = ModelKind::kAutoencoder;
  conv_ae.encoder = "conv 32 3; max-pool 2; conv 32 3; max-pool 2";
  conv_ae.decoder = "conv 32 3; upsample 2; conv 32 3; upsample 2; conv 1 3";
  conv_ae.spatial_code = true;
  conv_ae.latent = conv_ae.trunk_size();
  ModelConfig vqvae;
  vqvae.kind = ModelKind::kVqVae;
  vqvae.likelihood = LikelihoodKind::kGaussian;
  vqvae.encoder = "conv 64 4 2; conv 64 4 2; residual 32; residual 32";
  vqvae.spatial_code = true;
  vqvae.latent = static_cast<int>(vqvae.code_grid().elements());
  return {{"vae", "vae-784-400-20", {}, {128, 4096}},
          {"conv-vae", "conv-vae", conv_vae, {128}},
          {"conv-ae", "conv-ae", conv_ae, {128}},
          {"vqvae", "vqvae", vqvae, {128}}};
}

struct Options {
  std::vector<std::string> devices, models;
  std::vector<int> batches;
  std::vector<Precision> precisions;
  int threads = 0;
  double seconds = 3;
};

std::vector<uint8_t> random_images(int samples) {
  std::vector<uint8_t> images(static_cast<size_t>(samples) * kPixels);
  for (size_t i = 0; i < images.size(); i += 4) {
    const auto words = philox(1, 2, static_cast<uint32_t>(i), 0, 0, 0);
    for (size_t k = 0; k < 4; ++k) images[i + k] = static_cast<uint8_t>(words.w[k] >> 24);
  }
  return images;
}

enum class Form { kCaptured, kEager, kPersistent };

/// Prints a line and returns the launches of a captured step; `launches`: what to print where nothing is captured.
int measure(const StepCase& network, const std::vector<uint8_t>& images, int batch, const std::string& device,
            Precision precision, Form form, int launches, const Options& options) {
  const bool capture = form == Form::kCaptured;
  Runtime runtime({device, options.threads, capture});
  const int samples = static_cast<int>(images.size() / kPixels);
  std::vector<int32_t> split(static_cast<size_t>(samples));
  std::iota(split.begin(), split.end(), 0);
  TrainerOptions training;
  training.model = network.config;
  training.batch.batch = batch;
  training.precision = precision;
  training.persistent = form == Form::kPersistent;
  Trainer trainer(runtime, {images.data(), Dtype::kU8, samples, kPixels}, split, training);
  const bool cuda = device != "cpu";
  // A block ends with a copy of the log to the host: long blocks, so that a step pays for its share of it only.
  const int64_t block = cuda ? (bench::kEmulated ? 1 : 512) : std::max<int64_t>(1, 4096 / batch);
  trainer.run(cuda ? std::max<int64_t>(3, block) : 3 * block);  // warm-up: pages, plans, caches, the capture
  std::vector<double> rates;
  for (const auto start = Clock::now();
       rates.empty() || std::chrono::duration<double>(Clock::now() - start).count() < options.seconds;) {
    const auto from = Clock::now();
    trainer.run(block);
    static_cast<void>(trainer.take_log());
    const double took = std::chrono::duration<double>(Clock::now() - from).count();
    rates.push_back(static_cast<double>(block * batch) / took);
  }
  std::sort(rates.begin(), rates.end());
  const auto at = [&](double q) { return rates[static_cast<size_t>(q * static_cast<double>(rates.size() - 1))]; };
  if (capture && cuda) launches = trainer.nodes();
  std::printf(
      "{\"benchmark\": \"step/%s\", \"device\": \"%s\", \"form\": \"%s\", \"dtype\": \"%s\", \"batch\": "
      "%d, "
      "\"threads\": %d, \"images_per_second\": %.0f, \"p10\": %.0f, \"p90\": %.0f, \"step_us\": %.2f, \"launches\": "
      "%d, \"blocks\": %zu}\n",
      network.title, cuda && bench::kEmulated ? "emulated" : device.c_str(),
      form == Form::kPersistent ? "persistent"
      : cuda && capture         ? "captured"
                                : "eager",
      precision == Precision::kFp32 ? "f32" : name_of(precision), batch, runtime.threads(), at(0.5), at(0.1), at(0.9),
      1e6 * batch / at(0.5), launches, rates.size());
  std::fflush(stdout);
  return launches;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--device")) options.devices.push_back(argv[i + 1]);
    if (!std::strcmp(argv[i], "--threads")) options.threads = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--seconds")) options.seconds = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--model")) options.models.push_back(argv[i + 1]);
    if (!std::strcmp(argv[i], "--precision")) options.precisions.push_back(parse_precision(argv[i + 1]));
    if (!std::strcmp(argv[i], "--batch")) options.batches.push_back(std::atoi(argv[i + 1]));
  }
  if (options.devices.empty()) {
    options.devices = {"cpu"};
    if (bench::device_usable()) options.devices.push_back("cuda");
  }
  return options;
}

std::vector<Precision> precisions_on(const std::string& device, const Options& options) {
  if (device == "cpu") return {Precision::kFp32};
  if (!options.precisions.empty()) return options.precisions;
  if (bench::kEmulated) return {Precision::kFp32};
  return {Precision::kFp32, Precision::kTf32, Precision::kBf16};
}

/// All forms on CUDA; the persistent one, a launch for many steps, is that of the VAE in fp32.
void measure_forms(const StepCase& network, const std::vector<uint8_t>& images, int batch, const std::string& device,
                   const Options& options) {
  for (const Precision precision : precisions_on(device, options)) {
    const bool cuda = device != "cpu";
    const int launches = cuda ? measure(network, images, batch, device, precision, Form::kCaptured, 0, options) : 0;
    measure(network, images, batch, device, precision, Form::kEager, launches, options);
    if (cuda && precision == Precision::kFp32 && !std::strcmp(network.name, "vae")) {
      measure(network, images, batch, device, precision, Form::kPersistent, 1, options);
    }
  }
}

/// All of them, unless --model names some.
bool chosen(const StepCase& network, const Options& options) {
  const auto& models = options.models;
  return models.empty() || std::find(models.begin(), models.end(), network.name) != models.end();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    const std::vector<uint8_t> images = random_images(60000);
    for (const StepCase& network : step_cases()) {
      if (!chosen(network, options)) continue;
      for (const std::string& device : options.devices) {
        for (const int batch : options.batches.empty() ? network.batches : options.batches) {
          measure_forms(network, images, batch, device, options);
        }
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_step: %s\n", error.what());
    return 1;
  }
  return 0;
}
