// SPDX-License-Identifier: Apache-2.0
// What the user asked for: one plain struct a command, filled by parse() (command_line.h), its members initialised to
// the documented defaults. Names, ranges and help texts stand in option_table.cpp.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/resize.h"

namespace hourglass {

/// A length of time on the command line: 90s, 10m, 2h.
struct Duration {
  double seconds = 0;  ///< 0: no limit
};

/// Bytes on the command line: 500M, 4G.
struct MemorySize {
  int64_t bytes = 0;  ///< 0: not given
};

/// Standard deviation of a Gaussian likelihood: a number, learned or optimal.
struct Sigma {
  double value = 1;
  bool learned = false;  ///< a parameter, starting at 1
  bool optimal = false;  ///< the one that suits each batch best
};

struct TrainOptions {
  std::string model;  ///< "vae", "ae", "conv-vae", "conv-ae" or "vqvae"

  std::string data = "fashion-mnist", data_dir;
  double test_fraction = 0.1, val_fraction = 0;
  ImageSize image_size;  ///< 0: as stored
  std::string crop = "center", channels = "stored";
  bool skip_bad = false;
  std::string cache_dir;  ///< empty: `cache` beside the run folder; "none": no cache
  MemorySize data_memory;

  std::vector<int> hidden{400};  ///< fully connected encoder layers; empty: none
  std::string encoder, decoder;  ///< architectures (models/architecture.h); empty: by the model, the mirror
  int latent = 20;               ///< 0: the code is the encoder's output; what conv-ae has unless given
  std::string activation = "relu", code_activation = "none";
  bool tied_weights = false;

  int codebook_size = 512, code_dim = 64;
  double commitment_weight = 0.25;
  bool ema = true;
  double ema_decay = 0.99;
  std::string init = "kmeans";
  double restart_threshold = 1;  ///< what --no-ema has unless given: 0

  std::string likelihood = "bernoulli";  ///< what vqvae has unless given: gaussian
  Sigma sigma;
  std::string binarize = "none";
  std::string corrupt = "none";
  double beta = 1;
  int64_t beta_warmup = 0;
  int mc_samples = 1;

  int epochs = 10;
  int64_t steps = 0;  ///< replaces epochs; 0: epochs count
  Duration max_time;
  int batch = 128;
  int64_t seed = 0;  ///< 0 .. 2^32 - 1
  std::string optimizer = "adam";
  double lr = 1e-3;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0, adam_eps = 1e-8;
  std::string lr_schedule = "constant";
  int64_t lr_warmup = 0, lr_decay_steps = 0;  ///< lr_decay_steps 0: see the help text
  double lr_gamma = 0.1;
  double clip_norm = 0, clip_value = 0;  ///< 0: no clipping
  std::string precision = "fp32";

  std::string device = "auto";
  int threads = 0;  ///< 0: one per core
  bool no_graph = false, detect_anomaly = false;
  int64_t profile = 0;  ///< steps; 0: none
  std::string gemm = "auto";  ///< "auto" or "own"

  std::string out;  ///< the run folder; after parse() never empty
  bool overwrite = false, resume = false;
  int64_t checkpoint_every = 0;  ///< steps; 0: at the end of each epoch
  int keep = 2;
  int64_t log_every = 100;
  bool dry_run = false, quiet = false;

  bool is_vae() const { return model == "vae" || model == "conv-vae"; }
  bool is_vqvae() const { return model == "vqvae"; }
  bool is_convolutional() const { return model == "conv-vae" || model == "conv-ae" || is_vqvae(); }

  std::set<std::string> given;  ///< options that the command line or the config file set, by name
  std::string command_line;     ///< as typed, for run.json
};

/// What every command on a run takes.
struct RunOptions {
  std::string run;             ///< a run folder, meaning its latest checkpoint, or one .safetensors file
  std::string data, data_dir;  ///< data empty: what the run was trained on
  std::string cache_dir;       ///< as for training
  MemorySize data_memory;
  std::string split = "test";  ///< "test", "train", "val" or "all"
  std::string device = "auto";
  int threads = 0;
  int batch = 500;
  int64_t seed = 0;
  std::string out;  ///< empty: RUN/figures
  bool json = false, quiet = false;
};

struct EvalOptions : RunOptions {
  int iwae_samples = 0;  ///< 0: no importance-weighted bound
};

struct SampleOptions : RunOptions {
  int n = 64;
};

struct ReconstructOptions : RunOptions {
  int n = 30;
};

struct InterpolateOptions : RunOptions {
  int pairs = 8, steps = 10;
  bool spherical = false;
};

struct EmbedOptions : RunOptions {
  std::string beside;  ///< another run, to be drawn beside this one; empty: none
};

struct EncodeOptions : RunOptions {
  int64_t limit = 0;  ///< images; 0: all
};

struct DecodeOptions : RunOptions {
  std::string codes;
};

struct RateDistortionOptions {
  std::string folder, split = "test";
  std::string out;  ///< empty: rate-distortion.png in the folder
  bool json = false, quiet = false;
};

struct KMeansCommandOptions {
  std::string data = "fashion-mnist", data_dir;
  std::string split = "all";  ///< "all", "train" or "test"
  double test_fraction = 0;
  int64_t limit = 0;     ///< rows; 0: all
  ImageSize image_size;  ///< 0: as stored
  std::string crop = "center", channels = "stored";
  bool skip_bad = false;
  std::string cache_dir = "none";

  int k = 0;  ///< 0: not given
  int iterations = 300;
  double tolerance = 1e-4;
  int restarts = 1;
  int64_t seed = 0;

  std::string device = "auto";
  int threads = 0;
  std::string out = "kmeans";
  bool json = false, quiet = false;
};

struct InfoOptions {
  std::string path;  ///< any run, checkpoint or data file
  std::string data_dir;
  bool json = false, quiet = false;
};

struct DoctorOptions {
  std::string data_dir;
  bool json = false;
};

}  // namespace hourglass
