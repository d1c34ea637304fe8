// SPDX-License-Identifier: Apache-2.0
#include "apps/command_table.h"

#include <algorithm>
#include <numeric>

#include "apps/presets.h"

namespace hourglass {
namespace {

constexpr size_t kColumn = 28, kWidth = 100;  // of the help: where explanations begin, and the longest line

const char* const kExitCodes =
    "Exit codes\n"
    "  0 done                                  5 disk full, I/O error, run folder locked\n"
    "  1 internal error: please report         6 loss or gradient not finite\n"
    "  2 command line or config file           7 no run or checkpoint there, or a broken one\n"
    "  3 data missing or broken                8 fault of the device\n"
    "  4 device missing, or out of memory      129, 130, 143 stopped by a signal (hangup,\n"
    "                                              Ctrl-C, termination), after saving\n";

/// Breaks `text` between words so that it fits into kWidth when each line starts at `column`.
std::string wrapped(const std::string& text, size_t column) {
  std::string out;
  size_t length = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (length > 0 && column + length + 1 + end - at > kWidth) {
      out += "\n" + std::string(column, ' ');
      length = 0;
    } else if (length > 0) {
      out += ' ';
      ++length;
    }
    out += text.substr(at, end - at);
    length += end - at;
    at = end + 1;
  }
  return out;
}

std::string entry(const std::string& name, const std::string& explanation) {
  std::string line = "  " + name;
  line += line.size() + 2 <= kColumn ? std::string(kColumn - line.size(), ' ') : "\n" + std::string(kColumn, ' ');
  return line + wrapped(explanation, kColumn) + "\n";
}

std::string explanation(const OptionRow& row) {
  std::string text = row.help;
  for (size_t i = 0; i < row.accepts.words.size() && !row.positional; ++i) {
    text += (i == 0 ? ": " : ", ") + row.accepts.words[i];
  }
  if (row.is_flag() || row.positional) return text;
  return text + " [" + (row.unset.empty() ? to_text(row) : row.unset) + "]";
}

std::string option_text(const OptionRow& row) {
  std::string name = row.positional ? row.value : "--" + std::string(row.negatable ? "[no-]" : "") + row.name;
  if (!row.positional && !row.value.empty()) name += " " + row.value;
  std::string text = explanation(row);
  for (const std::string& alias : row.aliases) text += "; also --" + alias;
  return entry(name, text);
}

}  // namespace

std::vector<Command> command_table(CommandOptions& o) {
  return {
      {"train",
       "train a model",
       "Writes a run folder: checkpoints, metrics.jsonl, summary.json, and the pictures reconstructions.png, "
       "samples.png, codebook.png (vqvae) and curves.png in figures/. Ctrl-C, SIGTERM or a closed terminal save and "
       "stop; --resume "
       "goes on.",
       {"hourglass train vae", "hourglass train ae --hidden 512 --latent 2 --out runs/flat",
        "hourglass train vqvae --epochs 5", "hourglass train vae --data shapes --epochs 3",
        "hourglass train vae --epochs 20 --out runs/vae --resume",
        "hourglass train --config runs/vae/config.toml --seed 1 --out runs/again"},
       option_table(o.train)},
      {"eval",
       "measure a trained model",
       "Prints the bound on the log-likelihood and its terms in nats an image, reconstruction errors and active units; "
       "of a vqvae the error and the use of its codes.",
       {"hourglass eval runs/vae", "hourglass eval runs/vae --iwae-samples 500 --json",
        "hourglass eval runs/vae/checkpoints/best.safetensors"},
       option_table(o.eval)},
      {"sample",
       "draw images from a model",
       "Writes samples-seed-N.png, N the --seed: codes drawn from the prior, decoded.",
       {"hourglass sample runs/vae --n 100"},
       option_table(o.sample)},
      {"reconstruct",
       "images beside their reconstructions",
       "Writes reconstructions-SPLIT.png.",
       {"hourglass reconstruct runs/vae", "hourglass reconstruct runs/vae --data my-images/ --n 16"},
       option_table(o.reconstruct)},
      {"interpolate",
       "walk from image to image through the latent space",
       "Writes interpolations.png.",
       {"hourglass interpolate runs/vae --pairs 4 --steps 12 --spherical"},
       option_table(o.interpolate)},
      {"embed",
       "the latent codes of images",
       "Writes mu.npy, logvar.npy, labels.npy and embedding.csv to RUN/embedding or --out; for a code of size 2 also "
       "the pictures scatter.png and manifold.png, and with --beside beside.png, those of both runs. The index in the "
       "table counts all images of the data, training images first. embed is for looking at codes, encode for decoding "
       "them.",
       {"hourglass embed runs/flat --split train", "hourglass embed runs/ae2d --beside runs/vae2d"},
       option_table(o.embed)},
      {"encode",
       "images as codes in a file",
       "Writes an .npy file, of a vqvae the index of each position's code (images, rows, columns), of another model "
       "the latent vectors (images, latent), which are the mu.npy of embed, and beside it a .json file, which decode "
       "checks and rate-distortion reads. "
       "Prints the distortion (mse, psnr), and of a vqvae the rate: bits an image by codes of one length, and by the "
       "entropy of the codes of the split.",
       {"hourglass encode runs/vqvae", "hourglass encode runs/vqvae --data my-images/ --split all --out codes.npy"},
       option_table(o.encode)},
      {"decode",
       "codes of a file back to images",
       "Writes PNGs to a folder, or with --out FILE.npy the values (images, height, width, channels): those of "
       "reconstruct, bit for bit.",
       {"hourglass decode runs/vqvae --codes codes.npy --out images",
        "hourglass decode runs/vqvae --codes codes.npy --out images.npy"},
       option_table(o.decode)},
      {"rate-distortion",
       "bits against errors over the runs of a sweep",
       "Reads what encode left in the runs of FOLDER and draws rate-distortion.png.",
       {"hourglass rate-distortion runs/sweep"},
       option_table(o.rate_distortion)},
      {"kmeans",
       "clusters of a table or of images",
       "Writes centroids.npy (k, columns), assignments.npy and, where the data have them, labels.npy to --out, rows in "
       "the order of the data, training rows first; for images also the picture centroids.png. Prints the inertia, "
       "the sum of squared distances to the centroids, and mean_inertia, that of a row; with labels also the adjusted "
       "Rand index and the normalized mutual information (arithmetic mean).",
       {"hourglass kmeans --data table.npy --k 8", "hourglass kmeans --k 10 --restarts 4 --out clusters"},
       option_table(o.kmeans)},
      {"info",
       "describe a run, a checkpoint or a data file",
       "",
       {"hourglass info runs/vae", "hourglass info fashion-mnist --json"},
       option_table(o.info)},
      {"doctor",
       "versions, device and libraries: what a bug report needs",
       "",
       {"hourglass doctor"},
       option_table(o.doctor)},
  };
}

std::string overview_text(const std::vector<Command>& commands) {
  std::string text =
      "Hourglass trains autoencoders and looks inside them.\n\nUsage: hourglass COMMAND [OPTIONS]\n\n"
      "Commands\n";
  for (const Command& command : commands) text += entry(command.name, command.summary);
  text += "\nOptions\n" + entry("--config FILE", "read options from a file; the command line beats it") +
          entry("--version", "print the version") +
          entry("-h, --help", "print this, or after a command the command's options") +
          "\nStart here\n  hourglass train vae\n  hourglass sample runs/vae\n\n";
  return text + kExitCodes;
}

std::string help_text(const Command& command) {
  std::string usage = "Usage: hourglass " + command.name, body, group;
  for (const OptionRow& row : command.table) {
    if (row.positional) usage += " " + row.value;
    if (row.group != group) body += "\n" + row.group + "\n";
    group = row.group;
    body += option_text(row);
  }
  std::string text = "hourglass " + command.name + ": " + command.summary + ".\n";
  if (!command.details.empty()) text += wrapped(command.details, 0) + "\n";
  text += "\n" + usage + " [OPTIONS]\n" + body;
  if (command.name == "train") {
    text += "\nPresets\n";
    for (const Preset& preset : presets()) text += entry("--preset " + std::string(preset.name), preset.summary());
  }
  text += "\nAlways\n" + entry("--config FILE", "read options from a file; the command line beats it") +
          entry("-h, --help", "print this") + "\nExamples\n";
  for (const std::string& example : command.examples) text += "  " + example + "\n";
  return text + "\n" + kExitCodes;
}

std::string nearest_name(const std::string& name, const std::vector<std::string>& known) {
  // Insertions, deletions, replacements and swaps of neighbors.
  const auto edits = [&name](const std::string& b) {
    std::vector<std::vector<size_t>> d(name.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= name.size(); ++i) d[i][0] = i;
    std::iota(d[0].begin(), d[0].end(), size_t{0});
    for (size_t i = 1; i <= name.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        const bool swapped = i > 1 && j > 1 && name[i - 1] == b[j - 2] && name[i - 2] == b[j - 1];
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (name[i - 1] != b[j - 1])});
        if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    return d[name.size()][b.size()];
  };
  std::string nearest;
  size_t fewest = std::numeric_limits<size_t>::max();
  for (const std::string& candidate : known) {
    if (const size_t n = edits(candidate); n < fewest) {
      fewest = n;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace hourglass
