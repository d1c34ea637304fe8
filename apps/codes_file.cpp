// SPDX-License-Identifier: Apache-2.0
#include "apps/codes_file.h"

#include <algorithm>
#include <cmath>

#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "engine/transfer.h"
#include "models/vqvae.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

fs::path record_path(fs::path path) { return path.replace_extension(".json"); }

ImageShape grid_of(const Inference& model) { return model.model().config().code_grid(); }

std::string codebook_checksum(Inference& model) {
  const Var codebook = dynamic_cast<const VqVae&>(model.model()).codebook();
  std::vector<uint8_t> bytes(static_cast<size_t>(codebook.shape.elements()) * sizeof(float));
  to_host(model.runtime().ctx(), bytes.data(), codebook.data, bytes.size());
  return sha256(bytes);
}

/// The members of the record that must be those of the model that decodes.
Json code_facts(Inference& model) {
  const ModelConfig& config = model.model().config();
  Json facts = Json::object({{"model", name_of(config.kind)}});
  if (!is_quantized(model)) return facts.set("latent", config.latent);
  facts.set("codebook_size", config.quantizer.codes);
  facts.set("grid", Json::array({grid_of(model).height, grid_of(model).width}));
  return facts.set("codebook", codebook_checksum(model));
}

Error mismatch(const fs::path& path, const std::string& what, const std::string& expected, const std::string& given) {
  return Error(Exit::kData, path.string() + ": " + what + ": this run expects " + expected + ", given " + given);
}

void check_record(const fs::path& path, Inference& model) {
  const fs::path file = record_path(path);
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return;
  const Json record = Json::parse(read_text_file(file), file.string());
  const Json expected = code_facts(model);
  for (const JsonMember& member : expected.members()) {
    const std::string given = record.at(member.key).dump(), wanted = member.value.dump();
    if (given != wanted) throw mismatch(file, "codes of another model: " + member.key, wanted, given);
  }
}

Codes read_indices(const HostArray& array, const fs::path& path, Inference& model) {
  const ImageShape grid = grid_of(model);
  const int size = model.model().config().quantizer.codes;
  const bool fits = array.shape.size() == 3 && array.shape[1] == grid.height && array.shape[2] == grid.width;
  if (!fits) {
    throw mismatch(path, "shape", "(n, " + std::to_string(grid.height) + ", " + std::to_string(grid.width) + ")",
                   shape_text(array.shape));
  }
  Codes codes;
  codes.n = array.shape[0];
  const std::vector<int64_t> values = to_int64(array, path.string());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= size) {
      const size_t positions = static_cast<size_t>(grid.height * grid.width);
      throw mismatch(path, "element " + std::to_string(i % positions) + " of image " + std::to_string(i / positions),
                     "codes from 0 to " + std::to_string(size - 1), std::to_string(values[i]));
    }
    codes.indices.push_back(static_cast<int32_t>(values[i]));
  }
  return codes;
}

Codes read_vectors(const HostArray& array, const fs::path& path, Inference& model) {
  const int latent = model.model().config().latent;
  const bool floats = array.type == ElementType::kF32 || array.type == ElementType::kF64;
  if (!floats || array.shape.size() != 2 || array.shape[1] != latent) {
    throw mismatch(path, "array", "(n, " + std::to_string(latent) + ") of f32 or f64",
                   shape_text(array.shape) + " of " + element_name(array.type));
  }
  Codes codes;
  codes.n = array.shape[0];
  codes.vectors.rows = codes.n;
  codes.vectors.cols = latent;
  codes.vectors.values = to_float(array);
  const auto& values = codes.vectors.values;
  const auto bad = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    const auto i = static_cast<size_t>(bad - values.begin()), width = static_cast<size_t>(latent);
    throw mismatch(path, "element " + std::to_string(i % width) + " of image " + std::to_string(i / width),
                   "finite values", std::to_string(*bad));
  }
  return codes;
}

}  // namespace

void Codes::append(const Codes& more) {
  n += more.n;
  indices.insert(indices.end(), more.indices.begin(), more.indices.end());
  vectors.rows += more.vectors.rows;
  vectors.cols = more.vectors.cols;
  vectors.values.insert(vectors.values.end(), more.vectors.values.begin(), more.vectors.values.end());
}

bool is_quantized(const Inference& model) { return model.model().config().kind == ModelKind::kVqVae; }

Codes encode(Inference& model, const Matrix& x) {
  Codes codes;
  codes.n = x.rows;
  if (!is_quantized(model)) {
    codes.vectors = model.encode(x);
    return codes;
  }
  codes.indices = model.encode_codes(x);
  if (std::find(codes.indices.begin(), codes.indices.end(), -1) != codes.indices.end()) {
    throw Error(Exit::kNotFinite, "encode: the encoder's output is not finite");
  }
  return codes;
}

Matrix decode(Inference& model, const Codes& codes, int64_t first, int64_t count) {
  if (is_quantized(model)) {
    const int64_t positions = grid_of(model).height * grid_of(model).width;
    const auto begin = codes.indices.begin() + first * positions;
    return model.decode_codes({begin, begin + count * positions});
  }
  Matrix z(count, codes.vectors.cols);
  std::copy_n(codes.vectors.row(first), z.values.size(), z.values.begin());
  return model.decode(z);
}

Json write_codes(const fs::path& path, const Codes& codes, Inference& model, Json facts) {
  if (path.has_parent_path()) make_folders(path.parent_path());
  const Json of_model = code_facts(model);
  for (const JsonMember& member : of_model.members()) facts.set(member.key, member.value);
  if (is_quantized(model)) {
    const int64_t shape[] = {codes.n, grid_of(model).height, grid_of(model).width};
    write_npy(path, codes.indices, shape);
  } else {
    const int64_t shape[] = {codes.n, codes.vectors.cols};
    write_npy(path, codes.vectors.values, shape);
  }
  write_file_atomic(record_path(path), facts.dump(2) + "\n");
  return Json::array({path.string(), record_path(path).string()});
}

Codes read_codes(const fs::path& path, Inference& model) {
  const HostArray array = read_npy(path);
  check_record(path, model);
  return is_quantized(model) ? read_indices(array, path, model) : read_vectors(array, path, model);
}

}  // namespace hourglass
