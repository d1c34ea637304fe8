// SPDX-License-Identifier: Apache-2.0
#include "apps/run_setup.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

// The convolutional autoencoder of the lecture notes: its code is an image of a quarter of the extents.
constexpr const char* kPoolingEncoder = "conv 32 3; max-pool 2; conv 32 3; max-pool 2";
constexpr const char* kUpsamplingDecoder = "conv 32 3; upsample 2; conv 32 3; upsample 2; conv ";

// The VQ-VAE's: a quarter of the extents, two residual blocks (van den Oord et al., arXiv 1711.00937, narrower).
constexpr const char* kQuantizedEncoder = "conv 64 4 2; conv 64 4 2; residual 32; residual 32";

QuantizerConfig quantizer_config(const TrainOptions& o) {
  QuantizerConfig q;
  q.codes = o.codebook_size;
  q.dim = o.code_dim;
  q.commitment_weight = o.commitment_weight;
  q.ema = o.ema;
  q.decay = o.ema_decay;
  q.kmeans = o.init == "kmeans";
  q.restart_threshold = o.restart_threshold;
  return q;
}

Binarization binarization_of(const std::string& name) {
  if (name == "static") return Binarization::kStatic;
  if (name == "dynamic") return Binarization::kDynamic;
  return Binarization::kNone;
}

OptimizerOptions optimizer_options(const TrainOptions& o) {
  OptimizerOptions optimizer;
  optimizer.kind = o.optimizer == "sgd"     ? OptimizerKind::kSgd
                   : o.optimizer == "adam"  ? OptimizerKind::kAdam
                   : o.optimizer == "adamw" ? OptimizerKind::kAdamW
                                            : OptimizerKind::kAdadelta;
  optimizer.momentum = o.momentum;
  optimizer.nesterov = o.nesterov;
  optimizer.weight_decay = o.weight_decay;
  optimizer.adam_eps = o.adam_eps;
  optimizer.clip_norm = o.clip_norm;
  optimizer.clip_value = o.clip_value;
  return optimizer;
}

LrSchedule lr_schedule(const TrainOptions& o, int64_t total_steps) {
  LrSchedule schedule;
  schedule.kind = o.lr_schedule == "cosine"        ? LrScheduleKind::kCosine
                  : o.lr_schedule == "step"        ? LrScheduleKind::kStep
                  : o.lr_schedule == "exponential" ? LrScheduleKind::kExponential
                                                   : LrScheduleKind::kConstant;
  schedule.lr = o.lr;
  schedule.warmup = o.lr_warmup;
  schedule.gamma = o.lr_gamma;
  const int64_t rest = std::max<int64_t>(1, total_steps - o.lr_warmup);
  const int64_t natural = schedule.kind == LrScheduleKind::kStep ? std::max<int64_t>(1, rest / 3) : rest;
  schedule.decay_steps = o.lr_decay_steps > 0 ? o.lr_decay_steps : natural;
  return schedule;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

}  // namespace

Crop crop_of(const std::string& name) { return name == "none" ? Crop::kNone : Crop::kCenter; }

int channels_of(const std::string& name) { return name == "1" ? 1 : name == "3" ? 3 : 0; }

std::filesystem::path cache_folder(const std::string& cache_dir, const std::filesystem::path& run) {
  if (cache_dir == "none" || (cache_dir.empty() && run.empty())) return {};
  if (!cache_dir.empty()) return cache_dir;
  return std::filesystem::absolute(run / "x").lexically_normal().parent_path().parent_path() / "cache";
}

bool needs_unit_range(const std::string& likelihood, const Json& objective_record) {
  return likelihood != "gaussian" || objective_record.get_string("binarize") != "none" ||
         objective_record.get_string("corrupt") != "none";
}

Dataset load_data(const TrainOptions& o) {
  DataOptions data;
  data.spec = o.data;
  data.data_dir = o.data_dir;
  data.image_size = o.image_size;
  data.crop = crop_of(o.crop);
  data.channels = channels_of(o.channels);
  data.cache_dir = cache_folder(o.cache_dir, o.out);
  data.threads = o.threads;
  data.data_memory = o.data_memory.bytes;
  data.test_fraction = o.test_fraction;
  data.val_fraction = o.val_fraction;
  data.skip_bad = o.skip_bad;
  data.unit_range = needs_unit_range(o.likelihood, objective_record(o));
  return load_dataset(data);
}

ModelConfig model_config(const TrainOptions& o, const Dataset& dataset) {
  ModelConfig m;
  m.kind = o.is_vae() ? ModelKind::kVae : o.is_vqvae() ? ModelKind::kVqVae : ModelKind::kAutoencoder;
  m.height = dataset.height;
  m.width = dataset.width;
  m.channels = dataset.channels;
  m.hidden = o.hidden;
  m.encoder = o.encoder;
  m.decoder = o.decoder;
  if (o.encoder.empty() && o.model == "conv-vae") m.encoder = strided_encoder(m.height, m.width);
  if (o.encoder.empty() && o.model == "conv-ae") {
    m.encoder = kPoolingEncoder;
    if (o.decoder.empty() && (m.height % 4 != 0 || m.width % 4 != 0)) {
      throw Error(Exit::kUsage, "conv-ae expects images with sides divisible by 4, given " + std::to_string(m.height) +
                                    " x " + std::to_string(m.width) +
                                    "; --image-size resizes them, --encoder chooses other layers");
    }
    if (o.decoder.empty()) m.decoder = kUpsamplingDecoder + std::to_string(m.channels) + " 3";
  }
  if (o.encoder.empty() && o.is_vqvae()) m.encoder = kQuantizedEncoder;
  m.quantizer = quantizer_config(o);
  m.latent = o.latent;
  m.spatial_code = o.latent == 0 || o.is_vqvae();
  if (m.spatial_code) {
    m.latent = o.is_vqvae() ? static_cast<int>(m.code_grid().elements()) : m.trunk_size();
  }
  m.activation = parse_activation(o.activation);
  m.code_activation = parse_activation(o.code_activation);
  m.likelihood = o.likelihood == "gaussian"   ? LikelihoodKind::kGaussian
                 : o.likelihood == "logistic" ? LikelihoodKind::kLogistic
                                              : LikelihoodKind::kBernoulli;
  m.sigma = o.sigma.value;
  m.learned_sigma = o.sigma.learned;
  m.optimal_sigma = o.sigma.optimal;
  m.tied_weights = o.tied_weights;
  return m;
}

TrainerOptions trainer_options(const TrainOptions& o, const Dataset& dataset, int64_t total_steps) {
  TrainerOptions t;
  t.model = model_config(o, dataset);
  t.optimizer = optimizer_options(o);
  t.lr = lr_schedule(o, total_steps);
  t.batch.batch = o.batch;
  t.batch.seed = static_cast<uint32_t>(o.seed);
  t.batch.data_memory = o.data_memory.bytes;
  t.batch.binarize = binarization_of(o.binarize);
  t.corruption = parse_corruption("--corrupt", o.corrupt);
  t.samples = o.mc_samples;
  t.beta = o.beta;
  t.beta_warmup = o.beta_warmup;
  t.detect_anomaly = o.detect_anomaly;
  t.profile_steps = o.profile;
  t.precision = parse_precision(o.precision);
  return t;
}

int64_t total_steps(const TrainOptions& o, const Dataset& dataset) {
  const int64_t samples = static_cast<int64_t>(dataset.train.size());
  if (samples < o.batch) {
    throw Error(Exit::kUsage, "--batch " + std::to_string(o.batch) + ": the training split has " +
                                  std::to_string(samples) +
                                  " samples and training batches are always full; try --batch " +
                                  std::to_string(std::max<int64_t>(samples, 1)));
  }
  return o.steps > 0 ? o.steps : o.epochs * (samples / o.batch);
}

Json data_record(const TrainOptions& o, const Dataset& d) {
  Json record = Json::object();
  record.set("data", located(o.data));
  record.set("image_size", to_text(o.image_size)).set("crop", o.crop).set("channels_option", o.channels);
  record.set("test_fraction", o.test_fraction);
  record.set("val_fraction", o.val_fraction);
  record.set("skip_bad", o.skip_bad);
  record.set("height", d.height).set("width", d.width).set("channels", d.channels);
  record.set("train", static_cast<int64_t>(d.train.size()));
  record.set("val", static_cast<int64_t>(d.val.size()));
  record.set("test", static_cast<int64_t>(d.test.size()));
  record.set("files", d.files).set("skipped", d.skipped).set("checksum", d.checksum);
  return record;
}

Json objective_record(const TrainOptions& o) {
  return Json::object({{"beta", o.is_vae() ? o.beta : 0.0}, {"binarize", o.binarize}, {"corrupt", o.corrupt}});
}

EvaluationOptions evaluation_options(const Json& objective, int batch, uint32_t seed) {
  EvaluationOptions e;
  e.batch = batch;
  e.seed = seed;
  e.beta = objective.get_number("beta");
  e.binarize = binarization_of(objective.get_string("binarize"));
  e.corruption = parse_corruption("corrupt", objective.get_string("corrupt"));
  return e;
}

namespace {

std::string quantizer_text(const TrainOptions& o, const Dataset& d) {
  const ImageShape grid = model_config(o, d).code_grid();
  std::string text = "mean (y - x)^2 + " + number(o.commitment_weight) + " mean (z - sg[c])^2";
  if (!o.ema) text += " + mean (sg[z] - c)^2";
  text += "; means over " + std::to_string(d.dim()) + " values, " + std::to_string(grid.height) + " x " +
          std::to_string(grid.width) + " positions of " + std::to_string(grid.channels) + " dimensions, and the batch";
  if (o.corrupt != "none") text += "; x is encoded with noise on it, " + o.corrupt + ", clipped to 0..1";
  return text + (o.ema ? "; c: moving averages of decay " + number(o.ema_decay) : "");
}

}  // namespace

std::string objective_text(const TrainOptions& o, const Dataset& d) {
  if (o.is_vqvae()) return quantizer_text(o, d);
  const std::string sum = "sum over " + std::to_string(d.dim()) + " values";
  std::string text = o.likelihood == "bernoulli"  ? "-log Bernoulli(x | y)"
                     : o.likelihood == "gaussian" ? "-log N(x | y, sigma^2)"
                                                  : "-log DiscretizedLogistic(x | y, s)";
  if (o.is_vae()) text += " + " + number(o.beta) + " KL(q(z|x) || N(0, I))";
  text += "; nats, " + sum;
  if (o.is_vae()) text += " and " + std::to_string(o.latent) + " latents";
  text += ", mean over the batch";
  if (o.corrupt != "none") text += "; x is encoded with noise on it, " + o.corrupt + ", clipped to 0..1";
  if (o.likelihood == "gaussian" && !o.sigma.learned && !o.sigma.optimal) {
    // A S + B KL, S the squared error: the optimum of a VAE with observation variance B / (2 A).
    const double a = 0.5 / (o.sigma.value * o.sigma.value), b = o.is_vae() ? o.beta : 1;
    text += "; = " + number(a) + " squared error + " + (o.is_vae() ? number(b) + " KL + " : "") +
            "a constant, observation variance " + number(b / (2 * a));
  } else if (o.sigma.optimal) {
    text += "; sigma^2 is the batch's mean squared error: D/2 log(2 pi e mse)";
  } else if (o.likelihood == "gaussian") {
    text += "; sigma is learned, and with it the observation variance";
  }
  return text;
}

}  // namespace hourglass
