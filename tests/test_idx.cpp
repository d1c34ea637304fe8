// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include "engine/io/idx.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;
using test::from_hex;

HostArray parse(const Bytes& bytes) { return parse_idx(bytes, "sample"); }

Bytes gzip(const Bytes& raw) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes packed(deflateBound(&stream, static_cast<uLong>(raw.size())));
  stream.next_in = const_cast<Bytef*>(raw.data());
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// Two images of 2 x 3.
const Bytes kImages = from_hex("00000803 00000002 00000002 00000003 010203040506 fffefdfcfbfa");

TEST(Idx, ReadsPlainAndGzipped) {
  for (const Bytes& bytes : {kImages, gzip(kImages)}) {
    const HostArray array = parse(bytes);
    EXPECT_EQ(array.type, ElementType::kU8);
    EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 2, 3}));
    EXPECT_EQ(array.data, Bytes(kImages.begin() + 16, kImages.end()));
  }
  const test::TemporaryFolder folder;
  const Bytes packed = gzip(kImages);
  write_file_atomic(folder / "no-extension", packed);
  EXPECT_EQ(read_idx(folder / "no-extension").shape[2], 3);
  EXPECT_EQ(parse(from_hex("00000801 00000000")).count(), 0);
  EXPECT_EQ(parse(gzip(from_hex("00000801 00000000"))).count(), 0);
}

TEST(Idx, ReadsBigEndianElements) {
  EXPECT_EQ(parse(from_hex("00000901 00000002 80 7f")).as<int8_t>()[0], -128);
  EXPECT_EQ(parse(from_hex("00000b01 00000002 0102 fffe")).as<int16_t>()[1], -2);
  EXPECT_EQ(parse(from_hex("00000c01 00000001 01020304")).as<int32_t>()[0], 0x01020304);
  EXPECT_EQ(parse(from_hex("00000d01 00000001 3fc00000")).as<float>()[0], 1.5f);
  EXPECT_EQ(parse(gzip(from_hex("00000e01 00000001 bff8000000000000"))).as<double>()[0], -1.5);
}

TEST(Idx, RefusesByName) {
  const auto refused = [](const Bytes& bytes, std::initializer_list<const char*> messages) {
    expect_error([&] { parse(bytes); }, Exit::kData, messages);
  };
  refused(from_hex("89504e47 00000001 01"), {"sample", "not an IDX file"});
  refused(from_hex("00000a01 00000001 01"), {"sample", "type 10"});
  refused(from_hex("00000800"), {"sample", "rank 0"});
  refused(from_hex("00000805 00000001 00000001 00000001 00000001 00000001 01"), {"sample", "rank 5"});
  refused(from_hex("00000801 00000003 0102"), {"sample", "truncated", "needs 3 bytes", "at most 2"});
  refused(from_hex("00000801 00000001 0102"), {"sample", "needs 1 bytes", "holds more"});
  refused(gzip(from_hex("00000801 00000003 0102")), {"sample", "truncated", "needs 3 bytes", "holds 2"});
  refused(gzip(from_hex("00000801 00000001 0102")), {"sample", "needs 1 bytes", "holds more"});
  refused(from_hex("00000804 ffffffff ffffffff ffffffff ffffffff 01"), {"sample", "more than 2^63"});
  Bytes trailing = gzip(kImages);
  trailing.push_back(0);
  refused(trailing, {"sample", "after the end of the gzip data"});
}

TEST(Idx, SmallFilesCannotTakeMuchMemory) {
  // A header that promises 16 TiB, and one whose data unpack to far more than it promises.
  expect_error([] { parse(gzip(from_hex("00000803 00010000 00010000 00001000 01"))); }, Exit::kData,
               {"sample", "truncated"});
  Bytes bomb = from_hex("00000801 00000001");
  bomb.resize(bomb.size() + (64 << 20), 0);
  expect_error([&] { parse(gzip(bomb)); }, Exit::kData, {"sample", "holds more"});
  expect_error([] { parse_idx(kImages, "sample", 11); }, Exit::kDevice, {"sample", "12 bytes", "11 are allowed"});
}

TEST(Idx, DamagedFilesAreRefused) {
  const HostArray sound = parse(kImages);
  const auto parser = [](const Bytes& b) { parse(b); };
  test::expect_prefixes_refused(kImages, Exit::kData, parser);
  // One flip of the header gives another sound file: the same bytes as i8.
  EXPECT_EQ(test::count_accepted_flips(kImages, 0, 16, Exit::kData,
                                       [](const Bytes& b) { EXPECT_EQ(parse(b).type, ElementType::kI8); }),
            1);
  const Bytes packed = gzip(kImages);
  test::expect_prefixes_refused(packed, Exit::kData, parser);
  // gzip's time stamp, system and text flag are not under its checksum, and mean nothing here.
  test::count_accepted_flips(packed, 0, packed.size(), Exit::kData, [&](const Bytes& b) {
    const HostArray array = parse(b);
    EXPECT_EQ(array.data, sound.data);
    EXPECT_EQ(array.shape, sound.shape);
  });
}

}  // namespace
}  // namespace hourglass
