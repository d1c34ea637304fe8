// SPDX-License-Identifier: Apache-2.0
// hourglass eval RUN: how good a trained model is, in units that can be compared.
#include <cstdio>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/run_setup.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "engine/io/files.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

struct Line {
  const char* key;
  const char* name;
  int digits;
  const char* unit;
};

constexpr Line kLines[] = {
    {"elbo", "ELBO", 3, " nats per image"},
    {"neg_elbo", "negative ELBO", 3, " nats per image"},
    {"bce", "BCE", 5, " nats per pixel"},
    {"reconstruction", "reconstruction", 3, " nats per image"},
    {"kl", "KL", 3, " nats per image"},
    {"objective", "objective", 3, " nats per image, as trained"},
    {"bits_per_dim", "bits per dimension", 4, ""},
    {"iwae_bound", "IWAE bound", 3, " nats per image"},
    {"mse", "MSE", 5, " a pixel, scale 0..1"},
    {"psnr", "PSNR", 2, " dB"},
    {"perplexity", "perplexity", 1, " of the codes' use over the split"},
    {"commitment_loss", "commitment loss", 6, " a dimension; the codebook loss is the same number"},
};

std::string table(const Json& facts, const ModelConfig& config) {
  std::vector<std::pair<std::string, std::string>> rows = {
      {"model", facts.get_string("model") + ", step " + count_text(facts.get_integer("step")) + ", " +
                    facts.get_string("checkpoint")},
      {"data", facts.get_string("data") + ", " + facts.get_string("split") + " split, " +
                   count_text(facts.get_integer("n")) + " images"}};
  for (const Line& line : kLines) {
    const Json* value = facts.find(line.key);
    if (!value || !value->is_number()) continue;
    const bool means = line.key == std::string("objective") && config.kind == ModelKind::kVqVae;
    std::string text = means ? fixed_text(value->as_number(), 6) + ", as trained"
                             : fixed_text(value->as_number(), line.digits) + line.unit;
    if (line.name == std::string("IWAE bound")) {
      text += ", " + count_text(facts.get_integer("iwae_samples")) + " samples";
    }
    rows.emplace_back(line.name, text);
  }
  if (const Json* units = facts.find("active_units")) {
    rows.emplace_back("active units", count_text(units->as_integer()) + " of " + std::to_string(config.latent));
  }
  if (const Json* used = facts.find("codes_used")) {
    rows.emplace_back("codes used", count_text(used->as_integer()) + " of " + count_text(config.quantizer.codes));
  }
  rows.emplace_back("time", time_text(facts.get_number("seconds")));
  if (const Json* note = facts.find("note")) rows.emplace_back("note", note->as_string());
  return aligned(rows);
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(Exit::kIo, "standard output: cannot write");
  }
}

}  // namespace

int run_eval(const EvalOptions& options) {
  RunSource source(options);
  if (options.iwae_samples > 0 && !source.is_vae()) {
    throw Error(Exit::kUsage, "--iwae-samples " + std::to_string(options.iwae_samples) + ": " + options.run +
                                  " is an autoencoder, which has no likelihood to bound; expected a vae");
  }
  const Dataset data = source.load_data();
  EvaluationOptions how = evaluation_options(source.objective(), options.batch, static_cast<uint32_t>(options.seed));
  how.data_memory = options.data_memory.bytes;
  how.iwae_samples = options.iwae_samples;
  const std::vector<int32_t> split = data.split(options.split);
  Evaluator evaluator = with_memory_hint(
      [&] { return Evaluator(source.model().runtime(), source.model().model(), data.store(), split, how); });
  Progress progress(!options.quiet, "eval", evaluator.work());
  const Evaluation result = evaluator.run([&](int64_t done) { progress.update(done, ""); });
  progress.clear();

  const Json base = source.facts(data, result.n), measured = to_json(result);
  Json facts = Json::object();
  for (const char* key : {"model", "data", "split"}) facts.set(key, base.at(key));
  for (const JsonMember& member : measured.members()) facts.set(member.key, member.value);
  for (const char* key : {"checkpoint", "step"}) facts.set(key, base.at(key));
  if (!options.out.empty()) {
    write_file_atomic(source.folder("") / "evaluation.json", facts.dump(2) + "\n");
  }
  if (options.json) {
    print_facts(facts, true);
  } else {
    print(table(facts, source.config()));
  }
  return 0;
}

}  // namespace hourglass
