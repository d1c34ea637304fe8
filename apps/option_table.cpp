// SPDX-License-Identifier: Apache-2.0
#include "apps/option_table.h"

#include <algorithm>

#include "apps/option_rows.h"

namespace hourglass {

using namespace options;

namespace {

void add_data_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Data",
      {
          may_differ(data(o.data)),  // the checksum says whether they are the same
          may_differ(data_dir(o.data_dir)),
          test_fraction(o.test_fraction),
          {"val-fraction", &o.val_fraction, "X", "share of the training data held out to choose the best epoch on",
           below(1)},
      });
  add(table, "Data", image_rows(o));
  add(table, "Data", {may_differ(cache_dir(o.cache_dir)), may_differ(data_memory(o.data_memory))});
}

void add_model_rows(TrainOptions& o, OptionTable& table) {
  const std::vector<std::string> functions = {"relu", "leaky-relu", "tanh", "sigmoid", "softplus", "gelu"};
  std::vector<std::string> code_functions = functions;
  code_functions.insert(code_functions.begin(), "none");
  add(table, "Model",
      {
          {"hidden", &o.hidden, "N,N,...|none", "widths of the encoder's layers, mirrored by the decoder",
           between(1, kWidestLayer)},
          unset("--hidden, or the model's own",
                {"encoder", &o.encoder, "LAYERS",
                 "the encoder instead: \"conv 32 4 2; residual 32; dense 256\" (docs/architectures.md)"}),
          unset("the encoder's mirror", {"decoder", &o.decoder, "LAYERS", "from the code to the image"}),
          alias("latent-dim", {"latent", &o.latent, "N",
                               "size of the latent code; 0, conv-ae's default: the encoder's output is the code",
                               between(0, kWidestLayer)}),
          {"activation", &o.activation, "NAME", "of the hidden layers", one_of(functions)},
          {"code-activation", &o.code_activation, "NAME", "of the latent code; ae only", one_of(code_functions)},
          {"tied-weights", &o.tied_weights, "", "the decoder uses the encoder's weights, transposed"},
      });
}

void add_codebook_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Codebook: vqvae only",
      {
          {"codebook-size", &o.codebook_size, "K", "codes", between(1, 1 << 20)},
          {"code-dim", &o.code_dim, "D", "dimensions of a code; the encoder ends with a 1 x 1 convolution to so many",
           between(1, 1 << 16)},
          {"commitment-weight", &o.commitment_weight, "X", "weight of the loss that pulls vectors to their codes",
           between(0, 1e6)},
          negatable({"ema", &o.ema, "", "the codes are moving averages of the vectors that chose them, else learned"}),
          {"ema-decay", &o.ema_decay, "X", "of the moving averages, a step", below(1)},
          {"init", &o.init, "NAME", "where codes begin: at the k-means of the first batch, or uniform in (-1/K, 1/K)",
           one_of({"kmeans", "uniform"})},
          {"restart-threshold", &o.restart_threshold, "X",
           "codes chosen less often a step, in the moving average, restart at vectors of the batch; 0: none does",
           between(0, 1e9)},
      });
}

void add_objective_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Objective: reconstruction + beta * KL, in nats an image, mean over the batch",
      {
          {"likelihood", &o.likelihood, "NAME", "of a pixel given the code",
           one_of({"bernoulli", "gaussian", "logistic"})},
          {"sigma", &o.sigma, "X|learned|optimal", "standard deviation of the gaussian likelihood", above(0)},
          {"binarize", &o.binarize, "HOW",
           "draw each pixel as 0 or 1 with its gray as probability, once or in each step",
           one_of({"none", "static", "dynamic"})},
          {"corrupt", &o.corrupt, "KIND:X|none",
           "denoising: the encoder sees gaussian:SIGMA, mask:SHARE or salt-pepper:SHARE noise, the loss clean images"},
          {"beta", &o.beta, "X", "weight of the KL divergence; vae only", between(0, 1e6)},
          {"beta-warmup", &o.beta_warmup, "STEPS", "beta rises linearly from 0 over these steps; vae only",
           at_least(0)},
          {"mc-samples", &o.mc_samples, "N", "draws of the code an image, decoded together; vae only",
           between(1, 4096)},
      });
}

void add_training_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Training",
      {
          may_differ({"epochs", &o.epochs, "N", "passes over the training data", at_least(1)}),
          may_differ(unset("by --epochs", alias("max-steps", {"steps", &o.steps, "N",
                                                              "training steps, instead of --epochs", at_least(1)}))),
          may_differ(unset("no limit", {"max-time", &o.max_time, "TIME",
                                        "stop after 90s, 10m or 2h of training, with a checkpoint", above(0)})),
          alias("batch-size",
                {"batch", &o.batch, "N", "images a step; batches are always full", between(1, kLargestBatch)}),
          seed(o.seed, "of initial weights, order of the images and noise"),
          {"optimizer", &o.optimizer, "NAME", "what turns gradients into steps",
           one_of({"sgd", "adam", "adamw", "adadelta"})},
          {"lr", &o.lr, "X", "learning rate", {.low = 0, .high = kLargestRate, .above_low = true}},
          {"momentum", &o.momentum, "X", "of sgd", below(1)},
          {"nesterov", &o.nesterov, "", "Nesterov's form of sgd's momentum"},
          {"weight-decay", &o.weight_decay, "X", "L2 penalty; decoupled for adamw", between(0, 1e6)},
          {"adam-eps", &o.adam_eps, "X", "added to the denominator of adam and adamw", between(kSmallestEps, 1)},
          {"lr-schedule", &o.lr_schedule, "NAME", "how the learning rate falls",
           one_of({"constant", "cosine", "step", "exponential"})},
          {"lr-warmup", &o.lr_warmup, "STEPS", "the learning rate first rises linearly over these steps", at_least(0)},
          unset("to the end of the run; step: a third of it",
                {"lr-decay-steps", &o.lr_decay_steps, "STEPS",
                 "cosine: falls to 0 over these steps; step, exponential: by --lr-gamma in these steps", at_least(0)}),
          {"lr-gamma",
           &o.lr_gamma,
           "X",
           "factor of the step and exponential schedules",
           {.low = 0, .high = 1, .above_low = true}},
          unset("off", {"clip-norm", &o.clip_norm, "X", "bound of the gradient's global L2 norm", at_least(0)}),
          unset("off", {"clip-value", &o.clip_value, "X", "bound of each element of the gradient", at_least(0)}),
          {"precision", &o.precision, "NAME",
           "on CUDA tf32: products and convolutions round their operands; bf16: activations and weights are bf16 "
           "(docs/precision.md)",
           one_of({"fp32", "tf32", "bf16"})},
      });
}

void add_run_folder_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Run folder",
      {
          may_differ(unset("runs/MODEL", {"out", &o.out, "FOLDER", "where everything is written"})),
          role(Role::kCommandLine,
               {"resume", &o.resume, "", "go on with the run in --out, bit for bit as if it had not stopped"}),
          role(Role::kCommandLine, {"overwrite", &o.overwrite, "", "remove the run in --out first"}),
          may_differ(unset("each epoch", {"checkpoint-every", &o.checkpoint_every, "STEPS",
                                          "steps between checkpoints; a last one is always written", at_least(0)})),
          may_differ({"keep", &o.keep, "N", "newest checkpoints to keep", between(1, 1 << 20)}),
          {"log-every", &o.log_every, "STEPS", "steps between lines of metrics.jsonl", between(1, 1 << 30)},
      });
}

void add_machine_rows(TrainOptions& o, OptionTable& table) {
  add(table, "Machine and program",
      {
          may_differ(device(o.device)),
          may_differ(threads(o.threads)),
          {"gemm", &o.gemm, "NAME",
           "on CUDA auto multiplies matrices by cuBLASLt where that is there, own by our kernels",
           one_of({"auto", "own"})},
          role(Role::kInvocation,
               {"dry-run", &o.dry_run, "",
                "print model, memory and objective, and stop; a folder of pictures is decoded into its cache"}),
          role(Role::kInvocation,
               {"detect-anomaly", &o.detect_anomaly, "", "look for NaN and infinity after each op, and name the op"}),
          role(Role::kInvocation, {"no-graph", &o.no_graph, "", "run steps eagerly; the results are the same bits"}),
          role(Role::kInvocation,
               unset("off",
                     {"profile", &o.profile, "N",
                      "time N of the first steps, run eagerly: a table of each op and profile.json", at_least(1)})),
          role(Role::kInvocation, {"quiet", &o.quiet, "", "no progress bar and no tables"}),
      });
}

OptionRow figures(std::string& out) {
  return unset("RUN/figures", {"out", &out, "FOLDER|FILE.png", "where the picture is written"});
}

/// The rows of a command on a run: its own, then the common ones.
OptionTable run_table(RunOptions& o, const char* group, OptionTable own, OptionRow out) {
  OptionTable table;
  add(table, "", {run_path(o.run)});
  add(table, group, std::move(own));
  add(table, "Common options",
      {
          unset("the run's", {"data", &o.data, "NAME|PATH", "other data of the same size; as for train"}),
          data_dir(o.data_dir),
          cache_dir(o.cache_dir),
          data_memory(o.data_memory),
          {"split", &o.split, "NAME", "which part of the data", one_of({"test", "train", "val", "all"})},
          device(o.device),
          threads(o.threads),
          batch(o.batch),
          seed(o.seed, "of everything drawn at random"),
          std::move(out),
          json(o.json),
          {"quiet", &o.quiet, "", "no progress bar, and no output but what --json and eval print"},
      });
  return table;
}

}  // namespace

OptionTable option_table(TrainOptions& o) {
  OptionTable table;
  add(table, "",
      {positional({"model", &o.model, "MODEL",
                   "vae: variational autoencoder; ae: autoencoder; conv-vae, conv-ae: convolutional; vqvae: "
                   "vector-quantised autoencoder",
                   one_of({"vae", "ae", "conv-vae", "conv-ae", "vqvae"})})});
  add_data_rows(o, table);
  add_model_rows(o, table);
  add_codebook_rows(o, table);
  add_objective_rows(o, table);
  add_training_rows(o, table);
  add_run_folder_rows(o, table);
  add_machine_rows(o, table);
  return table;
}

OptionTable option_table(EvalOptions& o) {
  return run_table(o, "Evaluation",
                   {unset("no such bound",
                          {"iwae-samples", &o.iwae_samples, "K",
                           "draws an image of the importance-weighted bound of the likelihood", between(0, 1 << 24)})},
                   unset("no file", {"out", &o.out, "FOLDER", "where evaluation.json is written, too"}));
}

OptionTable option_table(SampleOptions& o) {
  return run_table(o, "Samples", {{"n", &o.n, "N", "images to draw", between(1, 1 << 20)}}, figures(o.out));
}

OptionTable option_table(ReconstructOptions& o) {
  return run_table(o, "Reconstructions", {{"n", &o.n, "N", "images to reconstruct", between(1, 1 << 20)}},
                   figures(o.out));
}

OptionTable option_table(InterpolateOptions& o) {
  return run_table(o, "Interpolation",
                   {{"pairs", &o.pairs, "N", "pairs of images, a row each", between(1, 1 << 16)},
                    {"steps", &o.steps, "N", "images in a row, both ends included", between(2, 1 << 16)},
                    {"spherical", &o.spherical, "", "along the great circle instead of the straight line"}},
                   figures(o.out));
}

OptionTable option_table(EmbedOptions& o) {
  return run_table(
      o, "Embedding",
      {unset("none", {"beside", &o.beside, "RUN", "another run with a code of size 2: draw both, side by side"})},
      unset("RUN/embedding, pictures RUN/figures", {"out", &o.out, "FOLDER", "where everything is written"}));
}

OptionTable option_table(EncodeOptions& o) {
  return run_table(o, "Codes",
                   {unset("all", {"limit", &o.limit, "N", "the first N images of the split only", at_least(1)})},
                   unset("RUN/codes/codes-SPLIT.npy", {"out", &o.out, "FILE.npy", "where the codes are written"}));
}

const OptionRow* find_row(const OptionTable& table, std::string_view name) {
  for (const OptionRow& row : table) {
    if (row.name == name) return &row;
    if (std::find(row.aliases.begin(), row.aliases.end(), name) != row.aliases.end()) return &row;
  }
  return nullptr;
}

}  // namespace hourglass
