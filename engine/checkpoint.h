// SPDX-License-Identifier: Apache-2.0
// Checkpoints: one safetensors file with every tensor and counter of a run, named by the device's step. The names are
// documented in docs/checkpoint.md.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/host_array.h"
#include "engine/io/safetensors.h"
#include "engine/parameters.h"

namespace hourglass {

/// A tensor that a checkpoint saves and restores.
struct StateTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  void* data = nullptr;
  Device device = Device::kCpu;  ///< where `data` points
};

/// Raised when names or layouts change; newer files are refused by name.
inline constexpr int kCheckpointFormat = 1;

/// "model/<parameter>" of each parameter.
std::vector<StateTensor> model_tensors(const Parameters& parameters);

/// Writes durably and atomically; `metadata` gets the format version.
void save_checkpoint(const std::filesystem::path& path, const std::vector<StateTensor>& tensors, StringMap metadata,
                     const Context& ctx = {});

/// Reads and checks a whole file: checksums, structure, format version. Error(kCheckpoint) names what is wrong.
SafetensorsFile open_checkpoint(const std::filesystem::path& path);

/// Copies each tensor from the file; one that is missing or of another type or shape is Error(kCheckpoint).
void restore(const SafetensorsFile& file, const std::vector<StateTensor>& tensors, const Context& ctx = {});

/// "step-00001234.safetensors".
std::string checkpoint_name(int64_t step);

/// The checkpoints of a run folder, the one `latest` names first, then by falling step.
std::vector<std::filesystem::path> checkpoints_of(const std::filesystem::path& run);

/// The file itself, or the newest sound checkpoint of a run folder. `notices` gets a line for each one that had to be
/// passed over. Error(kCheckpoint) if there is none.
struct FoundCheckpoint {
  std::filesystem::path path;
  SafetensorsFile file;
  std::vector<std::string> notices;
};
FoundCheckpoint find_checkpoint(const std::filesystem::path& run_or_file);

}  // namespace hourglass
