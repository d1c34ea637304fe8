// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "engine/io/safetensors.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;
using test::TemporaryFolder;

/// The smallest example of the format: one F32 tensor `w` of shape [2] = (1, 2).
const Bytes kGolden = test::from_hex(
    "3800000000000000"
    "7b2277223a7b226474797065223a22463332222c227368617065223a5b325d2c22646174615f6f666673657473223a5b302c385d7d7d2020"
    "0000803f00000040");

SafetensorsFile parse(const Bytes& bytes) { return SafetensorsFile::parse(bytes, "sample"); }

/// A file with this header text, as given, and `data` zero bytes.
Bytes file_of(const std::string& header, size_t data) {
  Bytes bytes(8 + header.size() + data, 0);
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

std::string tensor(const std::string& name, const std::string& shape, int begin, int end,
                   const std::string& dtype = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

Bytes sample_with_checksums() {
  const TemporaryFolder folder;
  const float w[2] = {1, 2};
  const int64_t step = 12;
  const uint8_t mask[3] = {1, 0, 1};
  write_safetensors(folder / "a",
                    {{"mask", ElementType::kU8, {3}, mask},
                     {"layer/w", ElementType::kF32, {1, 2}, w},
                     {"empty", ElementType::kF32, {0, 7}, nullptr},
                     {"step", ElementType::kI64, {}, &step}},
                    {{"model", "vae"}, {"text", "\"quoted\" \xc3\xa9\n"}});
  return read_file(folder / "a");
}

TEST(Safetensors, GoldenBytes) {
  const SafetensorsFile file = parse(kGolden);
  ASSERT_EQ(file.tensors().size(), 1u);
  const SafetensorsView& w = file.at("w", ElementType::kF32, std::vector<int64_t>{2});
  float values[2];
  std::memcpy(values, w.bytes.data(), w.bytes.size());
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], 2.0f);

  const TemporaryFolder folder;
  write_safetensors(folder / "a", {{"w", ElementType::kF32, {2}, values}}, {}, false);
  EXPECT_EQ(read_file(folder / "a"), kGolden);
}

TEST(Safetensors, EverybodyMayReadAndTheOwnerWrite) {
  const TemporaryFolder folder;
  const mode_t mask = umask(0);
  umask(mask);
  write_safetensors(folder / "a", {}, {});
  struct stat status;
  ASSERT_EQ(stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644 & ~mask);
}

TEST(Safetensors, RoundTrips) {
  const Bytes bytes = sample_with_checksums();
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  EXPECT_EQ(bytes[8], '{');

  SafetensorsFile first = SafetensorsFile::parse(bytes, "sample", {.require_checksums = true});
  const SafetensorsFile file = std::move(first);
  EXPECT_EQ(file.metadata(), (StringMap{{"model", "vae"}, {"text", "\"quoted\" \xc3\xa9\n"}}));
  EXPECT_EQ(file.metadata("model"), "vae");
  std::vector<std::string> names;
  for (const SafetensorsView& view : file.tensors()) names.push_back(view.name);
  EXPECT_EQ(names, (std::vector<std::string>{"step", "empty", "layer/w", "mask"})) << "widest elements first";
  int64_t step = 0;
  std::memcpy(&step, file.at("step", ElementType::kI64, {}).bytes.data(), 8);
  EXPECT_EQ(step, 12);
  EXPECT_EQ(file.find("mask")->bytes[2], 1);
  EXPECT_EQ(file.find("empty")->bytes.size(), 0u);
  EXPECT_EQ(file.find("none"), nullptr);
}

TEST(Safetensors, LookupsNameWhatWasExpectedAndFound) {
  const SafetensorsFile file = parse(kGolden);
  const std::vector<int64_t> two = {2}, matrix = {1, 2};
  expect_error([&] { file.at("v", ElementType::kF32, two); }, Exit::kCheckpoint, {"sample", "no tensor v"});
  expect_error([&] { file.at("w", ElementType::kF32, matrix); }, Exit::kCheckpoint,
               {"tensor w", "expected f32 (1, 2)", "it is f32 (2,)"});
  expect_error([&] { file.at("w", ElementType::kF64, two); }, Exit::kCheckpoint, {"expected f64"});
  expect_error([&] { file.metadata("step"); }, Exit::kCheckpoint, {"sample", "\"step\""});
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(parse(file_of("{}", 0)).tensors().empty());
  EXPECT_EQ(parse(file_of(" \n{" + tensor("a", "", 0, 4) + "} ", 4)).tensors().size(), 1u);
  const SafetensorsFile file = parse(
      file_of("{" + tensor("b", "1", 4, 8) + "," + tensor("a", "1", 0, 4) + "," + tensor("e", "0", 4, 4) + "}", 8));
  EXPECT_EQ(file.tensors()[0].name, "a") << "in the order of the bytes";
  EXPECT_EQ(file.tensors()[1].name, "e");
  EXPECT_EQ(parse(file_of("{" + tensor("h", "3", 0, 6, "BF16") + "}", 6)).tensors()[0].type, ElementType::kBF16);
}

TEST(Safetensors, RefusesByName) {
  const auto refused = [](const std::string& header, size_t data, std::initializer_list<const char*> messages) {
    SCOPED_TRACE(header);
    expect_error([&] { parse(file_of(header, data)); }, Exit::kCheckpoint, messages);
  };
  const std::string a = tensor("a", "1", 0, 4);
  refused("", 0, {"sample"});
  refused("[]", 0, {"sample", "not an object"});
  refused("{\"\xff\":1}", 0, {"sample", "not JSON"});
  refused("{" + a + "," + a + "}", 4, {"duplicate key \"a\""});
  refused("{" + a + "," + tensor("b", "1", 0, 4) + "}", 4, {"tensor b", "overlaps"});
  refused("{" + a + "," + tensor("b", "1", 2, 6) + "}", 8, {"tensor b", "overlaps"});
  refused("{" + a + "," + tensor("b", "1", 8, 12) + "}", 12, {"tensor b", "hole"});
  refused("{" + tensor("a", "1", 4, 8) + "}", 8, {"tensor a", "hole"});
  refused("{" + a + "}", 5, {"1 bytes after"});
  refused("{" + a + "}", 3, {"tensor a", "outside"});
  refused("{" + tensor("a", "2", 0, 4) + "}", 4, {"tensor a", "(2,)", "needs 8 bytes", "give 4"});
  refused("{" + tensor("a", "1", 4, 0) + "}", 4, {"tensor a", "outside"});
  refused("{" + tensor("a", "1", -4, 0) + "}", 4, {"tensor a", "outside"});
  refused("{" + tensor("a", "-1", 0, 4) + "}", 4, {"tensor a", "no size"});
  refused("{" + tensor("a", "4294967296,4294967296,0", 0, 0) + "}", 0, {"tensor a", "no size"});
  refused("{" + tensor("a", "18446744073709551615", 0, 4) + "}", 4, {"out of range"});
  refused("{" + tensor("a", "1.0", 0, 4) + "}", 4, {"integer"});
  refused("{" + tensor("a", "1", 0, 1, "F8_E4M3") + "}", 1, {"tensor a", "F8_E4M3", "not supported"});
  refused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, {"tensor a", "data_offsets"});
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, {"tensor a", "two numbers"});
  refused(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, {"an array"});
  refused(R"({"a":7})", 0, {"tensor a"});
  refused(R"({"__metadata__":{"a":1}})", 0, {"__metadata__", "\"a\""});
  refused(R"({"__metadata__":[]})", 0, {"__metadata__"});
  expect_error([] { SafetensorsFile::parse({1}, "sample", {.on_error = Exit::kData}); }, Exit::kData, {"sample"});
  Bytes huge = kGolden;
  std::memset(huge.data(), 0xff, 8);
  expect_error([&] { parse(huge); }, Exit::kCheckpoint, {"18446744073709551615", "in a file of 72"});
}

TEST(Safetensors, RefusesToWriteWhatItCouldNotRead) {
  const TemporaryFolder folder;
  const float x = 1;
  const auto refused = [&](std::vector<SafetensorsTensor> tensors, const StringMap& metadata, const char* message) {
    expect_error([&] { write_safetensors(folder / "a", tensors, metadata); }, Exit::kInternal, {message});
  };
  const SafetensorsTensor w{"w", ElementType::kF32, {1}, &x};
  refused({w, w}, {}, "used twice");
  refused({{"", ElementType::kF32, {1}, &x}}, {}, "reserved");
  refused({{"__metadata__", ElementType::kF32, {1}, &x}}, {}, "reserved");
  refused({{"w", ElementType::kF32, {-1}, &x}}, {}, "(-1,)");
  refused({w}, {{"crc32c/w", "x"}}, "reserved");
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Safetensors, ChecksumsFindEveryFlip) {
  const Bytes bytes = sample_with_checksums();
  const auto parser = [](const Bytes& b) { SafetensorsFile::parse(b, "sample", {.require_checksums = true}); };
  parser(bytes);
  test::expect_prefixes_refused(bytes, Exit::kCheckpoint, parser);
  EXPECT_EQ(test::count_accepted_flips(bytes, 0, bytes.size(), Exit::kCheckpoint, parser), 0);
  Bytes last = bytes;
  last.back() ^= 1;
  expect_error([&] { parser(last); }, Exit::kCheckpoint, {"sample", "tensor mask is damaged"});
  expect_error([&] { parser(kGolden); }, Exit::kCheckpoint, {"sample", "no checksum"});
}

TEST(Safetensors, DamagedForeignFilesAreRefusedOrRead) {
  test::expect_prefixes_refused(kGolden, Exit::kCheckpoint, [](const Bytes& b) { parse(b); });
  // Without checksums another name, or another dtype of the same width, is another sound file.
  test::count_accepted_flips(kGolden, 0, 64, Exit::kCheckpoint, [](const Bytes& b) {
    const SafetensorsFile file = parse(b);
    ASSERT_EQ(file.tensors().size(), 1u);
    EXPECT_EQ(file.tensors()[0].bytes.size(), 8u);
  });
}

/// Saves tensors filled with 1, 2, 3, ... over and over until it is killed.
[[noreturn]] void save_for_ever(const std::filesystem::path& path) {
  std::vector<int32_t> values(1 << 16);
  for (int32_t round = 1;; ++round) {
    std::fill(values.begin(), values.end(), round);
    write_safetensors(path, {{"x", ElementType::kI32, {int64_t{1} << 16}, values.data()}},
                      {{"round", std::to_string(round)}});
  }
}

TEST(Safetensors, KillWhileSavingNeverLeavesAnUnreadableFile) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "step.safetensors";
  const std::vector<int32_t> zeros(1 << 16, 0);
  write_safetensors(path, {{"x", ElementType::kI32, {int64_t{1} << 16}, zeros.data()}}, {{"round", "0"}});
  uint32_t random = 1;
  for (int kills = 0; kills < 50; ++kills) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_for_ever(path);
    random = random * 1664525u + 1013904223u;
    usleep(500 + (random >> 16) % 8000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);

    const SafetensorsFile file = SafetensorsFile::read(path, {.require_checksums = true});
    const SafetensorsView& x = file.at("x", ElementType::kI32, std::vector<int64_t>{1 << 16});
    std::vector<int32_t> values(1 << 16);
    std::memcpy(values.data(), x.bytes.data(), x.bytes.size());
    EXPECT_EQ(values, std::vector<int32_t>(1 << 16, std::stoi(file.metadata("round"))));
  }
  remove_temporary_files(folder.path());
  EXPECT_EQ(folder.entries(), 1u);
}

}  // namespace
}  // namespace hourglass
