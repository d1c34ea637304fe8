// SPDX-License-Identifier: Apache-2.0
// hourglass kmeans: clusters of any table or images, by the lookup kernel of vector quantisation.
#include "engine/kmeans.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/run_setup.h"
#include "apps/terminal.h"
#include "engine/buffer.h"
#include "engine/cluster_scores.h"
#include "engine/figure.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "engine/runtime.h"
#include "engine/transfer.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr int kMostPictures = 1024;

Dataset load(const KMeansCommandOptions& o) {
  DataOptions data;
  data.spec = o.data;
  data.data_dir = o.data_dir;
  data.image_size = o.image_size;
  data.crop = crop_of(o.crop);
  data.channels = channels_of(o.channels);
  data.cache_dir = o.cache_dir == "none" ? "" : o.cache_dir;
  data.threads = o.threads;
  data.test_fraction = o.test_fraction;
  data.skip_bad = o.skip_bad;
  data.unit_range = false;
  Dataset dataset = load_dataset(data);
  for (const std::string& line : dataset.notices) notice(line);
  return dataset;
}

/// The rows to cluster: of a split, or all; the first --limit of them.
std::vector<int32_t> chosen_rows(const Dataset& data, const KMeansCommandOptions& o) {
  std::vector<int32_t> rows = data.split(o.split);
  if (o.limit > 0 && static_cast<size_t>(o.limit) < rows.size()) rows.resize(static_cast<size_t>(o.limit));
  if (static_cast<size_t>(o.k) > rows.size()) {
    throw Error(Exit::kUsage, "--k " + std::to_string(o.k) + ": expected at most one cluster a row, and there are " +
                                  count_text(static_cast<int64_t>(rows.size())) + " rows");
  }
  return rows;
}

/// Rows on the device, a few thousand at a time: the whole table as floats may fit there only.
Buffer to_table(const Context& ctx, const Dataset& data, const std::vector<int32_t>& rows) {
  constexpr size_t kAtOnce = 4096;
  const size_t bytes = static_cast<size_t>(data.dim()) * sizeof(float);
  Buffer table(ctx, rows.size() * bytes, "the rows of the data");
  for (size_t first = 0; first < rows.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, rows.size() - first);
    const std::vector<float> values = data.images({rows.data() + first, count});
    to_device(ctx, table.as<char>() + first * bytes, values.data(), count * bytes);
  }
  return table;
}

struct Clusters {
  KMeansResult result;
  int restart = -1;
  std::vector<float> centroids;      // (K, D)
  std::vector<int32_t> assignments;  // (N)
};

Var view(const Buffer& buffer, int rows, int columns) {
  Var v;
  v.data = buffer.data();
  v.shape = {rows, columns};
  return v;
}

/// The best of the restarts.
Clusters cluster(const Context& ctx, const Buffer& table, int N, int D, const KMeansCommandOptions& o) {
  Clusters best;
  best.centroids.resize(static_cast<size_t>(o.k) * static_cast<size_t>(D));
  best.assignments.resize(static_cast<size_t>(N));
  const size_t centroid_bytes = best.centroids.size() * sizeof(float),
               index_bytes = best.assignments.size() * sizeof(int32_t);
  const Buffer codebook(ctx, centroid_bytes, "the centroids"), index(ctx, index_bytes, "the assignments");
  Progress progress(!o.quiet, "kmeans", o.restarts);
  for (int r = 0; r < o.restarts; ++r) {
    const KMeansOptions options{o.iterations, static_cast<uint32_t>(o.seed + r), o.tolerance};
    const KMeansResult result = kmeans(ctx, view(table, N, D), view(codebook, o.k, D), options, index.as<int32_t>());
    if (!std::isfinite(result.inertia)) {
      throw Error(Exit::kData,
                  "--data " + o.data + ": squared distances are beyond the range of float; scale the data");
    }
    progress.update(r + 1, "restarts");
    if (best.restart >= 0 && !(result.inertia < best.result.inertia)) continue;
    best.result = result;
    best.restart = r;
    to_host(ctx, best.centroids.data(), codebook.data(), centroid_bytes);
    to_host(ctx, best.assignments.data(), index.data(), index_bytes);
  }
  return best;
}

/// Agreement with the classes, over the rows that have one.
void add_scores(Json& facts, const std::vector<int32_t>& labels, const std::vector<int32_t>& assignments) {
  std::vector<int32_t> classes, clusters;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) classes.push_back(labels[i]), clusters.push_back(assignments[i]);
  }
  if (classes.empty()) return;
  facts.set("adjusted_rand_index", adjusted_rand_index(classes, clusters));
  facts.set("normalized_mutual_information", normalized_mutual_information(classes, clusters));
}

/// Centroids are shown where the rows are images whose values lie in 0..1.
bool can_be_drawn(const Dataset& data, const std::vector<float>& centroids) {
  return data.height > 1 && data.width > 1 &&
         std::all_of(centroids.begin(), centroids.end(), [](float v) { return v >= 0 && v <= 1; });
}

void write(Json& facts, const Dataset& data, const std::vector<int32_t>& labels, const Clusters& found,
           const KMeansCommandOptions& o) {
  const fs::path folder = o.out;
  make_folders(folder);
  Json files = Json::array();
  const auto file = [&](const char* name) {
    files.push_back((folder / name).string());
    return folder / name;
  };
  const int64_t centroids[] = {o.k, data.dim()}, rows[] = {static_cast<int64_t>(found.assignments.size())};
  write_npy(file("centroids.npy"), found.centroids, centroids);
  write_npy(file("assignments.npy"), found.assignments, rows);
  if (!labels.empty()) write_npy(file("labels.npy"), labels, rows);
  facts.set("files", files);
  if (!can_be_drawn(data, found.centroids)) return;
  const fs::path picture = folder / "centroids.png";
  const ImageShape shape{data.height, data.width, data.channels};
  const int drawn = fitting_grid(std::min(o.k, kMostPictures), shape);
  if (drawn == 0) return;
  if (o.k > drawn) notice("centroids.png shows the first " + count_text(drawn) + " centroids");
  write_png(picture, draw_image_grid(found.centroids.data(), drawn, shape));
  facts.set("figures", Json::array({picture.string()}));
}

}  // namespace

int run_kmeans(const KMeansCommandOptions& o) {
  const auto start = std::chrono::steady_clock::now();
  if (o.k == 0) throw Error(Exit::kUsage, "kmeans expects --k N, the number of clusters, given nothing");
  const Dataset data = load(o);
  const std::vector<int32_t> rows = chosen_rows(data, o);
  const int N = static_cast<int>(rows.size());
  Runtime runtime({o.device, o.threads});
  if (!runtime.warning().empty()) notice(runtime.warning());
  const Clusters found = cluster(runtime.ctx(), to_table(runtime.ctx(), data, rows), N, data.dim(), o);
  std::vector<int32_t> labels;
  if (!data.labels.empty()) {
    for (const int32_t row : rows) labels.push_back(data.labels[static_cast<size_t>(row)]);
  }
  const std::set<int32_t> used(found.assignments.begin(), found.assignments.end());
  Json facts = Json::object({{"data", data.name},
                             {"split", o.split},
                             {"n", N},
                             {"dim", data.dim()},
                             {"k", o.k},
                             {"clusters_used", static_cast<int64_t>(used.size())},
                             {"inertia", found.result.inertia},
                             {"mean_inertia", found.result.inertia / N},
                             {"iterations", found.result.iterations},
                             {"converged", found.result.converged}});
  if (o.restarts > 1) facts.set("best_seed", o.seed + found.restart);
  add_scores(facts, labels, found.assignments);
  write(facts, data, labels, found, o);
  facts.set("seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (o.json || !o.quiet) print_facts(facts, o.json);
  return 0;
}

}  // namespace hourglass
