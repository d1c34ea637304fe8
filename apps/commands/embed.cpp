// SPDX-License-Identifier: Apache-2.0
// hourglass embed RUN: the latent codes of all images of a split, as arrays, as a table, and, where the latent space is
// a plane, as two pictures of it.
#include <algorithm>
#include <charconv>

#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"

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
Json draw_plane(const fs::path& folder, RunSource& source, const Dataset& data, const Embedding& e,
                const std::string& split) {
  const fs::path scatter = folder / "scatter.png", manifold = folder / "manifold.png";
  write_scatter(scatter, e.mu, e.labels, data.label_names, "latent codes of " + data.name + ", " + split + " split");
  const Matrix grid = source.is_vae() ? prior_grid() : central_grid(e.mu);
  write_grid(manifold, source.model().decode(grid), source.config(), kGridSide, 0);
  return Json::array({scatter.string(), manifold.string()});
}

}  // namespace

int run_embed(const EmbedOptions& options) {
  RunSource source(options);
  const Dataset data = source.load_data();
  const Embedding e = embed(source, data, options);
  Json facts = source.facts(data, e.mu.rows);
  facts.set("latent", e.mu.cols);
  facts.set("files", write_arrays(source.folder("embedding"), e));
  if (e.mu.cols == 2) facts.set("figures", draw_plane(source.folder("figures"), source, data, e, options.split));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
