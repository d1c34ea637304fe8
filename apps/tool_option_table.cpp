// SPDX-License-Identifier: Apache-2.0
// The options of the commands that take no data of a run.
#include "apps/option_rows.h"

namespace hourglass {

using namespace options;

OptionTable option_table(DecodeOptions& o) {
  OptionTable table;
  add(table, "", {run_path(o.run)});
  add(table, "Options",
      {unset("to be given",
             {"codes", &o.codes, "FILE.npy", "what encode wrote, or latent vectors of your own: floats (n, latent)"}),
       unset("RUN/decoded", {"out", &o.out, "FOLDER|FILE.npy", "where the images are written"}),
       device(o.device),
       threads(o.threads),
       batch(o.batch),
       json(o.json),
       {"quiet", &o.quiet, "", "no progress bar, and no output but what --json prints"}});
  return table;
}

OptionTable option_table(RateDistortionOptions& o) {
  OptionTable table;
  add(table, "", {positional({"folder", &o.folder, "FOLDER", "whose subfolders are runs", {}, Role::kCommandLine})});
  add(table, "Options",
      {{"split", &o.split, "NAME", "the split that was encoded", one_of({"test", "train", "val", "all"})},
       unset("FOLDER/rate-distortion.png", {"out", &o.out, "FILE.png", "where the picture is written"}),
       json(o.json),
       {"quiet", &o.quiet, "", "no output but what --json prints"}});
  return table;
}

OptionTable option_table(KMeansCommandOptions& o) {
  OptionTable table;
  add(table, "Data",
      {data(o.data),
       data_dir(o.data_dir),
       {"split", &o.split, "NAME", "which part of the data", one_of({"all", "train", "test"})},
       test_fraction(o.test_fraction),
       unset("all", {"limit", &o.limit, "N", "the first N rows of the split only", at_least(1)})});
  add(table, "Data", image_rows(o));
  add(table, "Data",
      {{"cache-dir", &o.cache_dir, "FOLDER|none", "where the decoded images of a folder are kept; none: in memory"}});
  add(table, "Clusters",
      {unset("to be given", {"k", &o.k, "N", "number of clusters", between(1, kMostClusters)}),
       {"iterations", &o.iterations, "N", "updates of the centroids, at most", between(0, 1 << 30)},
       {"tolerance", &o.tolerance, "X",
        "stop when an update lowers the inertia by no more than this share of it; 0: when it no longer falls",
        below(1)},
       {"restarts", &o.restarts, "N", "start that often, with the seeds --seed, --seed + 1, ..., and keep the best",
        between(1, 1 << 20)},
       seed(o.seed, "of the k-means++ start")});
  add(table, "Machine and program",
      {device(o.device),
       threads(o.threads),
       {"out", &o.out, "FOLDER", "where everything is written"},
       json(o.json),
       {"quiet", &o.quiet, "", "no progress bar, and no output but what --json prints"}});
  return table;
}

OptionTable option_table(InfoOptions& o) {
  OptionTable table;
  add(table, "",
      {positional({"path",
                   &o.path,
                   "PATH",
                   "a run folder, a checkpoint, or data: a file, a folder or a name",
                   {},
                   Role::kCommandLine})});
  add(table, "Options",
      {data_dir(o.data_dir),
       json(o.json),
       {"quiet", &o.quiet, "", "print nothing; the exit code tells whether PATH is sound"}});
  return table;
}

OptionTable option_table(DoctorOptions& o) {
  OptionTable table;
  add(table, "Options", {data_dir(o.data_dir), json(o.json)});
  return table;
}

}  // namespace hourglass
