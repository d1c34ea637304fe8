// SPDX-License-Identifier: Apache-2.0
// What the option tables are made of: ranges, marks of a row, and the rows that several commands have.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/option_table.h"

namespace hourglass::options {

inline Accepts at_least(double low) { return {.low = low}; }
inline Accepts above(double low) { return {.low = low, .above_low = true}; }
inline Accepts between(double low, double high) { return {.low = low, .high = high}; }
inline Accepts below(double high) { return {.low = 0, .high = high, .below_high = true}; }
inline Accepts one_of(std::vector<std::string> words) { return {.words = std::move(words)}; }

inline OptionRow positional(OptionRow row) {
  row.positional = true;
  return row;
}

inline OptionRow unset(const char* meaning, OptionRow row) {
  row.unset = meaning;
  return row;
}

inline OptionRow alias(const char* name, OptionRow row) {
  row.aliases.push_back(name);
  return row;
}

inline OptionRow negatable(OptionRow row) {
  row.negatable = true;
  return row;
}

inline OptionRow role(Role role, OptionRow row) {
  row.role = role;
  return row;
}

inline OptionRow may_differ(OptionRow row) { return role(Role::kMayDiffer, std::move(row)); }

inline void add(OptionTable& table, const char* group, OptionTable rows) {
  for (OptionRow& row : rows) {
    row.group = group;
    table.push_back(std::move(row));
  }
}

inline constexpr double kMostThreads = 1024, kLargestBatch = 1 << 24, kWidestLayer = 1 << 20,
                        kLargestSeed = 4294967295.0, kMostClusters = 1 << 20;

// Beyond these a step from finite gradients is not finite in float.
inline constexpr double kLargestRate = 1e30, kSmallestEps = 1e-30;

// The same option of several commands.
inline OptionRow data_dir(std::string& field) {
  return unset("none", {"data-dir", &field, "FOLDER",
                        "where named data are looked for first, before $HOURGLASS_DATA and the system's folder"});
}

inline OptionRow cache_dir(std::string& field) {
  return unset("`cache` beside the run",
               {"cache-dir", &field, "FOLDER|none", "where the decoded images of a folder are kept; none: in memory"});
}

inline OptionRow data_memory(MemorySize& field) {
  return unset("what fits", {"data-memory", &field, "BYTES",
                             "device memory for the images, such as 500M or 4G; more are brought there batch by batch, "
                             "and a folder's stay in its cache; the results are the same bits",
                             at_least(1)});
}

inline OptionRow device(std::string& field) { return {"device", &field, "NAME", "auto, cpu, cuda or cuda:N"}; }

inline OptionRow threads(int& field) {
  return unset("one per core",
               {"threads", &field, "N", "CPU threads; the results are the same bits", between(0, kMostThreads)});
}

inline OptionRow seed(int64_t& field, const char* help) {
  return {"seed", &field, "N", help, between(0, kLargestSeed)};
}

inline OptionRow json(bool& field) {
  return {"json", &field, "", "print one JSON object on standard output and nothing else there"};
}

inline OptionRow data(std::string& field) {
  return {"data", &field, "NAME|PATH",
          "fashion-mnist, mnist, cifar-10 or shapes (drawn; needs no files); or an IDX or IDX.gz file or folder, an "
          ".npy file, a CIFAR-10 .bin file or folder, a folder of PNGs and JPEGs (docs/data.md)"};
}

inline OptionRow test_fraction(double& field) {
  return {"test-fraction", &field, "X", "share of own data held out for testing, if it has no split", below(1)};
}

/// What an image becomes on its way in; of the two structs that have these fields.
template <class Options>
inline OptionTable image_rows(Options& o) {
  return {unset("as stored", {"image-size", &o.image_size, "N|HxW", "resize images to N x N, or H rows of W pixels",
                              between(0, 8192)}),
          {"crop", &o.crop, "center|none",
           "what is resized: the central part of the new proportions, or the whole image, distorted",
           one_of({"center", "none"})},
          {"channels", &o.channels, "1|3|stored", "make all images gray or RGB", one_of({"1", "3", "stored"})},
          {"skip-bad", &o.skip_bad, "", "go on without the images that cannot be read"}};
}

inline OptionRow run_path(std::string& field) {
  return positional({"run",
                     &field,
                     "RUN",
                     "a run folder, meaning its latest checkpoint, or one .safetensors file",
                     {},
                     Role::kCommandLine});
}

inline OptionRow batch(int& field) {
  return alias("batch-size", {"batch", &field, "N", "images computed at once", between(1, kLargestBatch)});
}

}  // namespace hourglass::options
