// SPDX-License-Identifier: Apache-2.0
// hourglass embed RUN: the latent codes of all images of a split, as arrays, as a table, and, where the latent space is
// a plane, as two pictures of it, beside those of another run if asked.
#include <algorithm>
#include <array>
#include <charconv>

#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "engine/figure.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

struct Embedding {
  std::vector<int32_t> rows, labels;  ///< of the data set; labels empty if it has none
  Matrix mu, logvar;                  ///< logvar empty for an autoencoder
};

void append(Matrix& all, const Matrix& part) {
  all.rows += part.rows;
  all.cols = part.cols;
  all.values.insert(all.values.end(), part.values.begin(), part.values.end());
}

/// Encodes --batch images at a time: the pixels of a whole split as floats may not fit into memory.
Embedding embed(RunSource& source, const Dataset& data, const EmbedOptions& options) {
  Embedding e;
  e.rows = data.split(options.split);
  for (const int32_t row : e.rows) {
    if (!data.labels.empty()) e.labels.push_back(data.labels[static_cast<size_t>(row)]);
  }
  Progress progress(!options.quiet, "embed", static_cast<int64_t>(e.rows.size()));
  for (size_t first = 0; first < e.rows.size(); first += static_cast<size_t>(options.batch)) {
    const size_t count = std::min(static_cast<size_t>(options.batch), e.rows.size() - first);
    Matrix x;
    x.rows = static_cast<int64_t>(count);
    x.cols = data.dim();
    x.values = data.images({e.rows.data() + first, count});
    append(e.mu, source.model().encode(x));
    if (source.is_vae()) append(e.logvar, source.model().encode_logvar(x));
    progress.update(static_cast<int64_t>(first + count), "images");
  }
  return e;
}

/// index,label,z0,z1,...: index is the image's row of the whole data set, training images first.
std::string table_text(const Embedding& e) {
  std::string text = "index,label";
  for (int d = 0; d < e.mu.cols; ++d) text += ",z" + std::to_string(d);
  text += '\n';
  for (size_t i = 0; i < e.rows.size(); ++i) {
    text += std::to_string(e.rows[i]) + ",";
    if (!e.labels.empty()) text += std::to_string(e.labels[i]);
    const float* z = e.mu.row(static_cast<int64_t>(i));
    for (int d = 0; d < e.mu.cols; ++d) {
      char number[32];
      const auto end = std::to_chars(number, number + sizeof number, z[d]).ptr;  // the fewest digits that read back
      text += ',';
      text.append(number, end);
    }
    text += '\n';
  }
  return text;
}

/// Returns the paths of the files.
Json write_arrays(const fs::path& folder, const Embedding& e) {
  Json files = Json::array();
  const auto file = [&](const char* name) {
    files.push_back((folder / name).string());
    return folder / name;
  };
  const int64_t shape[] = {e.mu.rows, e.mu.cols};
  write_npy(file("mu.npy"), e.mu.values, shape);
  if (e.logvar.rows > 0) write_npy(file("logvar.npy"), e.logvar.values, shape);
  if (!e.labels.empty()) write_npy(file("labels.npy"), e.labels, {shape, 1});
  write_file_atomic(file("embedding.csv"), table_text(e));
  return files;
}

/// The plane of a two-dimensional code: where the images lie, and what the decoder makes of each place.
struct Plane {
  Image scatter, manifold;
};

Plane draw_plane(RunSource& source, const Dataset& data, const Embedding& e, const std::string& title) {
  const int side = grid_side(source.config());
  const Matrix grid = source.is_vae() ? prior_grid(side) : central_grid(e.mu, side);
  return {scatter_picture(e.mu, e.labels, data.label_names, title),
          grid_picture(source.model().decode(grid), source.config(), side, 0)};
}

std::string title_of(const std::string& run, const Dataset& data, const std::string& split) {
  const fs::path path = fs::path(run).lexically_normal();
  const fs::path name = path.has_filename() ? path.filename() : path.parent_path().filename();  // "runs/ae/"
  return name.string() + ": latent codes of " + data.name + ", " + split + " split";
}

void require_plane(const std::string& run, const ModelConfig& config) {
  if (config.latent == 2) return;
  throw Error(Exit::kUsage,
              "--beside draws codes of size 2, and that of " + run + " has " + std::to_string(config.latent));
}

/// The run of --beside at the right of this one, scatters above manifolds.
Image draw_beside(const EmbedOptions& options, const Plane& left) {
  EmbedOptions other = options;
  other.run = options.beside;
  RunSource source(other);
  require_plane(other.run, source.config());
  const Dataset data = source.load_data();
  const Plane right = draw_plane(source, data, embed(source, data, other), title_of(other.run, data, other.split));
  return join_images(std::array{left.scatter, right.scatter, left.manifold, right.manifold}, 2);
}

/// Writes the pictures of the plane and returns their paths.
Json write_plane(const EmbedOptions& options, RunSource& source, const Dataset& data, const Embedding& e) {
  const fs::path folder = source.folder("figures");
  Json files = Json::array();
  const auto write = [&](const char* name, const Image& image) {
    write_png(folder / name, image);
    files.push_back((folder / name).string());
  };
  const Plane plane = draw_plane(source, data, e, title_of(options.run, data, options.split));
  write("scatter.png", plane.scatter);
  write("manifold.png", plane.manifold);
  if (!options.beside.empty()) write("beside.png", draw_beside(options, plane));
  return files;
}

}  // namespace

int run_embed(const EmbedOptions& options) {
  RunSource source(options);
  if (!options.beside.empty()) require_plane(options.run, source.config());
  const Dataset data = source.load_data();
  const Embedding e = embed(source, data, options);
  Json facts = source.facts(data, e.mu.rows);
  facts.set("latent", e.mu.cols);
  facts.set("files", write_arrays(source.folder("embedding"), e));
  if (e.mu.cols == 2) facts.set("figures", write_plane(options, source, data, e));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
