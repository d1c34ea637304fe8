// SPDX-License-Identifier: Apache-2.0
#include "apps/training_run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "apps/pictures.h"
#include "apps/signals.h"
#include "apps/train_config.h"
#include "engine/buffer.h"
#include "engine/checkpoint.h"
#include "engine/version.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr int kPictureImages = 20;
constexpr int kPictureSamples = 64;
constexpr int kMostEvaluated = 500;  // at once
constexpr int kFirstSteps = 3;       // load kernels and choose plans, the third is captured: no rate is told of them

/// Broken at spaces before "--", for the second column of the header.
std::string wrapped(const std::string& text) {
  constexpr size_t kWidth = 96, kIndent = 14;
  std::string result;
  size_t line = 0;
  for (size_t from = 0; from < text.size();) {
    size_t to = text.find(" --", from + 1);
    to = to == std::string::npos ? text.size() : to + 1;
    if (line > 0 && line + (to - from) > kWidth) {
      result.pop_back();  // the space
      result += "\n" + std::string(kIndent, ' ');
      line = 0;
    }
    result += text.substr(from, to - from);
    line += to - from;
    from = to;
  }
  return result;
}

/// A double that survives the trip through text.
std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::vector<Json> read_metrics(const std::filesystem::path& path) {
  std::vector<Json> points;
  std::istringstream lines(read_text_file(path, Exit::kCheckpoint));
  for (std::string line; std::getline(lines, line);) points.push_back(Json::parse(line, path.string()));
  return points;
}

/// The loss terms of training as they were logged last.
Json last_log_point(const std::vector<Json>& metrics) {
  Json terms = Json::object();
  for (auto point = metrics.rbegin(); point != metrics.rend(); ++point) {
    if (!point->find("objective")) continue;
    for (const JsonMember& m : point->members()) {
      if (m.key != "partial") terms.set(m.key, m.value);
    }
    break;
  }
  return terms;
}

/// Adds the terms of the objective to a line of the log; returns them for the progress bar.
std::string add_terms(const LogPoint& log, bool vae, double beta, Json& line) {
  line.set("objective", log.reconstruction + (vae ? beta * log.kl : 0.0));
  line.set("reconstruction", log.reconstruction);
  if (vae) line.set("kl", log.kl).set("beta", beta);
  return "reconstruction " + fixed_text(log.reconstruction, 2) + (vae ? "  kl " + fixed_text(log.kl, 2) : "");
}

/// Of a VQ-VAE: means, and the use of the codes by all positions since the line before.
std::string add_code_terms(const LogPoint& log, const ModelConfig& config, Json& line) {
  const QuantizerConfig& q = config.quantizer;
  const double mse = log.reconstruction / config.pixels(), codes = perplexity(log.code_usage);
  line.set("objective", mse + (q.commitment_weight + (q.ema ? 0 : 1)) * log.commitment);
  line.set("mse", mse).set("perplexity", codes);
  line.set("codes_used", std::count_if(log.code_usage.begin(), log.code_usage.end(), [](int64_t n) { return n > 0; }));
  line.set("codebook_loss", log.commitment).set("commitment_loss", log.commitment);
  return "mse " + fixed_text(mse, 5) + "  perplexity " + fixed_text(codes, 0);
}

double number_or(const StringMap& map, const std::string& key, double otherwise) {
  const auto found = map.find(key);
  return found == map.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
}

}  // namespace

TrainingRun::TrainingRun(Runtime& runtime, const TrainOptions& options, const Dataset& dataset)
    : options_(options),
      dataset_(dataset),
      total_steps_(hourglass::total_steps(options, dataset)),
      runtime_(runtime),
      trainer_(runtime_, dataset.store(), dataset.train, trainer_options(options, dataset, total_steps_)) {
  const Model& model = trainer_.model();
  const int batch = rows_of_values(kMostEvaluated, model.config().pixels());
  EvaluationOptions evaluation = evaluation_options(objective_record(options), batch, 0);
  evaluation.data_memory = options.data_memory.bytes;
  if (!dataset.test.empty()) {
    test_ = std::make_unique<Evaluator>(runtime_, model, dataset.store(), dataset.test, evaluation);
  }
  if (!dataset.val.empty()) {
    validation_ = std::make_unique<Evaluator>(runtime_, model, dataset.store(), dataset.val, evaluation);
  }
  const int pixels = model.config().pixels(), latent = model.config().latent;
  encode_ = std::make_unique<RowFunction>(runtime_, pixels, latent,
                                          [&model](Tape& t, const Var& x) { return model.posterior(t, x).mu; });
  decode_ = std::make_unique<RowFunction>(
      runtime_, latent, pixels, [&model](Tape& t, const Var& z) { return model.mean(t, model.decode(t, z)); });
  size_t bytes = std::max({trainer_.bytes(), encode_->bytes(), decode_->bytes()});
  if (test_) bytes = std::max(bytes, test_->bytes());
  if (validation_) bytes = std::max(bytes, validation_->bytes());
  if (const Corruption corruption = trainer_.options().corruption; corruption.amount > 0) {
    corruptor_ = std::make_unique<Corruptor>(runtime_, pixels, corruption, static_cast<uint32_t>(options.seed));
    bytes = std::max(bytes, corruptor_->bytes());
  }
  runtime_.arena().reserve(runtime_.ctx(), bytes);
}

std::string TrainingRun::header() const {
  const Parameters& parameters = trainer_.parameters();
  const int64_t epoch = trainer_.steps_per_epoch();
  const int64_t dropped = static_cast<int64_t>(dataset_.train.size()) - epoch * options_.batch;
  std::string layers;
  for (const Parameter& p : parameters.all()) {
    layers += "  " + p.name + std::string(p.name.size() < 20 ? 20 - p.name.size() : 1, ' ') + to_string(p.shape) + "\n";
  }
  const auto elements = static_cast<size_t>(parameters.slab_elements());
  const size_t slabs = (2 + trainer_.moments()) * elements * sizeof(float);
  const size_t shadows = parameters.shadows() ? elements * sizeof(bf16) : 0;
  std::vector<std::pair<std::string, std::string>> rows = {
      {"data", dataset_.name + ": " + count_text(static_cast<int64_t>(dataset_.train.size())) + " training, " +
                   count_text(static_cast<int64_t>(dataset_.val.size())) + " validation, " +
                   count_text(static_cast<int64_t>(dataset_.test.size())) + " test images of " +
                   std::to_string(dataset_.height) + " x " + std::to_string(dataset_.width) + " x " +
                   std::to_string(dataset_.channels)},
      {"options", wrapped(options_line(options_))},
      {"objective", objective_text(options_, dataset_)},
      {"batches", count_text(epoch) + " an epoch of " + std::to_string(options_.batch) +
                      ", always full: " + std::to_string(dropped) + " images wait for another epoch"},
      {"steps", count_text(total_steps_)},
      {"precision", describe(trainer_.options().precision)},
      {"parameters", count_text(parameters.count())},
      {"memory", format_bytes(slabs + shadows) + " for values, gradients and moments, " +
                     format_bytes(runtime_.arena().reserved()) + " for a step" +
                     (trainer_.streams() ? ", and images brought batch by batch" : "")}};
  return aligned(rows) + layers;
}

double TrainingRun::epoch_at(int64_t step) const {
  return static_cast<double>(step) / static_cast<double>(trainer_.steps_per_epoch());
}

bool TrainingRun::time_is_up() const {
  return options_.max_time.seconds > 0 && train_seconds_ >= options_.max_time.seconds;
}

void TrainingRun::restore(const SafetensorsFile& file) {
  const Json record = Json::parse(file.metadata("data"), "the checkpoint's data", Exit::kCheckpoint);
  if (record.get_string("checksum") != dataset_.checksum) {
    throw Error(Exit::kData, "--resume: the data have changed since this run began: " + dataset_.name +
                                 " has the checksum " + dataset_.checksum + ", expected " +
                                 record.get_string("checksum"));
  }
  trainer_.restore(file);
  const StringMap& m = file.metadata();
  train_seconds_ = number_or(m, "train_seconds", 0);
  epoch_seconds_ = number_or(m, "epoch_seconds", 0);
  if (m.contains("best")) best_ = number_or(m, "best", 0);
  window_first_ = trainer_.step();
  saved_step_ = trainer_.step();
}

bool TrainingRun::at_log_point() const {
  return trainer_.step() % options_.log_every == 0 || trainer_.step() % trainer_.steps_per_epoch() == 0;
}

/// The next step at which the host has something to do.
int64_t TrainingRun::next_stop() const {
  const int64_t step = trainer_.step();
  const auto next = [step](int64_t every) { return (step / every + 1) * every; };
  const int64_t stop = std::min({next(options_.log_every), next(trainer_.steps_per_epoch()), total_steps_});
  return options_.checkpoint_every > 0 ? std::min(stop, next(options_.checkpoint_every)) : stop;
}

void TrainingRun::train_to(int64_t step, Progress& progress) {
  // Short enough that a signal or the time limit is seen at once; long enough that a device seldom waits for the host.
  constexpr double kLook = 20e-3;
  for (int64_t at = trainer_.step(); at < step && !caught_signal() && !time_is_up(); at = trainer_.step()) {
    const int64_t chunk = std::min(chunk_, step - at);
    const auto from = Clock::now();
    trainer_.run(chunk);
    const double took = std::chrono::duration<double>(Clock::now() - from).count();
    train_seconds_ += took;
    epoch_seconds_ += took;
    window_seconds_ += took;
    if (at >= start_step_ + kFirstSteps + options_.profile) {
      timed_seconds_ += took;
      timed_steps_ += chunk;
    }
    if (took < kLook / 2 && chunk == chunk_) chunk_ *= 2;
    if (took > kLook) chunk_ = std::max<int64_t>(1, chunk_ / 2);
    progress.update(at + chunk, progress_text_);
  }
}

void TrainingRun::log_point(RunFolder& folder) {
  const double images = static_cast<double>((trainer_.step() - window_first_) * options_.batch);
  const double rate = window_seconds_ > 0 ? images / window_seconds_ : 0;
  const double lr = trainer_.options().lr.at(trainer_.step() - 1);
  const LogPoint log = trainer_.take_log();
  if (options_.is_vqvae() && !test_) code_usage_ = log.code_usage;
  Json point = Json::object({{"step", trainer_.step()}, {"epoch", epoch_at(trainer_.step())}});
  const std::string terms = options_.is_vqvae() ? add_code_terms(log, trainer_.model().config(), point)
                                                : add_terms(log, options_.is_vae(), trainer_.beta(), point);
  point.set("lr", lr).set("gradient_norm", log.gradient_norm);
  point.set("images_per_second", std::round(rate));
  if (!at_log_point()) point.set("partial", true);
  folder.append_metrics(point);
  progress_text_ = terms + "  " + count_text(static_cast<int64_t>(rate)) + " images/s";
  window_seconds_ = 0;
  window_first_ = trainer_.step();
}

void TrainingRun::evaluate_test() {
  const Evaluation evaluation = test_->run();
  if (evaluation.codes) code_usage_ = evaluation.codes->usage;
  last_test_ = to_json(evaluation, "test_");
}

void TrainingRun::end_epoch(RunFolder& folder) {
  Json line = Json::object({{"step", trainer_.step()}, {"epoch", epoch_at(trainer_.step())}});
  line.set("train_seconds", epoch_seconds_);
  epoch_seconds_ = 0;
  if (test_) {
    evaluate_test();
    for (const JsonMember& m : last_test_.members()) line.set(m.key, m.value);
  }
  if (validation_) {
    const Evaluation validation = validation_->run();
    const Json json = to_json(validation, "val_");
    for (const JsonMember& m : json.members()) line.set(m.key, m.value);
    save_best(folder, validation);
  }
  folder.append_metrics(line);
}

StringMap TrainingRun::metadata() const {
  StringMap m;
  m["engine_version"] = build_info().version;
  m["model"] = to_json(trainer_.model().config()).dump();
  m["parameters"] = std::to_string(trainer_.parameters().count());
  m["data"] = data_record(options_, dataset_).dump();
  m["objective"] = objective_record(options_).dump();
  m["precision"] = options_.precision;
  m["config"] = config_text(options_);
  m["step"] = std::to_string(trainer_.step());
  m["epoch"] = exact(epoch_at(trainer_.step()));
  m["train_seconds"] = exact(train_seconds_);
  m["epoch_seconds"] = exact(epoch_seconds_);
  if (best_) m["best"] = exact(*best_);
  return m;
}

void TrainingRun::save(RunFolder& folder) {
  if (saved_step_ == trainer_.step()) return;
  folder.save_checkpoint(trainer_.step(), options_.keep, [this](const std::filesystem::path& path) {
    save_checkpoint(path, trainer_.state_tensors(), metadata(), runtime_.ctx());
  });
  saved_step_ = trainer_.step();
}

void TrainingRun::save_best(RunFolder& folder, const Evaluation& validation) {
  if (best_ && !(validation.objective < *best_)) return;
  best_ = validation.objective;
  save_checkpoint(folder.best_checkpoint(), trainer_.state_tensors(), metadata(), runtime_.ctx());
}

void TrainingRun::draw(RunFolder& folder) {
  const ModelConfig& config = trainer_.model().config();
  const std::vector<int32_t>& split = dataset_.test.empty() ? dataset_.train : dataset_.test;
  const int shown = fitting_reconstructions(kPictureImages, config, corruptor_ != nullptr);
  const Matrix images = first_images(dataset_, split, shown);
  const auto reconstruct = [this](const Matrix& x) { return (*decode_)("decode", (*encode_)("encode", x)); };
  if (shown == 0) {
    // Of images beyond what a PNG may have, none is drawn.
  } else if (corruptor_) {
    const Matrix noisy = (*corruptor_)(images);
    write_denoised(folder.figures() / "denoised.png", noisy, reconstruct(noisy), images, config);
  } else {
    write_reconstructions(folder.figures() / "reconstructions.png", images, reconstruct(images), config);
  }
  if (const int n = fitting_images(kPictureSamples, config); config.kind == ModelKind::kVae && n > 0) {
    const Matrix z = standard_normals(n, config.latent, static_cast<uint32_t>(options_.seed));
    write_grid(folder.figures() / "samples.png", (*decode_)("decode", z), config);
  }
  if (!code_usage_.empty()) {
    write_code_usage(folder.figures() / "codebook.png", code_usage_,
                     "Use of the codes, " + std::string(test_ ? "test split" : "last steps") + ": perplexity " +
                         fixed_text(perplexity(code_usage_), 1));
  }
  write_curves(folder.figures() / "curves.png", read_metrics(folder.path() / "metrics.jsonl"),
               options_.model + " on " + dataset_.name);
}

Stop TrainingRun::run(RunFolder& folder) {
  Progress progress(!options_.quiet, options_.model, total_steps_);
  start_step_ = trainer_.step();
  while (!finished() && !caught_signal() && !time_is_up()) {
    const int64_t stop = next_stop();
    train_to(stop, progress);
    const int64_t step = trainer_.step();
    if (step < stop) break;
    if (at_log_point()) log_point(folder);
    const bool epoch_ends = step % trainer_.steps_per_epoch() == 0;
    if (epoch_ends) {
      progress.clear();
      end_epoch(folder);
    }
    if (options_.checkpoint_every > 0 ? step % options_.checkpoint_every == 0 : epoch_ends) save(folder);
    if (epoch_ends) draw(folder);  // a picture that cannot be written costs no step
  }
  progress.clear();
  const Stop why = finished() ? Stop::kFinished : caught_signal() ? Stop::kSignal : Stop::kTime;
  if (timed_steps_ > 0) {
    summary_.set("images_per_second", std::round(static_cast<double>(timed_steps_ * options_.batch) / timed_seconds_));
  }
  if (trainer_.nodes() > 0) summary_.set("launches_per_step", trainer_.nodes());
  finish(folder, why);
  return why;
}

void TrainingRun::finish(RunFolder& folder, Stop why) {
  save(folder);
  if (why == Stop::kSignal) return;
  // The checkpoint has the open log window: what is logged and evaluated here is for the summary and the pictures.
  // Going on removes it, so that the log becomes that of a run that never ended here.
  if (!at_log_point()) log_point(folder);
  if (test_ && (step() % trainer_.steps_per_epoch() != 0 || last_test_.members().empty())) evaluate_test();
  draw(folder);
  Json all = Json::object({{"model", options_.model}, {"data", dataset_.name}, {"finished", why == Stop::kFinished}});
  all.set("step", step()).set("epoch", epoch_at(step()));
  const Json last_train = last_log_point(read_metrics(folder.path() / "metrics.jsonl"));
  for (const Json* part : {&last_train, &std::as_const(last_test_), &std::as_const(summary_)}) {
    for (const JsonMember& m : part->members()) all.set(m.key, m.value);
  }
  all.set("step", step()).set("epoch", epoch_at(step()));
  all.set("train_seconds", train_seconds_);
  all.set("checkpoint", (folder.path() / "checkpoints" / checkpoint_name(step())).string());
  all.set("figures", folder.figures().string());
  summary_ = all;
  folder.write_summary(all);
}

std::string TrainingRun::closing(const RunFolder& folder) const {
  std::vector<std::pair<std::string, std::string>> rows;
  const auto add = [&](const char* name, const char* key, int digits, const char* unit) {
    const Json* value = summary_.find(key);
    if (value && value->is_number()) rows.emplace_back(name, fixed_text(value->as_number(), digits) + unit);
  };
  rows.emplace_back("steps", count_text(step()) + " of " + count_text(total_steps_));
  rows.emplace_back("training", time_text(train_seconds_));
  if (const Json* rate = summary_.find("images_per_second")) {
    rows.emplace_back("speed", count_text(static_cast<int64_t>(rate->as_number())) + " images/s");
  }
  add("kernels launched a step", "launches_per_step", 0, "");
  add("test negative ELBO", "test_neg_elbo", 2, " nats per image");
  add("test reconstruction", "test_reconstruction", 2, " nats per image");
  add("test KL", "test_kl", 2, " nats per image");
  add("test BCE", "test_bce", 4, " nats per pixel");
  add("test MSE", "test_mse", 4, "");
  add("test PSNR", "test_psnr", 2, " dB");
  add("noisy images' PSNR", "test_noisy_psnr", 2, " dB");
  add("gain", "test_psnr_gain", 2, " dB");
  add("active units", "test_active_units", 0, "");
  add("test perplexity", "test_perplexity", 1, " codes");
  add("codes used", "test_codes_used", 0, "");
  rows.emplace_back("run", folder.path().string());
  rows.emplace_back("pictures", folder.figures().string());
  return aligned(rows);
}

}  // namespace hourglass
