// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "engine/io/npy.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;
using test::TemporaryFolder;

HostArray parse(const Bytes& bytes) { return parse_npy(bytes, "sample"); }

/// An .npy file with this dictionary and these elements.
template <class T>
Bytes npy(const std::string& dictionary, const std::vector<T>& values, int major = 1) {
  Bytes bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<uint8_t>(major), 0};
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) bytes.push_back(static_cast<uint8_t>(dictionary.size() >> (8 * i)));
  bytes.insert(bytes.end(), dictionary.begin(), dictionary.end());
  const auto* data = reinterpret_cast<const uint8_t*>(values.data());
  bytes.insert(bytes.end(), data, data + values.size() * sizeof(T));
  return bytes;
}

std::string dictionary(const std::string& descr, const std::string& shape, const char* fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

TEST(Npy, WritesNumpysBytes) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_npy(folder / "a.npy", values, std::vector<int64_t>{2, 3});
  const Bytes bytes = read_file(folder / "a.npy");
  ASSERT_EQ(bytes.size(), 128u + 24u);
  const std::string head(bytes.begin(), bytes.begin() + 128);
  const std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  EXPECT_EQ(head, std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + std::string(117 - text.size(), ' ') + "\n");
  EXPECT_EQ(std::memcmp(bytes.data() + 128, values.data(), 24), 0);
}

template <class T>
void expect_round_trip(const std::vector<T>& values, const std::vector<int64_t>& shape) {
  const TemporaryFolder folder;
  write_npy(folder / "a.npy", values, shape);
  EXPECT_EQ(read_file(folder / "a.npy").size() % 64, values.size() * sizeof(T) % 64);
  const HostArray array = read_npy(folder / "a.npy");
  EXPECT_EQ(array.shape, shape);
  const std::span<const T> read = array.as<T>();
  EXPECT_EQ(std::vector<T>(read.begin(), read.end()), values);
}

TEST(Npy, RoundTrips) {
  expect_round_trip<float>({1.5f, -2, 1e-40f, 3e38f, 0, -0.0f}, {3, 2});
  expect_round_trip<int32_t>({1, -2, 2147483647}, {3});
  expect_round_trip<int64_t>({int64_t{1} << 60}, {});
  expect_round_trip<uint8_t>({0, 255, 7, 8}, {1, 2, 2, 1});
  expect_round_trip<float>({}, {0, 784});
}

TEST(Npy, ReadsEveryTypeAndVersion) {
  EXPECT_EQ(to_float(parse(npy<uint16_t>(dictionary("<f2", "(5,)"), {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000}))),
            (std::vector<float>{1, -2, 0x1p-24f, 65504, -0.0f}));
  EXPECT_EQ(to_float(parse(npy<double>(dictionary("<f8", "(2,)"), {0.5, -3}))), (std::vector<float>{0.5f, -3}));
  EXPECT_EQ(to_float(parse(npy<uint8_t>(dictionary("|b1", "(2,)"), {1, 0}))), (std::vector<float>{1, 0}));
  EXPECT_EQ(to_int64(parse(npy<int16_t>(dictionary("<i2", "(2,)"), {-5, 300})), "x"), (std::vector<int64_t>{-5, 300}));
  EXPECT_EQ(to_int64(parse(npy<int8_t>(dictionary("|i1", "(1,)"), {-5})), "x"), (std::vector<int64_t>{-5}));
  for (int major : {2, 3}) {
    EXPECT_EQ(parse(npy<int32_t>(dictionary("<i4", "(1, 2)"), {7, 8}, major)).as<int32_t>()[1], 8);
  }
  const std::string other_order = "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<i4\"}";
  EXPECT_EQ(parse(npy<int32_t>(other_order, {7, 8})).as<int32_t>()[1], 8);
}

TEST(Npy, FortranOrderBecomesCOrder) {
  const HostArray matrix = parse(npy<float>(dictionary("<f4", "(2, 3)", "True"), {1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(to_float(matrix), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  std::vector<uint8_t> columns(2 * 3 * 4), rows;
  for (uint8_t i = 0; i < 2; ++i) {
    for (uint8_t j = 0; j < 3; ++j) {
      for (uint8_t k = 0; k < 4; ++k) {
        rows.push_back(static_cast<uint8_t>(100 * i + 10 * j + k));
        columns[i + 2 * (j + 3 * k)] = rows.back();
      }
    }
  }
  EXPECT_EQ(parse(npy<uint8_t>(dictionary("|u1", "(2, 3, 4)", "True"), columns)).data, rows);
  EXPECT_EQ(parse(npy<float>(dictionary("<f4", "(0, 3)", "True"), {})).count(), 0);
}

TEST(Npy, RefusesByName) {
  const std::vector<float> one = {1};
  const auto refused = [&](const std::string& text, std::initializer_list<const char*> messages) {
    SCOPED_TRACE(text);
    expect_error([&] { parse(npy(text, one)); }, Exit::kData, messages);
  };
  refused(dictionary("|O", "(1,)"), {"sample", "object"});
  refused(dictionary(">f4", "(1,)"), {"sample", "'>f4'", "big-endian"});
  refused(dictionary("<c8", "(1,)"), {"sample", "'<c8'", "expected"});
  refused("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", {"structured"});
  refused(dictionary("<f4", "(2,)"), {"(2,)", "needs 8 bytes", "holds 4"});
  refused(dictionary("<f4", "()") + "x", {"after"});
  refused(dictionary("<f4", "(0,)"), {"needs 0 bytes", "holds 4"});
  refused(dictionary("<f4", "(-1,)"), {"extent"});
  refused(dictionary("<f4", "(1)"), {"tuple"});
  refused(dictionary("<f4", "(4294967296, 4294967296)"), {"too large"});
  refused(dictionary("<f4", "(99999999999999999999,)"), {"63 bits"});
  refused(dictionary("<f4", "(1,1,1,1,1,1,1,1,1)"), {"8 dimensions"});
  refused("{'descr': '<f4', 'shape': (1,), }", {"expected the keys"});
  refused("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", {"twice"});
  refused("{'extra': '<f4', 'fortran_order': False, 'shape': (1,), }", {"unknown key 'extra'"});
  refused(dictionary("<f4", "(1,)", "Perhaps"), {"True or False"});
  refused(dictionary("<f4", "(1,)") + std::string(10000, ' '), {"10000"});
}

TEST(Npy, LimitIsNamedBeforeMemoryIsTaken) {
  const Bytes bytes = npy<float>(dictionary("<f4", "(2,)"), {1, 2});
  expect_error([&] { parse_npy(bytes, "sample", 7); }, Exit::kDevice, {"sample", "8 bytes", "7 are allowed"});
}

TEST(Npy, ConversionsRefuseWhatTheyCannotHold) {
  const HostArray floats = parse(npy<float>(dictionary("<f4", "(1,)"), {1}));
  expect_error([&] { to_int64(floats, "labels"); }, Exit::kData, {"labels", "integers", "f32"});
  const HostArray huge = parse(npy<uint64_t>(dictionary("<u8", "(1,)"), {~uint64_t{0}}));
  expect_error([&] { to_int64(huge, "labels"); }, Exit::kData, {"labels", "18446744073709551615"});
  expect_error([&] { floats.as<double>(); }, Exit::kInternal, {"f32"});
  expect_error([] { write_npy("a.npy", std::vector<float>{1}, std::vector<int64_t>{2}); }, Exit::kInternal,
               {"a.npy", "(2,)"});
}

TEST(Npy, DamagedFilesAreRefused) {
  const TemporaryFolder folder;
  write_npy(folder / "a.npy", std::vector<float>{1, 2, 3, 4, 5, 6}, std::vector<int64_t>{2, 3});
  const Bytes bytes = read_file(folder / "a.npy");
  const auto parser = [](const Bytes& b) { parse(b); };
  test::expect_prefixes_refused(bytes, Exit::kData, parser);
  EXPECT_EQ(test::count_accepted_flips(bytes, 0, 128, Exit::kData, parser), 0);
  Bytes longer = bytes;
  longer.push_back(0);
  expect_error([&] { parse(longer); }, Exit::kData, {"sample", "holds 25"});
}

}  // namespace
}  // namespace hourglass
