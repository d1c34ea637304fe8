// SPDX-License-Identifier: Apache-2.0
// The whole training step of a network (Adam): one JSON line for each network, batch size and device with images a
// second, microseconds and launches a step. On the CUDA device both as one captured graph and eagerly, the same
// launches one by one (a test holds them to each other), and the VAE as one persistent kernel for many. In an emulated
// build the device is named `emulated` and its times mean nothing. The networks: the VAE 784-400-20, those of the
// presets conv-vae and keras-conv, and the default VQ-VAE; on a card also the other presets, captured, at their own
// sizes. Images are random bytes. Usage: bench_step [--device cpu|cuda] [--threads N] [--seconds S] [--model
// vae|conv-vae|conv-ae|vqvae|PRESET ...]
//                   [--batch B ...] [--precision fp32|tf32|bf16 ...]
// On a CUDA device all precisions unless some are named; always fp32 on the CPU.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

#include "apps/command_line.h"
#include "apps/run_setup.h"
#include "benchmarks/device.h"
#include "kernels/base/philox.h"
#include "models/trainer.h"

namespace {

using namespace hourglass;
using Clock = std::chrono::steady_clock;

struct StepCase {
  std::string name;   ///< of --model
  std::string title;  ///< of the JSON line
  TrainerOptions training;
  std::vector<int> batches;
  bool everywhere = true;  ///< also on the CPU and in the emulator, and eagerly on a card; else only where it is named
};

StepCase case_of(const char* name, const char* title, const ModelConfig& config, std::vector<int> batches) {
  TrainerOptions training;
  training.model = config;
  return {name, title, training, std::move(batches)};
}

/// The network and training of a preset for images of side x side, whatever its own data are.
StepCase case_of_preset(const char* preset, int side, const char* channels, std::vector<int> batches) {
  const std::string data = "shapes:" + std::to_string(side) + ":64";
  const std::vector<const char*> words = {"hourglass", "train",      "--preset",   preset,
                                          "--data",    data.c_str(), "--channels", channels};
  const auto options = std::get<TrainOptions>(parse(static_cast<int>(words.size()), words.data()));
  return {preset, preset, trainer_options(options, load_data(options), 1 << 30), std::move(batches), false};
}

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
  return {case_of("vae", "vae-784-400-20", {}, {128, 4096}),  case_of("conv-vae", "conv-vae", conv_vae, {128}),
          case_of("conv-ae", "conv-ae", conv_ae, {128}),      case_of("vqvae", "vqvae", vqvae, {128}),
          case_of_preset("keras-fc", 28, "1", {128}),         case_of_preset("vae2d", 28, "1", {128, 4096}),
          case_of_preset("vae-2506.07687", 28, "1", {80}),    case_of_preset("keras-denoise", 28, "1", {128}),
          case_of_preset("vqvae-sonnet", 32, "3", {32, 128}), case_of_preset("vqvae-cifar10", 32, "3", {128}),
          case_of_preset("vqvae-64", 64, "3", {64})};
}

struct Options {
  std::vector<std::string> devices, models;
  std::vector<int> batches;
  std::vector<Precision> precisions;
  int threads = 0;
  double seconds = 3;
};

struct Images {
  int samples, pixels;
  std::vector<uint8_t> bytes;
};

/// 60,000, or what fits into 256 MB.
const Images& random_images(int pixels) {
  static std::map<int, Images> all;
  if (all.contains(pixels)) return all.at(pixels);
  const int samples = std::min(60000, (1 << 28) / pixels);
  std::vector<uint8_t> bytes(static_cast<size_t>(samples) * static_cast<size_t>(pixels));
  for (size_t i = 0; i < bytes.size(); i += 4) {
    const auto words = philox(1, 2, static_cast<uint32_t>(i), 0, 0, 0);
    for (size_t k = 0; k < std::min<size_t>(4, bytes.size() - i); ++k) {
      bytes[i + k] = static_cast<uint8_t>(words.w[k] >> 24);
    }
  }
  return all.emplace(pixels, Images{samples, pixels, std::move(bytes)}).first->second;
}

enum class Form { kCaptured, kEager, kPersistent };

/// Steps of a block, after some that are not timed: pages, plans, caches, the capture. A block ends with a copy of the
/// log to the host; on a card long ones, up to a quarter of a second, so that a step pays for its share of it only.
int64_t warm_up(Trainer& trainer, bool cuda, int batch) {
  if (!cuda) {
    const int64_t block = std::max<int64_t>(1, 4096 / batch);
    trainer.run(3 * block);
    return block;
  }
  trainer.run(4);
  if (bench::kEmulated) return 1;
  static_cast<void>(trainer.take_log());
  const auto from = Clock::now();
  trainer.run(16);
  static_cast<void>(trainer.take_log());
  const double step = std::chrono::duration<double>(Clock::now() - from).count() / 16;
  const int64_t block = std::clamp<int64_t>(static_cast<int64_t>(0.25 / step), 8, 512);
  trainer.run(block);
  static_cast<void>(trainer.take_log());
  return block;
}

/// Prints a line and returns the launches of a captured step; `launches`: what to print where nothing is captured.
int measure(const StepCase& network, int batch, const std::string& device, Precision precision, Form form, int launches,
            const Options& options) {
  const bool capture = form == Form::kCaptured, cuda = device != "cpu";
  Runtime runtime({device, options.threads, capture});
  TrainerOptions training = network.training;
  const Images& images = random_images(static_cast<int>(training.model.image().elements()));
  std::vector<int32_t> split(static_cast<size_t>(images.samples));
  std::iota(split.begin(), split.end(), 0);
  training.batch.batch = batch;
  training.precision = precision;
  training.persistent = form == Form::kPersistent;
  Trainer trainer(runtime, {images.bytes.data(), Dtype::kU8, images.samples, images.pixels}, split, training);
  const int64_t block = warm_up(trainer, cuda, batch);
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
      network.title.c_str(), cuda && bench::kEmulated ? "emulated" : device.c_str(),
      form == Form::kPersistent ? "persistent"
      : cuda && capture         ? "captured"
                                : "eager",
      precision == Precision::kFp32 ? "f32" : name_of(precision), batch, runtime.threads(), at(0.5), at(0.1), at(0.9),
      1e6 * batch / at(0.5), launches, rates.size());
  std::fflush(stdout);
  return launches;
}

int positive(const std::string& option, const char* text) {
  const int value = std::atoi(text);
  if (value < 1) throw Error(Exit::kUsage, option + ": expected a number of at least 1, got " + text);
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i];
    if (i + 1 == argc) throw Error(Exit::kUsage, option + ": expected a value");
    const char* const value = argv[i + 1];
    if (option == "--device") {
      options.devices.push_back(value);
    } else if (option == "--threads") {
      options.threads = positive(option, value);
    } else if (option == "--seconds") {
      options.seconds = std::atof(value);
    } else if (option == "--model") {
      options.models.push_back(value);
    } else if (option == "--precision") {
      options.precisions.push_back(parse_precision(value));
    } else if (option == "--batch") {
      options.batches.push_back(positive(option, value));
    } else {
      throw Error(Exit::kUsage, "unknown option " + option);
    }
  }
  if (options.devices.empty()) {
    options.devices = {"cpu"};
    if (bench::device_usable()) options.devices.push_back("cuda");
  }
  return options;
}

/// A name that is no network's would else measure nothing and succeed.
void check_models(const std::vector<StepCase>& networks, const Options& options) {
  for (const std::string& model : options.models) {
    std::string names;
    for (const StepCase& network : networks) names += (names.empty() ? "" : ", ") + network.name;
    if (std::none_of(networks.begin(), networks.end(), [&](const StepCase& n) { return n.name == model; })) {
      throw Error(Exit::kUsage, "--model: expected one of " + names + ", got " + model);
    }
  }
}

std::vector<Precision> precisions_on(const std::string& device, const Options& options) {
  if (device == "cpu") return {Precision::kFp32};
  if (!options.precisions.empty()) return options.precisions;
  if (bench::kEmulated) return {Precision::kFp32};
  return {Precision::kFp32, Precision::kTf32, Precision::kBf16};
}

/// All forms on CUDA; the persistent one, a launch for many steps, is that of the VAE in fp32.
void measure_forms(const StepCase& network, int batch, const std::string& device, const Options& options) {
  const bool cuda = device != "cpu";
  for (const Precision precision : precisions_on(device, options)) {
    const int launches = cuda ? measure(network, batch, device, precision, Form::kCaptured, 0, options) : 0;
    if (cuda && !network.everywhere) continue;
    measure(network, batch, device, precision, Form::kEager, launches, options);
    if (cuda && precision == Precision::kFp32 && network.name == "vae") {
      measure(network, batch, device, precision, Form::kPersistent, 1, options);
    }
  }
}

/// All of them, unless --model names some.
bool chosen(const StepCase& network, const std::string& device, const Options& options) {
  const auto& models = options.models;
  if (!models.empty()) return std::find(models.begin(), models.end(), network.name) != models.end();
  return network.everywhere || (device != "cpu" && !bench::kEmulated);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    const std::vector<StepCase> networks = step_cases();
    check_models(networks, options);
    for (const StepCase& network : networks) {
      for (const std::string& device : options.devices) {
        if (!chosen(network, device, options)) continue;
        for (const int batch : options.batches.empty() ? network.batches : options.batches) {
          measure_forms(network, batch, device, options);
        }
      }
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_step: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
